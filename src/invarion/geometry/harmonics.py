"""Real solid harmonics: exact integer polynomials, and their fast values for numpy and torch."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import comb, factorial, gcd
from typing import Any

import numpy as np

from invarion.exceptions import ConfigError


@cache
def solid_harmonic(rank: int, order: int) -> tuple[tuple[int, int, int, int], ...]:
    r"""Primitive integer polynomial of a real solid harmonic, without the Condon-Shortley phase.

    $S_{lm} \propto \Pi_l^{|m|}(z, r^2) \, \mathrm{Re}(x+iy)^m$ for $m \ge 0$, $\mathrm{Im}(x+iy)^{|m|}$ for $m < 0$.

    Args:
        rank: l >= 0.
        order: m, -l <= m <= l.

    Returns:
        Terms (i, j, k, c) of c * x^i y^j z^k with i + j + k = l; the coefficients c have no common factor.

    Example:
        >>> solid_harmonic(2, 0)
        ((0, 0, 2, 2), (0, 2, 0, -1), (2, 0, 0, -1))
    """
    if not 0 <= abs(order) <= rank:
        raise ConfigError(f"order is {order} for rank {rank}; allowed are rank >= 0 and -rank <= order <= rank")
    terms: dict[tuple[int, int, int], int] = {}
    m = abs(order)
    for k in range((rank - m) // 2 + 1):
        falling = factorial(rank - 2 * k) // factorial(rank - 2 * k - m)
        polar = (-1) ** k * comb(rank, k) * comb(2 * rank - 2 * k, rank) * falling
        for (i, j), azimuthal in _azimuthal(order).items():
            for a, b, c, share in _radius_power(k):
                power = (i + a, j + b, c + rank - 2 * k - m)
                terms[power] = terms.get(power, 0) + polar * azimuthal * share
    divisor = gcd(*terms.values())
    return tuple((*power, value // divisor) for power, value in sorted(terms.items()) if value)


def _azimuthal(order: int) -> dict[tuple[int, int], int]:
    """Real (order >= 0) or imaginary part of (x + iy)^|order|, as powers of x and y."""
    m = abs(order)
    odd = int(order < 0)
    return {(m - p, p): (-1) ** (p // 2) * comb(m, p) for p in range(odd, m + 1, 2)}


def _radius_power(k: int) -> list[tuple[int, int, int, int]]:
    """(x^2 + y^2 + z^2)^k as terms (i, j, k, coefficient)."""
    splits = ((a, b, k - a - b) for a in range(k + 1) for b in range(k + 1 - a))
    return [(2 * a, 2 * b, 2 * c, factorial(k) // (factorial(a) * factorial(b) * factorial(c))) for a, b, c in splits]


@cache
def squared_norm(rank: int, order: int) -> Fraction:
    r"""Full contraction S:S of the symmetric tensor whose polynomial is `solid_harmonic(rank, order)`.

    $S{:}S = \frac{1}{l!} \sum_{ijk} a_{ijk}^2 \, i! \, j! \, k!$

    Example:
        >>> squared_norm(2, 0)
        Fraction(6, 1)
    """
    total = sum(c * c * factorial(i) * factorial(j) * factorial(k) for i, j, k, c in solid_harmonic(rank, order))
    return Fraction(total, factorial(rank))


@cache
def coefficient_grid(rank: int) -> np.ndarray:
    """(2l+1, l+1, l+1) int64: coefficients of one rank's harmonics over the powers of x and y (z takes the rest)."""
    grid = np.zeros((2 * rank + 1, rank + 1, rank + 1), dtype=np.int64)
    for order in range(-rank, rank + 1):
        for i, j, _, value in solid_harmonic(rank, order):
            grid[order + rank, i, j] = value
    grid.flags.writeable = False
    return grid


@cache
def squared_norms(rank: int) -> tuple[Fraction, ...]:
    """S:S of the 2l+1 integer harmonics of one rank, in the order m = -l..l."""
    return tuple(squared_norm(rank, order) for order in range(-rank, rank + 1))


def component_slices(ranks: Sequence[int]) -> tuple[slice, ...]:
    """Where each tensor's 2l+1 components lie when tensors of these ranks are packed end to end.

    Example:
        >>> component_slices([0, 1, 2])
        (slice(0, 1, None), slice(1, 4, None), slice(4, 9, None))
    """
    ends = np.cumsum([2 * rank + 1 for rank in ranks]).tolist()
    return tuple(slice(end - 2 * rank - 1, end) for rank, end in zip(ranks, ends, strict=True))


@cache
def raising_table(rank: int) -> np.ndarray:
    """(3 (2l-1), 2l+1) float64: traceless part of (tensor of rank l-1) (x) (vector), as a matrix from the right."""
    from invarion.geometry.stretched import stretched_table

    table = stretched_table(rank, rank - 1).transpose(1, 2, 0).reshape(-1, 2 * rank + 1)
    table.flags.writeable = False
    return table


def harmonics(vectors: Any, max_rank: int) -> Any:
    r"""Packed traceless projections of $\hat r^{\otimes l}$ for l = 0..max_rank.

    For unit vectors, the components of rank l have the squared sum l!/(2l-1)!!. Rank l is the stretched part of
    (rank l-1) (x) vector: one outer product and one matrix product per rank, differentiable as often as wanted. For
    vectors that are not of unit length, the values are the solid harmonics.

    Args:
        vectors: (..., 3) array or torch tensor of x, y, z; any floating dtype.
        max_rank: largest rank L >= 0.

    Returns:
        (..., (L+1)^2) of the same kind, dtype and device.

    Example:
        >>> harmonics(np.array([[0.0, 0.0, 1.0]]), 2).round(3).tolist()
        [[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.816, 0.0, 0.0]]
    """
    if max_rank < 0:
        raise ConfigError(f"max_rank is {max_rank}; it must be 0 or larger")
    if isinstance(vectors, np.ndarray):
        tables = [raising_table(rank).astype(vectors.dtype) for rank in range(2, max_rank + 1)]
        constant = np.ones_like(vectors[..., :1])
        return np.concatenate(_climb(vectors[..., [1, 2, 0]], constant, tables, max_rank), -1)
    import torch

    tables = [torch.from_numpy(raising_table(rank).copy()).to(vectors) for rank in range(2, max_rank + 1)]
    first = torch.stack((vectors[..., 1], vectors[..., 2], vectors[..., 0]), -1)
    return torch.cat(_climb(first, torch.ones_like(vectors[..., :1]), tables, max_rank), -1)


def _climb(first: Any, constant: Any, tables: Sequence[Any], max_rank: int) -> list[Any]:
    """Ranks 0..max_rank one after the other, each from the one below and the vector in the order y, z, x."""
    ranks = [constant, first][: max_rank + 1]
    for table in tables:
        outer = ranks[-1][..., :, None] * first[..., None, :]
        # the product of the last axes is spelled out: -1 has no meaning without a single edge
        ranks.append(outer.reshape((*first.shape[:-1], table.shape[0])) @ table)
    return ranks
