"""The hot sum and its derivatives as loops for one core: nothing per edge and feature is kept but one block in cache.

All kernels walk the edges of one atom in blocks, one chunk of channels (a few vectors) at a time. For each edge they
contract over radial functions (H = sum_k s_k Z_jk) or over tensor components (G = sum_m T_m gA_im), and combine these
while they are still in the first-level cache. Arrays are flat, channels last. `support[2 e]`, `support[2 e + 1]` are
the first and one past the last radial function that counts on edge e; of K functions, features Z exist for Kz, from
`base` on.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from invarion.models.kernels.compiled import compiled, inlined, scratch
from invarion.models.kernels.simd import (
    add_outer,
    add_product,
    add_scaled,
    lanes,
    load,
    prefetch,
    store,
    total,
    transposed,
    vector_bytes,
    zeros,
)

_BLOCK = 32  # edges whose contracted features are held in cache at once; a multiple of 4
_AHEAD = 8  # edges between asking for a row of memory and reading it: rows by neighbour lie anywhere


class Loops(NamedTuple):
    """The compiled kernels of one shape, and how many channels one chunk holds."""

    forward: Callable
    slopes: Callable
    curvatures: Callable
    contract: Callable
    collect: Callable
    chunk: int


@lru_cache
def loops(dtype: np.dtype, components: int, channels: int) -> Loops:
    """Kernels for `components` tensor components and a number of channels that whole vectors divide.

    Args:
        dtype: float32 or float64.
        components: M, at least 1.
        channels: C, a multiple of `simd.lanes(dtype)`.
    """
    width = lanes(dtype)
    vectors = next(n for n in (4, 3, 2, 1) if channels % (n * width) == 0)
    accumulators = 16 if vector_bytes() == 64 else 8  # half of the registers that vectors of this length come with
    rows = next(n for n in range(min(components, accumulators), 0, -1) if components % n == 0)
    padded = 1 << (components - 1).bit_length()
    shape = (components, rows, padded, vectors, width)
    return Loops(
        _forward(*shape), _slopes(*shape), _curvatures(*shape), _contract(*shape), _collect(*shape), vectors * width
    )


@inlined
def _over_radial(zero, width, factors, edge, low, high, K, values, start, C):
    """sum_k factors[edge, k] values[start + k C ...] over the radial functions that count."""
    result = zero
    for k in range(low, high):
        result = add_scaled(result, factors[edge * K + k], load(zero, values, start + k * C, width))
    return result


@inlined
def _over_components(zero, width, factors, edge, M, values, start, C):
    """sum_m factors[edge, m] values[start + m C ...]."""
    result = zero
    for m in range(M):
        result = add_scaled(result, factors[edge * M + m], load(zero, values, start + m * C, width))
    return result


@inlined
def _add_outer_products(block, single, rows, width, chunk, factors, edge, count, M, features, out, start, C):
    """out[start + m C ...] += sum over the edges of the block of factors[e, m] features[e], summed in registers."""
    for v in range(0, chunk, width):
        for m in range(0, M, rows):
            place = start + m * C + v
            value = load(block, out, place, C)
            for q in range(count):
                value = add_outer(value, factors, (edge + q) * M + m, 1, load(single, features, q * chunk + v, width))
            store(value, out, place, C)


@inlined
def _add_inner_products(four, line, short, M, padded, chunk, features, edge, count, turned, sums, out):
    """out[e, m] += sum over the chunk's channels c of features[e, c] turned[c, m], four edges at a time."""
    for q in range(0, count, 4):
        value = four
        for c in range(chunk):
            value = add_outer(value, features, q * chunk + c, chunk, load(line, turned, c * padded, padded))
        store(value, sums, q * padded, padded)
    for q in range(count):
        place = (edge + q) * M
        store(add_scaled(load(short, out, place, M), 1, load(short, sums, q * padded, M)), out, place, M)


@inlined
def _turn(rows, columns, values, start, C, chunk, width, padded, turned):
    """turned[c, m] = values[start + m C + c], so that tensor components lie side by side."""
    for v in range(0, chunk, width):
        store(transposed(columns, load(rows, values, start + v, C)), turned, v * padded, padded)


