"""Invariants that change sign under reflection: the least degree they have, and one of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Price, by_cost
from invarion.invariants.counting import estimated_candidates
from invarion.invariants.enumeration import candidates, check_number
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import values
from invarion.invariants.molien import molien_counts
from invarion.invariants.sampling import sampled_odd_contractions

_FARTHEST = 16
_MOST_LISTED = 5_000


def least_odd_degree(ranks: Sequence[int]) -> int | None:
    """Least degree of a non-zero invariant that changes sign under reflection, from Molien counts.

    Args:
        ranks: rank of every tensor.

    Returns:
        The degree; None when there is none up to degree 16 (surely none when all ranks are even).

    Example:
        >>> [least_odd_degree(range(L + 1)) for L in (2, 3, 4)]
        [6, 4, 3]
    """
    if all(rank % 2 == 0 for rank in ranks):
        return None
    for reach in (4, 8, _FARTHEST):
        counts = molien_counts(ranks, reach, "odd")
        if any(counts):
            return next(degree for degree, n in enumerate(counts, start=1) if n)
    return None


def odd_members(
    ranks: Sequence[int], max_degree: int | None, price: Price, by_degree: bool = True
) -> tuple[Contraction, ...]:
    """One contraction with a Levi-Civita tensor that is not zero: enough for mirror images at generic points.

    It is the cheapest, unless the least degree has more contractions than can be looked through: then the first of
    random ones.

    Args:
        ranks: rank of every tensor.
        max_degree: largest degree allowed; None for the least possible.
        price: cost of a contraction.
        by_degree: whether the cost grows with the degree, so that the least degree is enough.

    Returns:
        One contraction, or none when there is none up to max_degree.
    """
    least = least_odd_degree(ranks)
    if least is None or least > (max_degree or least):
        return ()
    top = least if by_degree else max_degree or least
    found = (c for c in _offered(ranks, range(least, top + 1), price) if not _vanishes(c, ranks))
    return (next(found),)  # Molien's count says that there is one


def _offered(ranks: Sequence[int], degrees: range, price: Price) -> Iterator[Contraction]:
    """Contractions by cost; random ones of the least degree where there are too many."""
    if estimated_candidates(ranks, degrees[0], epsilon=True, enough=_MOST_LISTED) > _MOST_LISTED:
        return sampled_odd_contractions(ranks, degrees[0])
    check_number(ranks, degrees, "odd")
    pool = (c for degree in degrees for c in candidates(ranks, degree, "odd"))
    return iter(by_cost((c for c in pool if not c.flips_sign()), price))


def _vanishes(contraction: Contraction, ranks: Sequence[int]) -> bool:
    """Whether a contraction is zero at two random points modulo large primes."""
    for trial, prime in enumerate(PRIMES[:2]):
        field = PrimeField(prime)
        point = field.random(np.random.default_rng(trial), sum(2 * rank + 1 for rank in ranks))
        if values([contraction], ranks, point[None], field)[0, 0]:
            return False
    return True
