"""Flexible bases: complete on every stratum where some of the tensors vanish."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis, Search
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Cost, Price, by_cost, cost_function
from invarion.invariants.greedy import Greedy
from invarion.invariants.journal import Journal
from invarion.invariants.odd import least_odd_degree, odd_members
from invarion.invariants.optimal import assemble
from invarion.invariants.request import check_degree, check_parity, check_seed, tensor_ranks
from invarion.invariants.search import Offers
from invarion.invariants.strata import strata_of
from invarion.invariants.tables import stored_basis


def flexible_basis(
    max_rank: int | None = None,
    max_degree: int | None = None,
    *,
    channels: int = 1,
    ranks: Sequence[int] | None = None,
    parity: str = "even",
    cost: Cost = "degree",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    resume: str | PathLike | None = None,
) -> InvariantBasis:
    """The cheapest set of invariants that is complete on every stratum: generic points and any tensors vanishing.

    Strata are completed from small to large with contractions of all their tensors, cheapest first. A smaller stratum's
    span is fixed by then, so the total cost is least. What a pair of tensors needs beyond their pure invariants ties
    the two together, and where that suffices for all larger strata this is the all-pairs set of the second paper.

    Args:
        max_rank: L; one tensor of each rank 0..L in every channel.
        max_degree: most tensors in one product; None for as many as needed (10 where a rank-3 tensor can be alone).
        channels: number of channels N.
        ranks: any list of tensor ranks instead of max_rank.
        parity: 'even', or 'both' to append an invariant that tells mirror images apart at generic points.
        cost: 'degree', 'monomials' or a function of a `Contraction`.
        seed: of the random points at which candidates are judged.
        progress: called with a line of text after every stratum and degree.
        resume: file of finished stages; a search that was stopped goes on from it when asked for the same again.

    Returns:
        The basis with a certificate for every stratum; not independent, since strata need more than generic points do.

    Raises:
        BasisError: max_degree is too low (the message names what suffices), or there are more than 12 tensors or half a
            million candidates.

    References:
        Bujack, Shinkle, Allen, Suk, Lubbers, arXiv:2503.21939.

    Example:
        >>> flexible_basis(max_rank=2).strata()
        [((1,), 2, 2), ((2,), 3, 3), ((1, 2), 6, 6)]
    """
    slots = tensor_ranks(max_rank, channels, ranks)
    check_degree(max_degree)
    check_parity(parity)
    check_seed(seed)
    stored = stored_basis("flexible", slots) if (parity, cost, seed) == ("even", "degree", 0) else None
    if stored is not None:
        return _within(stored, max_degree)
    return find_flexible(slots, max_degree, channels, parity, cost, seed, progress, resume)


def find_flexible(
    slots: tuple[int, ...],
    max_degree: int | None = None,
    channels: int = 1,
    parity: str = "even",
    cost: Cost = "degree",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    resume: str | PathLike | None = None,
) -> InvariantBasis:
    """`flexible_basis` by search, whether or not a table is shipped; `slots` is the rank of every tensor."""
    name, price = cost_function(cost, slots)
    journal = Journal(resume, f"flexible {slots} degree {max_degree} cost {name} seed {seed}")
    members, search = complete_strata(slots, strata_of(slots), (name, price), max_degree, seed, progress, journal)
    odd = odd_members(slots, max_degree, price, name == "degree") if parity == "both" else ()
    if parity == "both":
        search = replace(search, least_odd_degree=least_odd_degree(slots))
    top = max_degree or max(c.degree for c in members)
    every = (*members, *odd)
    return assemble(slots, channels, "flexible", parity, top, every, price, search, strata_of(slots))


def anchored_basis(max_rank: int, anchor: int = 2, *, seed: int = 0) -> InvariantBasis:
    """The one-anchor set: pure invariants of every tensor, and invariants that tie each one to the anchor alone.

    It has (L+1)^2 - 3 members and is complete only where the anchor does not vanish: see its `strata()`.

    Args:
        max_rank: L >= 2.
        anchor: rank of the anchor, 2..L; a vector leaves rotations about itself free and cannot anchor.
        seed: of the random points.

    Raises:
        BasisError: the anchor is not between 2 and max_rank.

    References:
        Bujack, Shinkle, Allen, Suk, Lubbers, arXiv:2503.21939.

    Example:
        >>> [row for row in anchored_basis(2).strata() if row[1] > row[2]]
        []
    """
    slots = tensor_ranks(max_rank, 1, None)
    if not 2 <= anchor <= max_rank:
        raise BasisError(f"anchor is {anchor}; it must be a rank from 2 to max_rank = {max_rank}")
    alone = [(0, rank) for rank in slots if rank]
    tied = [tuple(sorted((0, rank, anchor))) for rank in slots if rank not in (0, anchor)]
    return _from_strata("anchored", slots, [*alone, *tied], seed)


def all_pairs_basis(max_rank: int, *, seed: int = 0) -> InvariantBasis:
    """The all-pairs set: pure invariants of every tensor, and invariants that tie each pair, cheapest first.

    Larger strata are not looked at; `strata()` shows that none needs more, so that this is the flexible set.

    Args:
        max_rank: L >= 0.
        seed: of the random points.

    References:
        Bujack, Shinkle, Allen, Suk, Lubbers, arXiv:2503.21939.

    Example:
        >>> all_pairs_basis(2).invariants == flexible_basis(2).invariants
        True
    """
    slots = tensor_ranks(max_rank, 1, None)
    return _from_strata("all_pairs", slots, [s for s in strata_of(slots) if len(s) <= 3], seed)


def _from_strata(kind: str, slots: tuple[int, ...], strata: list[tuple[int, ...]], seed: int) -> InvariantBasis:
    """A basis that is made complete on the given strata, and is certified on all."""
    check_seed(seed)
    cost = cost_function("degree", slots)
    members, search = complete_strata(slots, strata, cost, None, seed)
    top = max(c.degree for c in members)
    return assemble(slots, 1, kind, "even", top, members, cost[1], search, strata_of(slots))


def complete_strata(
    ranks: tuple[int, ...],
    strata: Iterable[tuple[int, ...]],
    cost: tuple[str, Price],
    max_degree: int | None,
    seed: int,
    tell: Callable[[str], None] | None = None,
    journal: Journal | None = None,
) -> tuple[tuple[Contraction, ...], Search]:
    """Members that complete the given strata one after the other.

    Args:
        ranks: rank of every tensor.
        strata: slots of the tensors that do not vanish, small strata first.
        cost: name and function.
        max_degree: largest degree allowed, or None.
        seed: of the random points.
        tell: called with lines of text.
        journal: finished stages.

    Returns:
        Members by cost, and how they were found.

    Raises:
        BasisError: max_degree is too low for some stratum.
    """
    name, price = cost
    members = [Contraction((slot,)) for slot, rank in enumerate(ranks) if rank == 0]
    offered, unproved, trials, bound, journal = len(members), 0, 0, 0.0, journal or Journal(None, "")
    for slots in strata:
        greedy = Greedy([ranks[s] for s in slots], seed=seed)
        greedy.offer([_relabel(c, slots.index) for c in members if set(c.vertices) <= set(slots)])
        before = len(greedy.kept)
        inside = lambda c, slots=slots: price(_relabel(c, slots.__getitem__))  # noqa: E731 - the price in this numbering
        offers = Offers(inside, name == "degree", tell or (lambda line: None), journal, f"tensors {slots}", True)
        _refuse_if_short(offers, greedy, offers.fill(greedy, max_degree))
        members += [_relabel(c, slots.__getitem__) for c in greedy.kept[before:]]
        offered, bound = offered + greedy.n_offered, bound + greedy.error_bound
        unproved, trials = unproved + greedy.n_unproved, greedy.n_trials
    search = Search(name, offered, trials, bound, n_unproved=unproved)
    return tuple(by_cost(members, price)), search


def _refuse_if_short(offers: Offers, greedy: Greedy, degree: int) -> None:
    """A stratum that stays incomplete is an error that names the degree it needs."""
    if not greedy.complete:
        needed = offers.sufficient_degree(greedy, degree)
        raise BasisError(
            f"max_degree is {degree}, but tensors of ranks {[r for r in greedy.ranks if r]} need "
            f"{f'degree {needed}' if needed else 'a higher degree'} for themselves; raise max_degree, or leave it out"
        )


def _relabel(contraction: Contraction, number: Callable[[int], int]) -> Contraction:
    """The same graph with its tensors numbered otherwise; an increasing renumbering keeps the form canonical."""
    return Contraction(tuple(number(s) for s in contraction.vertices), contraction.edges, contraction.epsilon)


def _within(basis: InvariantBasis, max_degree: int | None) -> InvariantBasis:
    """A stored basis, if the degree allowed is high enough for it."""
    if max_degree is not None and max_degree < basis.max_degree:
        raise BasisError(
            f"max_degree is {max_degree}, but a flexible set of ranks <= {basis.max_rank} needs degree "
            f"{basis.max_degree}; set max_degree to {basis.max_degree} or more, or leave it out"
        )
    return basis
