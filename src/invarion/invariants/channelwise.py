"""Complete sets for many channels: every channel's own optimal basis, and what ties the channels together."""

from collections.abc import Iterator
from functools import lru_cache

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis, Search
from invarion.invariants.contractions import Contraction
from invarion.invariants.enumeration import all_candidates, enumerate_contractions
from invarion.invariants.greedy import Greedy
from invarion.invariants.optimal import assemble, optimal_basis
from invarion.invariants.request import tensor_ranks

_LARGEST = 1600  # components of all channels; the proof takes time with the third power
_TIE_DEGREE = 3


@lru_cache(maxsize=16, typed=True)
def channelwise_basis(max_rank: int, max_degree: int | None = None, channels: int = 1) -> InvariantBasis:
    """An independent, complete basis in which every channel keeps its own invariants of high degree.

    The cheapest independent set of several channels is complete without any product of four tensors, and so blind to
    environments that share all 4-body information. Here each channel brings its whole optimal basis first; contractions
    between channels, nearest ones first and of least degree, complete the set.

    Args:
        max_rank: L.
        max_degree: most tensors in one product within a channel; None for as many as completeness needs.
        channels: number of channels N.

    Returns:
        The basis: channel by channel, then the ties. It has N (L+1)^2 - 3 members for L >= 2, N >= 1.

    Raises:
        BasisError: numbers out of range, or more components than the proof can handle.

    Example:
        >>> basis = channelwise_basis(max_rank=2, max_degree=4, channels=3)
        >>> len(basis), basis.complete, basis.certificate.independent
        (24, True, True)
    """
    own = optimal_basis(max_rank, max_degree)
    ranks = own.ranks * channels
    if channels < 1 or channels * own.dimension > _LARGEST:
        raise BasisError(
            f"{channels} channels of {own.dimension} components are asked for; at least one channel and at most "
            f"{_LARGEST} components are allowed: use fewer radial functions, fewer species or a lower max_rank"
        )
    if channels == 1:
        return own
    greedy = Greedy(ranks)
    width = max_rank + 1
    greedy.offer([_moved(c, channel * width) for channel in range(channels) for c in own.invariants])
    for reach in range(1, channels):
        if greedy.complete:
            break
        greedy.offer(list(_ties(max_rank, channels, reach)))
    search = Search("channelwise", greedy.n_offered, greedy.n_trials, greedy.error_bound)
    members = tuple(greedy.kept)
    return assemble(ranks, channels, "channelwise", "even", own.max_degree, members, lambda c: c.degree, search)


def _moved(contraction: Contraction, offset: int) -> Contraction:
    return Contraction(tuple(v + offset for v in contraction.vertices), contraction.edges, contraction.epsilon)


def _ties(max_rank: int, channels: int, reach: int) -> Iterator[Contraction]:
    """Contractions between channels `reach` apart: dot products of equal ranks, largest first, then degree 3."""
    width = max_rank + 1
    for channel in range(channels - reach):
        first, second = channel * width, (channel + reach) * width
        yield from (Contraction((first + k, second + k), ((0, 1, k),)) for k in range(max_rank, 0, -1))
    slots = [*range(width), *range(width)]
    pair = [c for c in enumerate_contractions(slots, _TIE_DEGREE) if _mixes(c, width)]
    for channel in range(channels - reach):
        for contraction in pair:
            places = [v + width * (channel + (reach - 1) * (v >= width)) for v in contraction.vertices]
            yield Contraction(tuple(places), contraction.edges)


def _mixes(contraction: Contraction, width: int) -> bool:
    return len({v >= width for v in contraction.vertices}) == 2


@lru_cache(maxsize=4, typed=True)
def full_basis(max_rank: int, max_degree: int, channels: int = 1) -> InvariantBasis:
    """All connected contractions up to a degree: every invariant polynomial of that degree is a polynomial of these.

    Args:
        max_rank: L.
        max_degree: most tensors in one product.
        channels: number of channels N.

    Returns:
        The basis; far more members than are independent.

    Raises:
        BasisError: numbers out of range, or more than half a million candidates.

    Example:
        >>> len(full_basis(max_rank=3, max_degree=4))
        20
    """
    ranks = tensor_ranks(max_rank, channels, None)
    members = tuple(all_candidates(ranks, max_degree))
    return assemble(ranks, channels, "full", "even", max_degree, members, lambda c: c.degree, None)
