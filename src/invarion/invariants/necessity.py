"""Which members of a basis are needed where: the strata that lose rank without them."""

from collections.abc import Sequence

from invarion.invariants.basis import InvariantBasis
from invarion.invariants.certificate import certify
from invarion.invariants.strata import strata_of


def needed_on(basis: InvariantBasis) -> list[tuple[int, ...] | None]:
    """For every member the smallest stratum that needs it.

    Args:
        basis: of at most 12 tensors that are not scalars.

    Returns:
        Ranks of the tensors that are non-zero on the first stratum (small ones first) where fewer members are
        independent without this one; () for a scalar by itself; None where every stratum can do without it.

    Raises:
        BasisError: more than 12 tensors, whose strata are too many.

    Example:
        >>> from invarion.invariants import optimal_basis
        >>> needed_on(optimal_basis(max_rank=2))
        [(), (1,), (2,), (1, 2), (2,), (1, 2)]
    """
    sets = strata_of(basis.ranks)
    every = _ranks(basis, sets, basis.invariants)
    found: list[tuple[int, ...] | None] = []
    for place, member in enumerate(basis.invariants):
        if member.degree == 1:
            found.append(())
            continue
        others = (*basis.invariants[:place], *basis.invariants[place + 1 :])
        fewer = _ranks(basis, sets, others)
        lost = (slots for slots, with_it, without in zip(sets, every, fewer, strict=True) if without < with_it)
        slots = next(lost, None)
        found.append(None if slots is None else tuple(basis.ranks[s] for s in slots if basis.ranks[s]))
    return found


def _ranks(basis: InvariantBasis, sets: Sequence[tuple[int, ...]], members: Sequence) -> list[int]:
    proofs = {proof.slots: proof.rank for proof in certify(basis.ranks, members, sets).strata}
    return [proofs[slots] for slots in sets]