def _forward(M: int, rows: int, padded: int, vectors: int, width: int) -> Callable:
    chunk = vectors * width

    @compiled
    def forward(first, last, pointers, neighbors, support, s, t, z, out, K, Kz, base, C):
        zero, single, block = zeros(z, vectors, width), zeros(z, 1, width), zeros(z, rows, width)
        received = scratch(z, _BLOCK * chunk)
        for i in range(first, last):
            for c in range(0, C, chunk):
                for edge in range(pointers[i], pointers[i + 1], _BLOCK):
                    count = min(_BLOCK, pointers[i + 1] - edge)
                    for e in range(edge, edge + count):
                        low, high = max(support[2 * e], base), min(support[2 * e + 1], base + Kz)
                        h = _over_radial(zero, width, s, e, low, high, K, z, (neighbors[e] * Kz - base) * C + c, C)
                        store(h, received, (e - edge) * chunk, width)
                    start = i * M * C + c
                    _add_outer_products(block, single, rows, width, chunk, t, edge, count, M, received, out, start, C)

    return forward


def _slopes(M: int, rows: int, padded: int, vectors: int, width: int) -> Callable:
    chunk = vectors * width

    @compiled
    def slopes(first, last, pointers, neighbors, support, g, s, t, z, gs, gt, kept, K, Kz, base, C, begin, end, keep):
        zero, four, line = zeros(z, vectors, width), zeros(z, 4, padded), zeros(z, 1, padded)
        short, rows_, columns = zeros(z, 1, M), zeros(z, M, width), zeros(z, width, padded)
        received = scratch(z, _BLOCK * chunk)
        turned, sums = scratch(z, chunk * padded), scratch(z, _BLOCK * padded)
        for i in range(first, last):
            for c in range(begin, end, chunk):
                _turn(rows_, columns, g, i * M * C + c, C, chunk, width, padded, turned)
                for edge in range(pointers[i], pointers[i + 1], _BLOCK):
                    count = min(_BLOCK, pointers[i + 1] - edge)
                    for e in range(edge, edge + count):
                        slope, h = _over_components(zero, width, t, e, M, g, i * M * C + c, C), zero
                        for k in range(max(support[2 * e], base), min(support[2 * e + 1], base + Kz)):
                            values = load(zero, z, (neighbors[e] * Kz + k - base) * C + c, width)
                            h = add_scaled(h, s[e * K + k], values)
                            gs[e * K + k] += total(add_product(zero, slope, values))
                        store(h, received, (e - edge) * chunk, width)
                        if keep:
                            store(slope, kept, e * (end - begin) + c - begin, width)
                    _add_inner_products(four, line, short, M, padded, chunk, received, edge, count, turned, sums, gt)

    return slopes


