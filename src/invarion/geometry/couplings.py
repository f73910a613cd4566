"""Clebsch-Gordan couplings, exact: integers in scaled coordinates, with the square roots of rationals kept apart.

In the coordinates a~_{lm} = sqrt((l+m)! (l-m)!) a_{lm} every Clebsch-Gordan number is an integer times one factor per
(l1, l2, l3), because Racah's sum is rational. Algebra (ranks, certificates) is done there; floats are made at the end.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import factorial, gcd
from typing import NamedTuple

import numpy as np

from invarion.exceptions import BasisError


class Coupling(NamedTuple):
    """The coupling of ranks l1 and l2 to l3 in scaled coordinates, up to one positive factor.

    `numbers[m1, m2]` are integers without a common divisor and
    C(l1 m1, l2 m2; l3 m1+m2) = sqrt(square * (l1+m1)!(l1-m1)!(l2+m2)!(l2-m2)! / ((l3+m3)!(l3-m3)!)) * numbers[m1, m2].

    Attributes:
        numbers: non-zero entries only, keyed by (m1, m2).
        square: the square of the common factor, a positive rational.
    """

    numbers: dict[tuple[int, int], int]
    square: Fraction


class Root(NamedTuple):
    """The exact real number sign * sqrt(square)."""

    sign: int
    square: Fraction

    def __float__(self) -> float:
        return self.sign * (self.square.numerator / self.square.denominator) ** 0.5


@lru_cache(maxsize=4096)
def couple(l1: int, l2: int, l3: int) -> Coupling:
    """Clebsch-Gordan numbers of l1 x l2 -> l3 as integers (Racah's formula), Condon-Shortley phases.

    Args:
        l1, l2, l3: ranks that satisfy the triangle inequality |l1 - l2| <= l3 <= l1 + l2.

    Raises:
        BasisError: the three ranks form no triangle.

    References:
        G. Racah, Phys. Rev. 62, 438 (1942), eq. (16).

    >>> couple(1, 1, 0).numbers
    {(-1, 1): 1, (0, 0): -2, (1, -1): 1}
    """
    if min(l1, l2, l3) < 0 or not abs(l1 - l2) <= l3 <= l1 + l2:
        raise BasisError(f"ranks {l1}, {l2} do not couple to {l3}; |l1 - l2| <= l3 <= l1 + l2 is needed")
    sums = {(m1, m2): _racah_sum(l1, l2, l3, m1, m2) for m1, m2 in _projections(l1, l2, l3)}
    values = {key: value * _weight(l3, sum(key)) for key, value in sums.items() if value}
    common = _common_factor(list(values.values()))
    return Coupling({key: int(value / common) for key, value in values.items()}, common**2 * _triangle(l1, l2, l3))


@lru_cache(maxsize=4096)
def couple_real(l1: int, l2: int, l3: int) -> dict[tuple[int, int, int], Root]:
    """The same coupling between real harmonics: {(m1, m2, m3): exact number}, orthonormal rows, non-zero entries only.

    Real harmonics carry no Condon-Shortley phase (l = 1 is y, z, x). Where l1 + l2 + l3 is odd the numbers, purely
    imaginary, are divided by i; the coupling of two vectors to a vector is then their cross product, up to a factor.

    >>> {key: (root.sign, str(root.square)) for key, root in couple_real(1, 1, 0).items()}
    {(-1, -1, 0): (-1, '1/3'), (0, 0, 0): (-1, '1/3'), (1, 1, 0): (-1, '1/3')}
    """
    entries = {}
    for m1 in range(-l1, l1 + 1):
        for m2 in range(-l2, l2 + 1):
            for m3 in {s1 * abs(m1) + s2 * abs(m2) for s1 in (1, -1) for s2 in (1, -1)}:
                root = _real_entry((l1, m1), (l2, m2), (l3, m3)) if abs(m3) <= l3 else None
                if root is not None:
                    entries[m1, m2, m3] = root
    return dict(sorted(entries.items()))


@lru_cache(maxsize=4096)
def coupling_table(l1: int, l2: int, l3: int) -> np.ndarray:
    """`couple_real` as a read-only float64 array (2 l1 + 1, 2 l2 + 1, 2 l3 + 1), components m = -l..l.

    Each number is the correctly rounded root of an exact rational.

    >>> bool(np.allclose(np.einsum("abM,abN->MN", coupling_table(1, 2, 2), coupling_table(1, 2, 2)), np.eye(5)))
    True
    """
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for (m1, m2, m3), root in couple_real(l1, l2, l3).items():
        table[m1 + l1, m2 + l2, m3 + l3] = float(root)
    table.setflags(write=False)
    return table


def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, l3: int, m3: int) -> Root:
    """The Clebsch-Gordan number C(l1 m1, l2 m2; l3 m3), exactly.

    >>> clebsch_gordan(1, 1, 1, -1, 2, 0)
    Root(sign=1, square=Fraction(1, 6))
    """
    coupling = couple(l1, l2, l3)
    number = coupling.numbers.get((m1, m2), 0) if m1 + m2 == m3 else 0
    weight = Fraction(_weight(l1, m1) * _weight(l2, m2), _weight(l3, m3)) if number else Fraction(0)
    return Root((number > 0) - (number < 0), coupling.square * weight * number**2)


def complex_from_real(degree: int) -> np.ndarray:
    """The unitary (2l+1, 2l+1) matrix U with Y_complex = U @ Y_real, components m = -l..l, Condon-Shortley phases.

    >>> [str(number) for number in complex_from_real(1).round(3)[2] + 0]
    ['-0.707j', '0j', '(-0.707+0j)']
    """
    matrix = np.zeros((2 * degree + 1, 2 * degree + 1), complex)
    for m in range(-degree, degree + 1):
        for mu, (phase, halved) in _real_combination(m).items():
            matrix[mu + degree, m + degree] = np.conj(phase) * (0.5**0.5 if halved else 1.0)
    return matrix


def _weight(degree: int, order: int) -> int:
    """(l + m)! (l - m)!."""
    return factorial(degree + order) * factorial(degree - order)


def _projections(l1: int, l2: int, l3: int) -> Iterator[tuple[int, int]]:
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            yield m1, m2


def _triangle(l1: int, l2: int, l3: int) -> Fraction:
    """(2 l3 + 1) Delta(l1 l2 l3)^2."""
    corners = factorial(l1 + l2 - l3) * factorial(l1 - l2 + l3) * factorial(l2 - l1 + l3)
    return Fraction((2 * l3 + 1) * corners, factorial(l1 + l2 + l3 + 1))


def _racah_sum(l1: int, l2: int, l3: int, m1: int, m2: int) -> Fraction:
    """Racah's alternating sum of inverse factorials."""
    total = Fraction(0)
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1):
        lower = (k, l1 + l2 - l3 - k, l1 - m1 - k, l2 + m2 - k, l3 - l2 + m1 + k, l3 - l1 - m2 + k)
        product = 1
        for number in lower:
            product *= factorial(number)
        total += Fraction((-1) ** k, product)
    return total


