"""Optimal bases: complete, independent, and cheapest among all contractions."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike

from invarion.invariants.basis import InvariantBasis, Search
from invarion.invariants.certificate import certify
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Cost, Price, by_cost, cost_function
from invarion.invariants.greedy import Greedy
from invarion.invariants.journal import Journal
from invarion.invariants.odd import least_odd_degree, odd_members
from invarion.invariants.request import check_degree, check_least, check_parity, check_seed, tensor_ranks
from invarion.invariants.search import Offers


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
    resume: str | PathLike | None = None,
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
            degree first, and stay independent; the others are the cheapest that complete them.
        seed: of the random points at which candidates are judged.
        progress: called with a line of text after every stage.
        resume: file of finished stages; a search that was stopped goes on from it when asked for the same again.

    Returns:
        The basis with its certificate; members in order of cost.

    Raises:
        BasisError: numbers out of range, more than half a million candidates, or `min_per_degree` cannot be met.

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
    check_seed(seed)
    least = check_least(min_per_degree, max_degree)
    name, price = cost_function(cost, slots)
    journal = Journal(resume, f"optimal {slots} degree {max_degree} cost {name} least {least} seed {seed}")
    offers = Offers(price, name == "degree", progress or (lambda line: None), journal)
    greedy = Greedy(slots, seed=seed)
    top = offers.fill(greedy, max_degree, least)
    odd = odd_members(slots, max_degree, price, name == "degree") if parity == "both" else ()
    search = Search(
        name,
        greedy.n_offered,
        greedy.n_trials,
        greedy.error_bound,
        offers.sufficient_degree(greedy, top),
        least_odd_degree(slots) if parity == "both" else None,
        n_unproved=greedy.n_unproved,
    )
    members = (*by_cost(greedy.kept, price), *odd)
    return assemble(slots, channels, "optimal", parity, max_degree or top, members, price, search)


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
    """A basis of these members with its certificate; `max_degree` is raised to the largest degree among them."""
    costs = tuple(float(price(c)) for c in members)
    degree = int(max((max_degree, *(c.degree for c in members))))
    proof = certify(ranks, members, strata)
    return InvariantBasis(ranks, int(channels), kind, parity, degree, members, costs, proof, search)