def _curvatures(M: int, rows: int, padded: int, vectors: int, width: int) -> Callable:
    chunk = vectors * width

    @compiled
    def curvatures(
        first,
        last,
        pointers,
        neighbors,
        support,
        g,
        s,
        t,
        z,
        cs,
        ct,
        cz,
        dg,
        ds,
        dt,
        kept,
        kept_too,
        K,
        Kz,
        base,
        C,
        begin,
        end,
        given,
        keep,
    ):
        zero, single, block = zeros(z, vectors, width), zeros(z, 1, width), zeros(z, rows, width)
        four, line, short = zeros(z, 4, padded), zeros(z, 1, padded), zeros(z, 1, M)
        rows_, columns = zeros(z, M, width), zeros(z, width, padded)
        received, changed = scratch(z, _BLOCK * chunk), scratch(z, _BLOCK * chunk)
        turned, sums = scratch(z, chunk * padded), scratch(z, _BLOCK * padded)
        for i in range(first, last):
            for c in range(begin, end, chunk):
                here = i * M * C + c
                _turn(rows_, columns, g, here, C, chunk, width, padded, turned)
                for edge in range(pointers[i], pointers[i + 1], _BLOCK):
                    count = min(_BLOCK, pointers[i + 1] - edge)
                    for e in range(edge, edge + count):
                        slope = _over_components(zero, width, t, e, M, g, here, C)
                        slope_too = _over_components(zero, width, ct, e, M, g, here, C)
                        h, h_too = zero, zero
                        for k in range(max(support[2 * e], base), min(support[2 * e + 1], base + Kz)):
                            values = load(zero, z, (neighbors[e] * Kz + k - base) * C + c, width)
                            h = add_scaled(h, s[e * K + k], values)
                            h_too = add_scaled(h_too, cs[e * K + k], values)
                            product = add_product(zero, slope_too, values)
                            if given:
                                values = load(zero, cz, (neighbors[e] * Kz + k - base) * C + c, width)
                                h_too = add_scaled(h_too, s[e * K + k], values)
                                product = add_product(product, slope, values)
                            ds[e * K + k] += total(product)
                        store(h, received, (e - edge) * chunk, width)
                        store(h_too, changed, (e - edge) * chunk, width)
                        if keep:
                            store(slope, kept, e * (end - begin) + c - begin, width)
                            store(slope_too, kept_too, e * (end - begin) + c - begin, width)
                    _add_outer_products(block, single, rows, width, chunk, t, edge, count, M, changed, dg, here, C)
                    _add_outer_products(block, single, rows, width, chunk, ct, edge, count, M, received, dg, here, C)
                    _add_inner_products(four, line, short, M, padded, chunk, changed, edge, count, turned, sums, dt)

    return curvatures


def _contract(M: int, rows: int, padded: int, vectors: int, width: int) -> Callable:
    chunk = vectors * width

    @compiled
    def contract(first, last, pointers, g, t, kept, C, begin, end):
        zero = zeros(g, vectors, width)
        for i in range(first, last):
            for c in range(begin, end, chunk):
                for e in range(pointers[i], pointers[i + 1]):
                    slope = _over_components(zero, width, t, e, M, g, i * M * C + c, C)
                    store(slope, kept, e * (end - begin) + c - begin, width)

    return contract


def _collect(M: int, rows: int, padded: int, vectors: int, width: int) -> Callable:
    chunk = vectors * width

    @compiled
    def collect(
        first, last, pointers, order, owners, support, s, kept, cs, kept_too, out, K, Kz, base, C, begin, end, pair
    ):
        zero, sums, last_edge = zeros(out, vectors, width), scratch(out, Kz * chunk), order.size - 1
        for p in range(first, last):
            for c in range(begin, end, chunk):
                sums[:] = 0
                lowest, highest = Kz, 0
                for x in range(pointers[p], pointers[p + 1]):
                    e, ahead = order[x], order[min(x + _AHEAD, last_edge)]
                    prefetch(support, 2 * ahead, 1)
                    prefetch(s, ahead * K, 16)
                    prefetch(kept, ahead * (end - begin) + c - begin, chunk)
                    low, high = max(support[2 * e] - base, 0), min(support[2 * e + 1] - base, Kz)
                    lowest, highest, start = min(lowest, low), max(highest, high), e * (end - begin) + c - begin
                    value = load(zero, kept, start, width)
                    if pair:
                        prefetch(cs, ahead * K, 16)
                        prefetch(kept_too, ahead * (end - begin) + c - begin, chunk)
                        value_too = load(zero, kept_too, start, width)
                        for k in range(low, high):
                            result = add_scaled(load(zero, sums, k * chunk, width), s[e * K + base + k], value)
                            store(add_scaled(result, cs[e * K + base + k], value_too), sums, k * chunk, width)
                    else:
                        for k in range(low, high):
                            result = add_scaled(load(zero, sums, k * chunk, width), s[e * K + base + k], value)
                            store(result, sums, k * chunk, width)
                for k in range(lowest, highest):
                    place = (owners[p] * Kz + k) * C + c
                    store(
                        add_scaled(load(zero, out, place, width), 1, load(zero, sums, k * chunk, width)),
                        out,
                        place,
                        width,
                    )

    return collect
