"""Optimal bases: complete, independent, and cheapest among all contractions."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis, Search
from invarion.invariants.certificate import certify
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Cost, Price, by_cost, cost_function
from invarion.invariants.enumeration import candidates
from invarion.invariants.greedy import Greedy
from invarion.invariants.molien import estimated_candidates
from invarion.invariants.odd import odd_members
from invarion.invariants.request import check_degree, check_parity, tensor_ranks

_LOOKAHEAD = 20_000  # candidates of one degree: beyond, the degree that would suffice is not searched for


def optimal_basis(
    max_rank: int | None = None,
    max_degree: int | None = None,
    *,
    channels: int = 1,
    ranks: Sequence[int] | None = None,
    parity: str = "even",
    cost: Cost = "degree",
    min_per_degree: Mapping[int, int] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> InvariantBasis:
    """The cheapest independent set of rotation invariants that is as complete as its degree allows.

    Functional independence is a matroid, so keeping each contraction that is independent of the cheaper ones gives a
    set of least total cost among all sets of the same rank. A degree too low for completeness is no error: then
    `certificate.complete` is False and `search.sufficient_degree` names the degree that suffices.

    Args:
        max_rank: L; one tensor of each rank 0..L in every channel.
        max_degree: most tensors in one product; None for as many as completeness needs.
        channels: number of channels N.
        ranks: any list of tensor ranks instead of max_rank.
        parity: 'even', or 'both' to append an invariant that tells mirror images apart at generic points.
        cost: 'degree', 'monomials' or a function of a `Contraction`; ties go to lower degree, fewer edges, graph order.
        min_per_degree: least number of members of given degrees, for instance {4: 10}; they are kept first, highest
            degree first, and stay independent, so the total cost is the least under that condition.
        seed: of the random points at which candidates are judged.
        progress: called with a line of text after every degree.

    Returns:
        The basis with its certificate; members in order of cost.

    Raises:
        BasisError: numbers out of range, more than a million candidates, or `min_per_degree` cannot be met.

    References:
        Allen, Shinkle, Bujack, Lubbers, arXiv:2503.23515.

    Example:
        >>> basis = optimal_basis(max_rank=2)
        >>> len(basis), basis.complete, basis.names[-1]
        (6, True, '1.1.2.2:ac.bd.cd')
    """
    slots = tensor_ranks(max_rank, channels, ranks)
    check_degree(max_degree)
    check_parity(parity)
    name, price = cost_function(cost, slots)
    greedy, tell = Greedy(slots, seed=seed), progress or (lambda line: None)
    if name == "degree" and not min_per_degree:
        top = climb(greedy, price, max_degree, tell)
    else:
        top = _from_pool(greedy, price, max_degree, min_per_degree or {}, seed, tell)
    even = tuple(by_cost(greedy.kept, price))
    search = Search(name, greedy.n_offered, greedy.n_trials, greedy.error_bound, _suffices(greedy, price, top), None)
    odd = odd_members(slots, max_degree, price) if parity == "both" else ()
    return assemble(slots, channels, "optimal", parity, max_degree or top, (*even, *odd), price, search)


def climb(greedy: Greedy, price: Price, max_degree: int | None, tell: Callable[[str], None]) -> int:
    """Offer all contractions degree by degree until the set is complete.

    Returns:
        The last degree offered.
    """
    for degree in count(1) if max_degree is None else range(1, max_degree + 1):
        if greedy.complete:
            return degree - 1
        greedy.offer(by_cost(candidates(greedy.ranks, degree), price))
        tell(f"degree {degree}: {len(greedy.kept)} of {greedy.target} independent, {greedy.n_offered} candidates")
    return max_degree or 0


def _from_pool(
    greedy: Greedy,
    price: Price,
    max_degree: int | None,
    least: Mapping[int, int],
    seed: int,
    tell: Callable[[str], None],
) -> int:
    """Offer the reserved degrees first, then all candidates by cost."""
    top = max_degree or max(climb(Greedy(greedy.ranks, seed=seed), price, None, tell), *least, 1)
    pool = by_cost((c for degree in range(1, top + 1) for c in candidates(greedy.ranks, degree)), price)
    for degree in sorted(least, reverse=True):
        kept = greedy.offer([c for c in pool if c.degree == degree], least[degree])
        if len(kept) < least[degree]:
            raise BasisError(
                f"min_per_degree asks for {least[degree]} independent members of degree {degree}, but there are "
                f"{len(kept)} besides those of higher degree; ask for fewer"
            )
    greedy.offer(pool)
    return top


def _suffices(greedy: Greedy, price: Price, top: int) -> int | None:
    """The least degree that gives completeness; None when it is too far to look."""
    if greedy.complete:
        return None
    for degree in count(top + 1):
        if estimated_candidates(greedy.ranks, degree) > _LOOKAHEAD:
            return None
        greedy.offer(by_cost(candidates(greedy.ranks, degree), price))
        if greedy.complete:
            return degree
    return None


def assemble(
    ranks: tuple[int, ...],
    channels: int,
    kind: str,
    parity: str,
    max_degree: int,
    members: tuple[Contraction, ...],
    price: Price,
    search: Search | None,
    strata: Sequence[Sequence[int]] = (),
) -> InvariantBasis:
    """A basis of these members with its certificate."""
    costs = tuple(float(price(c)) for c in members)
    certificate = certify(ranks, members, strata)
    return InvariantBasis(ranks, channels, kind, parity, max_degree, members, costs, certificate, search)