def _common_factor(values: list[Fraction]) -> Fraction:
    """The positive rational that leaves coprime integers when the values are divided by it."""
    denominator = 1
    for value in values:
        denominator = denominator * value.denominator // gcd(denominator, value.denominator)
    return Fraction(gcd(*(int(value * denominator) for value in values)), denominator)


def _real_combination(m: int) -> dict[int, tuple[complex, bool]]:
    """Real harmonic m as a sum over complex ones: {mu: (phase, whether divided by sqrt 2)}."""
    if m == 0:
        return {0: (1, False)}
    sign = (-1) ** abs(m)
    return {-m: (1, True), m: (sign, True)} if m > 0 else {m: (1j, True), -m: (-1j * sign, True)}


def _real_entry(one: tuple[int, int], two: tuple[int, int], three: tuple[int, int]) -> Root | None:
    """One number between real harmonics; its terms share a radicand, so that their Gaussian-integer phases add."""
    (l1, m1), (l2, m2), (l3, m3) = one, two, three
    total, square = 0j, Fraction(0)
    for mu1, (phase1, half1) in _real_combination(m1).items():
        for mu2, (phase2, half2) in _real_combination(m2).items():
            if mu1 + mu2 not in (combination := _real_combination(m3)):
                continue
            phase3, half3 = combination[mu1 + mu2]
            root = clebsch_gordan(l1, mu1, l2, mu2, l3, mu1 + mu2)
            total += root.sign * complex(phase1).conjugate() * complex(phase2).conjugate() * phase3
            square = max(square, root.square / 2 ** (half1 + half2 + half3))
    number = int((total / 1j).real if (l1 + l2 + l3) % 2 else total.real)
    return Root((number > 0) - (number < 0), square * number**2) if number and square else None
