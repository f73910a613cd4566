r"""Gaussians in the inverse distance times a cutoff function, with derivatives, as loops for one core.

.. math:: s_k = g_k f, \quad g_k = e^{-\frac12 \sigma_k^2 x_k^2}, \quad x_k = 1/r - p_k, \quad p_k = 1/\mu_k

With :math:`b_k = \sigma_k^2 x_k / r^2`, the logarithmic slope of :math:`g_k`,

.. math:: s_k' = g_k (b_k f + f'), \qquad s_k'' = g_k \big((b_k^2 + b_k') f + 2 b_k f' + f''\big)

Only the range of functions that count on an edge is evaluated; the others are zero. Once values are stored,
:math:`g_k = s_k / f` spares further exponentials. What depends on the distance alone is computed for W edges side by
side, the rest for W functions of one edge. The last vector of an edge's functions may begin early, so as to end with
the row: the lanes that it shares with the one before are computed twice, and counted once. Numbers are float64 inside:
an exponent in float32 would leave a few of the last digits of its exponential to chance.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from invarion.models.kernels.arithmetic import (
    below,
    between,
    end_of_bits,
    exp_of_minus,
    exponential_series,
    first_bit,
    lanes_below,
    least,
    sine_and_cosine,
    smaller,
)
from invarion.models.kernels.compiled import compiled, inlined, scratch
from invarion.models.kernels.simd import lanes, load, store, total, zeros

BLOCK = 1024  # edges whose slopes with respect to p and sigma are added up before these are added to the others'
_BITS = 32  # functions of which it is noted in one number which count
_NOWHERE = 1e300  # place of the functions that fill up the last vector: they count nowhere


class Loops(NamedTuple):
    """The compiled kernels for one type and number of functions."""

    values: Callable
    slopes: Callable
    curvatures: Callable


@cache
def loops(dtype: np.dtype, n_functions: int) -> Loops:
    """Kernels for `n_functions` Gaussians.

    Args:
        dtype: float32 or float64, of all that the kernels read and write but places and sigmas, which are float64.
        n_functions: K, at least 1.
    """
    most = lanes(np.dtype(np.float64))
    width = min(most, 1 << (n_functions.bit_length() - 1))  # no vector is longer than a row
    return Loops(_values(width, exponential_series(dtype)), _slopes(width), _curvatures(width))


@inlined
def _cutoffs(zero, r, cutoff, cosine):
    """Cutoff function sin^2(pi/2 (1 - r/cutoff)), or the C2 polynomial, its slopes and second derivatives."""
    y = (cutoff - r) * (1.0 / cutoff)  # not 1 - r/cutoff, which is zero, and divided by, just inside the cutoff
    x = 1.0 - y
    if cosine:
        rate = -0.5 * math.pi / cutoff
        sine, cos = sine_and_cosine(y * (0.5 * math.pi))
        f, df = sine * sine, sine * cos * (2.0 * rate)
        ddf = (cos * cos - sine * sine) * (2.0 * rate * rate)
    else:
        both = x * y
        f = y * y * y * (x * x * 6.0 + x * 3.0 + 1.0)
        df, ddf = both * both * (-30.0 / cutoff), both * (y - x) * (-60.0 / (cutoff * cutoff))
    return below(f, r, cutoff), below(df, r, cutoff), below(ddf, r, cutoff)


@inlined
def _prepare(zero, W, distances, begin, end, cutoff, cosine, lengths, edges):
    """Rows of `edges`: 1/r, cutoff function and its derivatives on W edges; the last is repeated beyond the end."""
    for q in range(W):
        lengths[q] = distances[min(begin + q, end - 1)]
    r = load(zero, lengths, 0, W)
    f, df, ddf = _cutoffs(zero, r, cutoff, cosine)
    store(1.0 / r, edges, 0, W)
    store(f, edges, W, W)
    store(df, edges, 2 * W, W)
    store(ddf, edges, 3 * W, W)


@inlined
def _exponents(zero, W, inverse, places, sigmas, threshold, exponents):
    """Fill the exponents at 1/r; the bound from which on they do not count: the least, less the threshold."""
    smallest = zero + np.inf
    for k in range(0, places.size, W):
        product = (inverse - load(zero, places, k, W)) * load(zero, sigmas, k, W)
        exponent = product * product * 0.5
        store(exponent, exponents, k, W)
        smallest = smaller(exponent, smallest)
    return least(smallest) - threshold


@inlined
def _counting(zero, W, exponents, bound, K):
    """The first, and one past the last, whose exponent is below the bound or NaN; (K, 0) where there is none."""
    low, high = K, 0
    for begin in range(0, K, _BITS):
        bits = 0
        for k in range(begin, min(begin + _BITS, K), W):
            bits |= lanes_below(load(zero, exponents, k, W), bound) << (k - begin)
        if bits:
            low, high = min(low, begin + first_bit(bits)), begin + end_of_bits(bits)
    return low, min(high, K)


@inlined
def _padded(values, W, filling):
    """The values, and what fills up the last vector."""
    result = scratch(values, -(-values.size // W) * W)
    result[:] = filling
    for k in range(values.size):  # a slice takes seconds to compile
        result[k] = values[k]
    return result


def _values(W: int, series: tuple[float, ...]) -> Callable:
    @compiled
    def values(first, last, distances, places, sigmas, cutoff, cosine, threshold, s, support):
        """Fill s (E, K) and support (E, 2): functions below exp(threshold) of the edge's largest do not count."""
        zero, K = zeros(places, 1, W), places.size
        places, sigmas = _padded(places, W, _NOWHERE), _padded(sigmas, W, 1.0)
        exponents, lengths, edges = scratch(places, places.size), scratch(places, W), scratch(places, 4 * W)
        stop = min(last * BLOCK, distances.size)
        for begin in range(first * BLOCK, stop, W):
            _prepare(zero, W, distances, begin, stop, cutoff, cosine, lengths, edges)
            for q in range(min(W, stop - begin)):
                e = begin + q
                bound = _exponents(zero, W, edges[q], places, sigmas, threshold, exponents)
                low, high = _counting(zero, W, exponents, bound, K)
                if lengths[q] >= cutoff:
                    low, high = 0, 0
                support[2 * e], support[2 * e + 1] = low, high
                for k in range(0, K, W):
                    store(zero, s, e * K + min(k, K - W), W)
                for k in range(low, high, W):
                    place = min(k, K - W)
                    exponent = load(zero, exponents, place, W)
                    value = below(exp_of_minus(zero, exponent, series) * edges[W + q], exponent, bound)
                    store(value, s, e * K + place, W)

    return values


