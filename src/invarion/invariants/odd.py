"""Invariants that change sign under reflection: the least degree they have, and the cheapest one."""

from collections.abc import Sequence

import numpy as np

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Price, by_cost
from invarion.invariants.enumeration import candidates, check_number
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import values
from invarion.invariants.molien import molien_counts

_FARTHEST = 16


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


def odd_members(ranks: Sequence[int], max_degree: int | None, price: Price) -> tuple[Contraction, ...]:
    """The cheapest contraction with a Levi-Civita tensor that is not zero: enough for mirror images at generic points.

    Args:
        ranks: rank of every tensor.
        max_degree: largest degree allowed; None for the least possible.
        price: cost of a contraction.

    Returns:
        One contraction, or none when there is none up to max_degree.
    """
    least = least_odd_degree(ranks)
    if least is None or least > (max_degree or least):
        return ()
    degrees = range(least, (max_degree or least) + 1)
    check_number(ranks, degrees, "odd")
    pool = (c for degree in degrees for c in candidates(ranks, degree, "odd"))
    for contraction in by_cost(pool, price):
        if not contraction.flips_sign() and not _vanishes(contraction, ranks):
            return (contraction,)
    raise BasisError(
        f"no odd contraction of degree {least} was found, though characters say there is one; please report"
    )


def _vanishes(contraction: Contraction, ranks: Sequence[int]) -> bool:
    """Whether a contraction is zero at two random points modulo large primes."""
    for trial, prime in enumerate(PRIMES[:2]):
        field = PrimeField(prime)
        point = field.random(np.random.default_rng(trial), sum(2 * rank + 1 for rank in ranks))
        if values([contraction], ranks, point[None], field)[0, 0]:
            return False
    return True
