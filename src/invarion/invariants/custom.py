"""A basis of invariants of the user's own choice, with the certificate of what they are worth."""

from collections.abc import Iterable, Sequence

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import cost_function
from invarion.invariants.optimal import assemble
from invarion.invariants.request import tensor_ranks


def custom_basis(
    invariants: Iterable[Contraction],
    max_rank: int | None = None,
    *,
    channels: int = 1,
    ranks: Sequence[int] | None = None,
) -> InvariantBasis:
    """A basis of given contractions, in canonical form, even ones first; the certificate says what is proved about it.

    Args:
        invariants: contractions of the tensors; at least one, none twice.
        max_rank: L; one tensor of each rank 0..L in every channel.
        channels: number of channels N.
        ranks: any list of tensor ranks instead of max_rank.

    Raises:
        BasisError: a contraction does not fit the tensors, or occurs twice, or there is none.

    Example:
        >>> basis = custom_basis([Contraction((0,)), Contraction((1, 1), ((0, 1, 1),))], max_rank=2)
        >>> len(basis), basis.complete, basis.certificate.independent
        (2, False, True)
    """
    slots = tensor_ranks(max_rank, channels, ranks)
    members = list(invariants)
    for contraction in members:
        contraction.check(slots)
    canonical = [c.canonical() for c in members]
    if not members or len(set(canonical)) < len(members):
        raise BasisError(
            f"{len(members)} contractions with {len(set(canonical))} different ones; give each once, at least one"
        )
    ordered = tuple(sorted(canonical, key=lambda c: c.epsilon is not None))
    parity = "both" if any(c.epsilon for c in ordered) else "even"
    top = max(c.degree for c in ordered)
    return assemble(slots, channels, "custom", parity, top, ordered, cost_function("degree", slots)[1], None)