def _slopes(W: int) -> Callable:
    @compiled
    def slopes(first, last, gs, s, distances, support, places, sigmas, cutoff, cosine, gr, gp, gsigma, shared):
        """Slopes with respect to r (E,) and, if `shared`, per block of edges to p and sigma (blocks, K)."""
        zero, K = zeros(places, 1, W), places.size
        lengths, edges = scratch(places, W), scratch(places, 4 * W)
        for block in range(first, last):
            stop = min((block + 1) * BLOCK, distances.size)
            for begin in range(block * BLOCK, stop, W):
                _prepare(zero, W, distances, begin, stop, cutoff, cosine, lengths, edges)
                for q in range(min(W, stop - begin)):
                    e = begin + q
                    inverse, steepness, result = edges[q], edges[2 * W + q] / edges[W + q], zero
                    high = support[2 * e + 1]
                    for k in range(support[2 * e], high, W):
                        place = min(k, K - W)
                        x, sigma = inverse - load(zero, places, place, W), load(zero, sigmas, place, W)
                        slope = load(zero, gs, e * K + place, W) * load(zero, s, e * K + place, W)
                        slope, pull = between(slope, k - place, high - place), sigma * sigma * x
                        result = result + slope * (pull * (inverse * inverse) + steepness)
                        if shared:
                            here = block * K + place
                            store(load(zero, gp, here, W) + slope * pull, gp, here, W)
                            store(load(zero, gsigma, here, W) - slope * sigma * x * x, gsigma, here, W)
                    gr[e] = total(result)

    return slopes


def _curvatures(W: int) -> Callable:
    @compiled
    def curvatures(
        first, last, cr, gs, s, distances, support, places, sigmas, cutoff, cosine, dgs, dr, dp, dsigma, shared
    ):
        """Slopes of sum_e cr_e gr_e with respect to gs (E, K), r (E,) and, per block if `shared`, p and sigma."""
        zero, K = zeros(places, 1, W), places.size
        lengths, edges = scratch(places, W), scratch(places, 4 * W)
        for block in range(first, last):
            stop = min((block + 1) * BLOCK, distances.size)
            for begin in range(block * BLOCK, stop, W):
                _prepare(zero, W, distances, begin, stop, cutoff, cosine, lengths, edges)
                for q in range(min(W, stop - begin)):
                    e = begin + q
                    inverse, f, df, ddf = edges[q], edges[W + q], edges[2 * W + q], edges[3 * W + q]
                    square, scale, result = inverse * inverse, cr[e] / f, zero
                    for k in range(0, K, W):
                        store(zero, dgs, e * K + min(k, K - W), W)
                    high = support[2 * e + 1]
                    for k in range(support[2 * e], high, W):
                        place = min(k, K - W)
                        x, sigma = inverse - load(zero, places, place, W), load(zero, sigmas, place, W)
                        pull = sigma * sigma * x
                        b, db = pull * square, sigma * sigma * (x * 2.0 + inverse) * (-square * inverse)
                        # g and gs are left out where functions do not count: gs is anything there, infinite or NaN
                        g = load(zero, s, e * K + place, W) * scale
                        first_ = b * f + df
                        store(g * first_, dgs, e * K + place, W)
                        slope = between(g * load(zero, gs, e * K + place, W), k - place, high - place)
                        result = result + slope * ((b * b + db) * f + b * (2.0 * df) + ddf)
                        if shared:
                            here = block * K + place
                            change = slope * (pull * first_ - sigma * sigma * (square * f))
                            store(load(zero, dp, here, W) + change, dp, here, W)
                            change = slope * (sigma * x * (2.0 * square * f) - sigma * x * x * first_)
                            store(load(zero, dsigma, here, W) + change, dsigma, here, W)
                    dr[e] = total(result)

    return curvatures
