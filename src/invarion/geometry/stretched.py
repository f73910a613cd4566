"""Stretched couplings: a symmetric traceless tensor of rank l, its indices split into bundles.

Any k indices of a symmetric traceless tensor are symmetric and traceless themselves, so a bundle of k indices has 2k+1
independent components instead of 3^k. All contractions of invarion are sums over such bundles.
"""

from fractions import Fraction
from functools import cache
from math import factorial, sqrt

import numpy as np

from invarion.exceptions import ConfigError
from invarion.geometry.harmonics import coefficient_grid, squared_norms

_MOST_RANK = 12


@cache
def stretched_numerators(rank: int, part: int) -> np.ndarray:
    r"""Exact pairings of integer harmonics: $l! \, S_{lm} : (S_{k m_1} \otimes S_{l-k, m_2})$.

    Args:
        rank: l >= 0.
        part: k, 0 <= k <= l, indices in the first bundle.

    Returns:
        (2l+1, 2k+1, 2(l-k)+1) int64; divide by l! for the full contraction of the tensors.
    """
    if not 0 <= part <= rank:
        raise ConfigError(f"part is {part} for rank {rank}; allowed is 0 <= part <= rank")
    if rank > _MOST_RANK:
        raise ConfigError(f"rank is {rank}; tables of whole numbers are exact in 64 bits up to rank {_MOST_RANK}")
    products = _multiply_grids(coefficient_grid(part), coefficient_grid(rank - part))
    weighted = coefficient_grid(rank) * _power_weights(rank)
    result = np.einsum("mij,abij->mab", weighted, products)
    result.flags.writeable = False
    return result


def _multiply_grids(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of two families of homogeneous polynomials: (A, k+1, k+1) x (B, q+1, q+1) -> (A, B, k+q+1, k+q+1)."""
    k, q = left.shape[1], right.shape[1]
    product = np.zeros((left.shape[0], right.shape[0], k + q - 1, k + q - 1), dtype=np.int64)
    for i in range(k):
        for j in range(k - i):
            product[:, :, i : i + q, j : j + q] += left[:, None, i, j, None, None] * right[None]
    return product


def _power_weights(rank: int) -> np.ndarray:
    """i! j! k! of every monomial x^i y^j z^k of one degree, zero outside the simplex."""
    powers = range(rank + 1)
    weight = [
        [factorial(i) * factorial(j) * factorial(rank - i - j) if i + j <= rank else 0 for j in powers] for i in powers
    ]
    return np.array(weight, dtype=np.int64)


@cache
def stretched_table(rank: int, part: int) -> np.ndarray:
    r"""$B_{lm} : (B_{k m_1} \otimes B_{l-k, m_2})$ of orthonormal tensors, (2l+1, 2k+1, 2(l-k)+1) float64.

    An isometry: its products over both bundles sum to the identity of rank l.
    """
    scales = [inverse_lengths(r) for r in (rank, part, rank - part)]
    table = stretched_numerators(rank, part) / factorial(rank)
    table = table * scales[0][:, None, None] * scales[1][:, None] * scales[2]
    table.flags.writeable = False
    return table


@cache
def inverse_lengths(rank: int) -> np.ndarray:
    """(2l+1,) float64: 1/sqrt(S:S), which turns the integer harmonics into orthonormal ones."""
    return np.array([1 / sqrt(norm) for norm in squared_norms(rank)])


@cache
def split_table(rank: int, bundles: tuple[int, ...]) -> np.ndarray:
    """(2l+1, 2k1+1, ..., 2kr+1) float64: orthonormal components of a tensor whose indices are split into bundles.

    Args:
        rank: l >= 0.
        bundles: numbers of indices per bundle, their sum is l; () for rank 0.
    """
    table, left = np.eye(2 * rank + 1), rank
    for part in bundles[:-1]:
        table = np.tensordot(table, stretched_table(left, part), axes=1)
        left -= part
    return table if bundles else table[:, 0]


@cache
def split_table_exact(rank: int, bundles: tuple[int, ...]) -> np.ndarray:
    """The same split in integer harmonic coordinates w (tensor = sum of w S), as fractions in an object array.

    Coordinates go in and come out contravariant, so an edge between two bundles needs the metric S:S.
    """
    table, left = np.eye(2 * rank + 1, dtype=int).astype(object), rank
    for part in bundles[:-1]:
        raised = [np.array([1 / n for n in squared_norms(r)], dtype=object) for r in (part, left - part)]
        step = stretched_numerators(left, part).astype(object) * Fraction(1, factorial(left))
        table = np.tensordot(table, step * raised[0][:, None] * raised[1], axes=1)
        left -= part
    return table if bundles else table[:, 0]


@cache
def split_table_modulo(rank: int, bundles: tuple[int, ...], prime: int) -> np.ndarray:
    """`split_table_exact` modulo a prime, int64 in [0, prime); an edge needs the metric of `metric_modulo`."""
    table, left = np.eye(2 * rank + 1, dtype=object), rank
    for part in bundles[:-1]:
        table = np.tensordot(table, _split_step(left, part, prime), axes=1) % prime
        left -= part
    return (table if bundles else table[:, 0]).astype(np.int64)


def _split_step(rank: int, part: int, prime: int) -> np.ndarray:
    """One split modulo a prime with both indices raised, as Python integers."""
    raised = [np.array([reduce(1 / n, prime) for n in squared_norms(r)], dtype=object) for r in (part, rank - part)]
    table = stretched_numerators(rank, part).astype(object) * pow(factorial(rank), -1, prime)
    return table * raised[0][:, None] * raised[1] % prime


@cache
def metric_modulo(rank: int, prime: int) -> np.ndarray:
    """(2l+1,) int64: S:S of the integer harmonics of one rank modulo a prime."""
    return np.array([reduce(n, prime) for n in squared_norms(rank)], dtype=np.int64)


def reduce(value: Fraction, prime: int) -> int:
    """A rational number modulo a prime that does not divide its denominator.

    Example:
        >>> reduce(Fraction(1, 2), 7)
        4
    """
    return value.numerator * pow(value.denominator, -1, prime) % prime
