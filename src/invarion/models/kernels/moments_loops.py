"""Moments of each atom's neighbours by kind, B[i, m, r, k] = sum of T_em s_ek over edges of i to kind r, as loops.

Where features depend on the neighbour's species alone, the hot sum is these moments times one small matrix: per edge
the work is radial functions x components, not x channels. The atomic basis of ACE is the same sum. Arrays are flat; of
K radial functions, moments are made of Kz, from `base` on.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from invarion.models.kernels.compiled import compiled, scratch
from invarion.models.kernels.simd import add_product, add_scaled, load, store, total, zeros


class MomentLoops(NamedTuple):
    """The compiled kernels for one number of tensor components."""

    forward: Callable
    slopes: Callable
    curvatures: Callable


@lru_cache
def moment_loops(components: int) -> MomentLoops:
    """Kernels for `components` tensor components M, at least 1; they serve float32 and float64."""
    return MomentLoops(_forward(components), _slopes(components), _curvatures(components))


def _forward(M: int) -> Callable:
    @compiled
    def forward(first, last, pointers, kinds, support, s, t, out, K, Kz, base, R):
        zero, sums = zeros(t, 1, M), scratch(t, R * Kz * M)
        for i in range(first, last):
            sums[:] = 0
            for e in range(pointers[i], pointers[i + 1]):
                line = load(zero, t, e * M, M)
                for k in range(max(support[2 * e], base), min(support[2 * e + 1], base + Kz)):
                    place = (kinds[e] * Kz + k - base) * M
                    store(add_scaled(load(zero, sums, place, M), s[e * K + k], line), sums, place, M)
            for m in range(M):
                for k in range(R * Kz):
                    out[(i * M + m) * R * Kz + k] = sums[k * M + m]

    return forward


def _slopes(M: int) -> Callable:
    @compiled
    def slopes(first, last, pointers, kinds, support, g, s, t, gs, gt, K, Kz, base, R):
        zero, turned = zeros(t, 1, M), scratch(t, R * Kz * M)
        for i in range(first, last):
            for m in range(M):
                for k in range(R * Kz):
                    turned[k * M + m] = g[(i * M + m) * R * Kz + k]
            for e in range(pointers[i], pointers[i + 1]):
                line, slope = load(zero, t, e * M, M), zero
                for k in range(max(support[2 * e], base), min(support[2 * e + 1], base + Kz)):
                    values = load(zero, turned, (kinds[e] * Kz + k - base) * M, M)
                    slope = add_scaled(slope, s[e * K + k], values)
                    gs[e * K + k] = total(add_product(zero, line, values))
                store(slope, gt, e * M, M)

    return slopes


def _curvatures(M: int) -> Callable:
    @compiled
    def curvatures(first, last, pointers, kinds, support, g, s, t, cs, ct, dg, ds, dt, K, Kz, base, R):
        zero, turned, sums = zeros(t, 1, M), scratch(t, R * Kz * M), scratch(t, R * Kz * M)
        for i in range(first, last):
            sums[:] = 0
            for m in range(M):
                for k in range(R * Kz):
                    turned[k * M + m] = g[(i * M + m) * R * Kz + k]
            for e in range(pointers[i], pointers[i + 1]):
                line, change, slope = load(zero, t, e * M, M), load(zero, ct, e * M, M), zero
                for k in range(max(support[2 * e], base), min(support[2 * e + 1], base + Kz)):
                    place = (kinds[e] * Kz + k - base) * M
                    values = load(zero, turned, place, M)
                    slope = add_scaled(slope, cs[e * K + k], values)
                    ds[e * K + k] = total(add_product(zero, change, values))
                    sum_ = add_scaled(load(zero, sums, place, M), cs[e * K + k], line)
                    store(add_scaled(sum_, s[e * K + k], change), sums, place, M)
                store(slope, dt, e * M, M)
            for m in range(M):
                for k in range(R * Kz):
                    dg[(i * M + m) * R * Kz + k] = sums[k * M + m]

    return curvatures
