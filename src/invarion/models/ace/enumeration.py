"""The functions of an ACE basis: which products of A-basis values, coupled how, are linearly independent."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from invarion.exceptions import BasisError
from invarion.geometry.couplings import couple

MAX_FUNCTIONS = 200_000  # more than this per element is refused before memory runs out
_PRIME = 2**31 - 1


class Slot(NamedTuple):
    """A block of 2l+1 A-basis values: neighbours of one element seen through one radial function.

    Attributes:
        species: place of the neighbour's element in the model's species.
        n: radial function, from 1.
        rank: l.
    """

    species: int
    n: int
    rank: int


class Coupled(NamedTuple):
    """One basis function: the product of up to four slots, coupled pairwise, [(1 2) x (3 4)] to a scalar.

    Attributes:
        slots: sorted by rank, radial index and species, so that equal products have equal slots.
        inner: the rank that the first two slots couple to; 0 where there are fewer than three.
    """

    slots: tuple[Slot, ...]
    inner: int

    @property
    def degree(self) -> int:
        """Number of A-basis values multiplied; the body order is one more."""
        return len(self.slots)


class Truncation(NamedTuple):
    """How far a basis goes, for one element's atoms.

    Attributes:
        n_radial: largest radial index at degree 1, 2, ... (one number per degree).
        max_rank: largest rank at each degree.
        total_degree: largest sum of (n - 1) + rank over the slots of a function; None for no limit.
    """

    n_radial: tuple[int, ...]
    max_rank: tuple[int, ...]
    total_degree: int | None = None


def enumerate_coupled(truncation: Truncation, n_species: int = 1) -> tuple[Coupled, ...]:
    """All linearly independent, rotation and reflection invariant functions within a truncation, by degree.

    Products that differ in their slots are different monomials in the A-basis values, so that only couplings of the
    same slots can depend on each other; there an exact rank decides (see `independent_inner`).

    Args:
        truncation: limits per degree; degrees 1 to 4.
        n_species: number of elements of the neighbours.

    Returns:
        Functions ordered by degree, then slots, then inner rank.

    Raises:
        BasisError: more than `MAX_FUNCTIONS` functions.

    >>> [sum(f.degree == d for f in enumerate_coupled(Truncation((2,) * 4, (2,) * 4))) for d in (1, 2, 3, 4)]
    [2, 9, 26, 75]
    """
    found: list[Coupled] = []
    for degree in range(1, len(truncation.n_radial) + 1):
        for slots in _products(truncation, degree, n_species):
            found.extend(Coupled(slots, inner) for inner in independent_inner(*_pattern(slots)))
            if len(found) > MAX_FUNCTIONS:
                raise BasisError(
                    f"the basis has more than {MAX_FUNCTIONS} functions per element by degree {degree}; "
                    "lower n_radial, max_rank or max_degree, or set total_degree"
                )
    return tuple(found)


@lru_cache(maxsize=65536)
def independent_inner(ranks: tuple[int, ...], groups: tuple[int, ...]) -> tuple[int, ...]:
    """Inner ranks whose couplings of these slots are linearly independent and span all invariants; smallest first.

    The couplings are polynomials with integer coefficients in scaled coordinates. Those kept have full rank modulo a
    prime, which proves their independence over the rationals.

    Args:
        ranks: of the slots, ascending.
        groups: equal numbers mark slots that are the same (their A-basis values are the same variables).

    >>> independent_inner((2, 2, 2, 2), (0, 1, 2, 3)), independent_inner((2, 2, 2, 2), (0, 0, 0, 0))
    ((0, 1, 2, 3, 4), (0,))
    """
    candidates = _inner_ranks(ranks)
    if len(candidates) <= 1 and len(set(groups)) == len(groups):
        return candidates
    polynomials = [coupling_polynomial(ranks, groups, inner) for inner in candidates]
    monomials = sorted({monomial for polynomial in polynomials for monomial in polynomial})
    rows = [[polynomial.get(monomial, 0) % _PRIME for monomial in monomials] for polynomial in polynomials]
    return tuple(candidates[row] for row in _independent_rows(rows))


def coupling_polynomial(
    ranks: tuple[int, ...], groups: tuple[int, ...], inner: int
) -> dict[tuple[tuple[int, int], ...], int]:
    """The coupled product as an integer polynomial: {sorted (group, m) factors: coefficient}, up to one factor.

    >>> coupling_polynomial((1, 1), (0, 0), 0)
    {((0, -1), (0, 1)): 2, ((0, 0), (0, 0)): -2}
    """
    halves = _couple_half(ranks[:2], groups[:2], inner), _couple_half(ranks[2:], groups[2:], inner)
    total: dict[tuple[tuple[int, int], ...], int] = {}
    for m, left in halves[0].items():
        weight = couple(inner, inner, 0).numbers[m, -m]
        for one, value in left.items():
            for two, other in halves[1].get(-m, {}).items():
                key = tuple(sorted(one + two))
                total[key] = total.get(key, 0) + weight * value * other
    return {key: value for key, value in total.items() if value}


def _couple_half(
    ranks: tuple[int, ...], groups: tuple[int, ...], inner: int
) -> dict[int, dict[tuple[tuple[int, int], ...], int]]:
    """{m: polynomial} of none, one or two slots coupled to rank `inner`, in scaled coordinates."""
    if len(ranks) == 0:
        return {0: {(): 1}}
    if len(ranks) == 1:
        return {m: {((groups[0], m),): 1} for m in range(-inner, inner + 1)}
    half: dict[int, dict[tuple[tuple[int, int], ...], int]] = {}
    for (m1, m2), number in couple(*ranks, inner).numbers.items():
        terms = half.setdefault(m1 + m2, {})
        key = tuple(sorted(((groups[0], m1), (groups[1], m2))))
        terms[key] = terms.get(key, 0) + number
    return half


def _inner_ranks(ranks: tuple[int, ...]) -> tuple[int, ...]:
    """Ranks that both halves of the slots can couple to; none where parity is odd."""
    if sum(ranks) % 2:
        return ()
    (low1, high1), (low2, high2) = _reach(ranks[:2]), _reach(ranks[2:])
    return tuple(range(max(low1, low2), min(high1, high2) + 1))


def _reach(ranks: tuple[int, ...]) -> tuple[int, int]:
    return (abs(ranks[0] - ranks[-1]), sum(ranks)) if len(ranks) == 2 else (sum(ranks), sum(ranks))


def _independent_rows(rows: Sequence[Sequence[int]]) -> list[int]:
    """Indices of the rows that do not depend on earlier ones, modulo the prime."""
    kept: list[int] = []
    reduced: list[tuple[int, np.ndarray]] = []
    for index, numbers in enumerate(rows):
        row = np.array(numbers, dtype=np.int64)
        for pivot, other in reduced:
            row = (row - row[pivot] * other) % _PRIME
        nonzero = np.flatnonzero(row)
        if len(nonzero):
            pivot = int(nonzero[0])
            reduced.append((pivot, row * pow(int(row[pivot]), -1, _PRIME) % _PRIME))
            kept.append(index)
    return kept


def _products(truncation: Truncation, degree: int, n_species: int) -> Iterator[tuple[Slot, ...]]:
    """Multisets of slots of one degree within the truncation, ranks ascending."""
    limit = truncation.total_degree
    top = 0 if degree == 1 else truncation.max_rank[degree - 1]
    slots = [
        Slot(species, n, rank)
        for rank in range(top + 1)
        for n in range(1, truncation.n_radial[degree - 1] + 1)
        for species in range(n_species)
        if limit is None or n - 1 + rank <= limit
    ]
    for product in combinations_with_replacement(slots, degree):
        if limit is None or sum(slot.n - 1 + slot.rank for slot in product) <= limit:
            yield product


def _pattern(slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ranks of the slots, and which of them are the same."""
    groups = tuple(slots.index(slot) for slot in slots)
    return tuple(slot.rank for slot in slots), groups
