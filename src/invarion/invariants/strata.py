"""Strata: the sets of tensors that may vanish, and how many invariants are independent on each."""

from collections.abc import Sequence
from itertools import combinations

from invarion.exceptions import BasisError
from invarion.invariants.certificate import certify
from invarion.invariants.contractions import Contraction

MOST_TENSORS = 12


def strata_of(ranks: Sequence[int]) -> list[tuple[int, ...]]:
    """All sets of non-vanishing tensors, small ones first; scalars never vanish, sets of scalars alone are left out.

    Args:
        ranks: rank of every tensor; at most 12 of them not scalar.

    Returns:
        Slots of each stratum, ascending, scalars included.

    Example:
        >>> strata_of((0, 1, 2))
        [(0, 1), (0, 2), (0, 1, 2)]
    """
    scalars = [slot for slot, rank in enumerate(ranks) if rank == 0]
    others = [slot for slot, rank in enumerate(ranks) if rank > 0]
    if len(others) > MOST_TENSORS:
        raise BasisError(
            f"{len(others)} tensors have 2^{len(others)} strata; at most {MOST_TENSORS} tensors are listed"
        )
    sets = [chosen for size in range(1, len(others) + 1) for chosen in combinations(others, size)]
    return [tuple(sorted((*scalars, *chosen))) for chosen in sets]


def rank_on_strata(ranks: Sequence[int], invariants: Sequence[Contraction]) -> list[tuple[tuple[int, ...], int, int]]:
    """(ranks of the non-zero tensors, needed, have) on every stratum; see `InvariantBasis.strata`."""
    sets = strata_of(ranks)
    proofs = {proof.slots: proof for proof in certify(ranks, invariants, sets).strata}
    table = []
    for slots in sets:
        dimension = sum(2 * ranks[s] + 1 for s in slots)
        shown = tuple(ranks[s] for s in slots if ranks[s])
        table.append((shown, dimension - proofs[slots].orbit_dimension, proofs[slots].rank))
    return table
