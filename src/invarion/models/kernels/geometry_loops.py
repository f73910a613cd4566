"""Lengths and direction tensors of edge vectors, and their derivatives, several edges side by side in one vector.

Rank l comes from rank l-1 and the direction through the few non-zero numbers of `raising_table`: each term adds
`coefficient` x component `source` x axis to component `target`. Components of a block of edges are rows of W numbers.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from invarion.geometry.harmonics import raising_table
from invarion.models.kernels.compiled import compiled, inlined, scratch
from invarion.models.kernels.simd import add_product, add_scaled, load, store, zeros


class Terms(NamedTuple):
    """The products that raise ranks 2..L from the one below, as flat arrays in the order of evaluation."""

    targets: np.ndarray
    sources: np.ndarray
    axes: np.ndarray
    coefficients: np.ndarray


@cache
def terms(max_rank: int, dtype: np.dtype) -> Terms:
    """All terms up to a rank; axes count the components of rank 1 (y, z, x)."""
    found = []
    for rank in range(2, max_rank + 1):
        table = raising_table(rank).reshape(2 * rank - 1, 3, 2 * rank + 1)
        places = np.argwhere(np.abs(table) > 1e-12)
        found += [(rank**2 + m, (rank - 1) ** 2 + p, q, table[p, q, m]) for p, q, m in places]
    columns = [np.array([term[i] for term in found], np.int64) for i in range(3)]
    return Terms(*columns, np.array([term[3] for term in found], dtype))


@inlined
def _read(vectors, begin, count, W, axes, lengths):
    """Unit vectors (rows y, z, x) and lengths of a block of edges; lanes beyond the last edge get some direction."""
    for q in range(W):
        e = min(begin + q, begin + count - 1)
        x, y, z = vectors[3 * e], vectors[3 * e + 1], vectors[3 * e + 2]
        lengths[q] = np.sqrt(x * x + y * y + z * z)
        axes[q], axes[W + q], axes[2 * W + q] = y / lengths[q], z / lengths[q], x / lengths[q]


@inlined
def _raise(zero, axes, M, W, targets, sources, directions, coefficients, rows):
    """Fill M rows with the tensors of the block's unit vectors."""
    rows[: M * W] = 0
    rows[:W] = 1
    if M > 1:
        for n in range(3 * W):  # a slice would be quicker to read, and seconds slower to compile
            rows[W + n] = axes[n]
    for n in range(targets.size):
        target, source, axis = W * targets[n], W * sources[n], W * directions[n]
        factor = add_scaled(zero, coefficients[n], load(zero, axes, axis, W))
        store(add_product(load(zero, rows, target, W), factor, load(zero, rows, source, W)), rows, target, W)


@cache
def geometry_loops(W: int) -> tuple:
    """Kernels (values, slopes, changes) that work on W edges side by side."""

    @compiled
    def values(first, last, vectors, targets, sources, directions, coefficients, distances, tensors, M):
        zero = zeros(vectors, 1, W)
        axes, lengths, rows = scratch(vectors, 3 * W), scratch(vectors, W), scratch(vectors, M * W)
        for begin in range(first, last, W):
            count = min(W, last - begin)
            _read(vectors, begin, count, W, axes, lengths)
            _raise(zero, axes, M, W, targets, sources, directions, coefficients, rows)
            for q in range(count):
                distances[begin + q] = lengths[q]
                for m in range(M):
                    tensors[(begin + q) * M + m] = rows[m * W + q]

    @compiled
    def slopes(first, last, vectors, targets, sources, directions, coefficients, gr, gt, gv, M):
        zero = zeros(vectors, 1, W)
        axes, lengths, rows = scratch(vectors, 3 * W), scratch(vectors, W), scratch(vectors, M * W)
        turned, pull = scratch(vectors, M * W), scratch(vectors, 3 * W)
        for begin in range(first, last, W):
            count = min(W, last - begin)
            _read(vectors, begin, count, W, axes, lengths)
            _raise(zero, axes, M, W, targets, sources, directions, coefficients, rows)
            for q in range(W):
                for m in range(M):
                    turned[m * W + q] = gt[(begin + min(q, count - 1)) * M + m]
            pull[:] = 0
            for n in range(targets.size - 1, -1, -1):
                target, source, axis = W * targets[n], W * sources[n], W * directions[n]
                slope = add_scaled(zero, coefficients[n], load(zero, turned, target, W))
                turn = add_product(load(zero, turned, source, W), slope, load(zero, axes, axis, W))
                store(turn, turned, source, W)
                store(add_product(load(zero, pull, axis, W), slope, load(zero, rows, source, W)), pull, axis, W)
            for q in range(count):
                y, z, x = pull[q], pull[W + q], pull[2 * W + q]
                if M > 1:
                    y, z, x = y + turned[W + q], z + turned[2 * W + q], x + turned[3 * W + q]
                along = y * axes[q] + z * axes[W + q] + x * axes[2 * W + q]
                stretch = gr[begin + q] - along / lengths[q]
                e = 3 * (begin + q)
                gv[e] = x / lengths[q] + stretch * axes[2 * W + q]
                gv[e + 1] = y / lengths[q] + stretch * axes[q]
                gv[e + 2] = z / lengths[q] + stretch * axes[W + q]

    @compiled
    def changes(first, last, vectors, targets, sources, directions, coefficients, moves, dr, dt, M):
        zero = zeros(vectors, 1, W)
        axes, lengths, rows = scratch(vectors, 3 * W), scratch(vectors, W), scratch(vectors, M * W)
        turn, moved = scratch(vectors, 3 * W), scratch(vectors, M * W)
        for begin in range(first, last, W):
            count = min(W, last - begin)
            _read(vectors, begin, count, W, axes, lengths)
            _raise(zero, axes, M, W, targets, sources, directions, coefficients, rows)
            for q in range(W):
                e = 3 * (begin + min(q, count - 1))
                along = moves[e] * axes[2 * W + q] + moves[e + 1] * axes[q] + moves[e + 2] * axes[W + q]
                turn[q] = (moves[e + 1] - along * axes[q]) / lengths[q]
                turn[W + q] = (moves[e + 2] - along * axes[W + q]) / lengths[q]
                turn[2 * W + q] = (moves[e] - along * axes[2 * W + q]) / lengths[q]
                if q < count:
                    dr[begin + q] = along
            moved[:] = 0
            if M > 1:
                for n in range(3 * W):
                    moved[W + n] = turn[n]
            for n in range(targets.size):
                target, source, axis = W * targets[n], W * sources[n], W * directions[n]
                change = add_product(zero, load(zero, moved, source, W), load(zero, axes, axis, W))
                change = add_product(change, load(zero, rows, source, W), load(zero, turn, axis, W))
                store(add_scaled(load(zero, moved, target, W), coefficients[n], change), moved, target, W)
            for q in range(count):
                for m in range(M):
                    dt[(begin + q) * M + m] = moved[m * W + q]

    return values, slopes, changes
