"""Separating bases: a complete basis, and the few invariants more that tell its look-alikes apart."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis
from invarion.invariants.completeness import PartnerSearch, differences, miss_bound, typical_sizes
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import by_cost, cost_function
from invarion.invariants.enumeration import candidates
from invarion.invariants.evaluation import plan_of
from invarion.invariants.journal import Journal
from invarion.invariants.optimal import assemble, optimal_basis
from invarion.invariants.request import check_searches, tensor_ranks
from invarion.invariants.tables import stored_basis

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]

_TOLD_APART = 1e-3  # relative difference at which an invariant counts as telling a pair apart
_HIGHER = 2  # degrees above the complete basis' that are looked through before giving up


def separating_basis(
    max_rank: int | None = None,
    max_degree: int | None = None,
    *,
    channels: int = 1,
    ranks: Sequence[int] | None = None,
    parity: str = "even",
    n_targets: int = 10,
    n_starts: int = 100,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    resume: str | PathLike | None = None,
) -> InvariantBasis:
    """The optimal basis and the most telling further invariants, until no two environments are found that share all.

    Partners of random environments are searched as in `ambiguity`. The contraction that tells most of the pairs found
    apart is added (ties: the cheapest), then the next, until all are told apart; then fresh environments are tried,
    until a whole round finds no partner. This is evidence, not proof: `search.n_targets`, `search.n_starts` and
    `search.miss_bound` of the result say how much. For max_rank 2, 3, 4 and nothing else asked for, the answer of a
    longer search is read from a table.

    Args:
        max_rank: L; one tensor of each rank 0..L in every channel.
        max_degree: most tensors in one product; None for as many as needed.
        channels: number of channels N.
        ranks: any list of tensor ranks instead of max_rank.
        parity: 'even', where mirror images count as the same, or 'both'.
        n_targets: random environments per round.
        n_starts: searches for partners of each.
        seed: of environments and searches.
        progress: called with a line of text after every environment and round.
        resume: file of finished rounds; a search that was stopped goes on from it when asked for the same again.

    Returns:
        The optimal basis' members and the added ones; not independent.

    Raises:
        BasisError: max_degree is too low for completeness or for telling apart what was found.

    Example:
        >>> basis = separating_basis(max_rank=2, n_targets=2, n_starts=10)
        >>> len(basis), basis.search.n_targets
        (6, 2)
    """
    check_searches(n_targets, n_starts, seed)
    if (max_degree, channels, ranks, parity, n_targets, n_starts, seed) == (None, 1, None, "even", 10, 100, 0):
        stored = stored_basis("separating", tensor_ranks(max_rank, 1, None))
        if stored is not None:
            return stored
    return find_separating(max_rank, max_degree, channels, ranks, parity, n_targets, n_starts, seed, progress, resume)


def find_separating(
    max_rank: int | None,
    max_degree: int | None,
    channels: int,
    ranks: Sequence[int] | None,
    parity: str,
    n_targets: int,
    n_starts: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
    resume: str | PathLike | None = None,
) -> InvariantBasis:
    """`separating_basis` by search, whatever is stored."""
    tell = progress or (lambda line: None)
    base = optimal_basis(
        max_rank, max_degree, channels=channels, ranks=ranks, parity=parity, seed=seed, progress=progress
    )
    _refuse_incomplete(base)
    asked = f"{base.ranks} degree {max_degree} parity {parity} targets {n_targets} starts {n_starts} seed {seed}"
    journal, rng = Journal(resume, f"separating {asked}"), np.random.default_rng(seed)
    pool, search, members = _Pool(base, max_degree), PartnerSearch.of(base), base.invariants
    number = 0
    while True:
        number += 1
        drawn = _draw(rng, n_targets, n_starts, base.dimension)  # also for rounds that are known: later ones follow
        known = journal.read(f"round {number}")
        if known is None:
            found, hits = _look(search, drawn, tell)
            tell(f"{len(members)} invariants: {len(found)} partners of {n_targets} environments")
            if not found:
                return _assembled(base, members, pool, (n_targets, n_starts, miss_bound(hits)))
            added = pool.telling(members, found)
            journal.write(f"round {number}", added)
        else:
            added = known.kept
        members = (*members, *added)
        every = plan_of(members, base.ranks)
        search = replace(search, every=every, sizes=typical_sizes(every))


class _Pool:
    """Candidates to add, of higher and higher degree as they are needed."""

    def __init__(self, base: InvariantBasis, max_degree: int | None) -> None:
        self.ranks = base.ranks
        self.price = cost_function("degree", base.ranks)[1]
        self.degree = max_degree or base.max_degree
        self.top = max_degree or base.max_degree + _HIGHER
        self.offered = self._to_degree(self.degree)

    def _to_degree(self, degree: int) -> list[Contraction]:
        return by_cost((c for d in range(1, degree + 1) for c in candidates(self.ranks, d)), self.price)

    def telling(self, members: tuple[Contraction, ...], pairs: Sequence[Pair]) -> tuple[Contraction, ...]:
        """Candidates to add so that all pairs differ; the one that tells most of them apart comes first."""
        added: tuple[Contraction, ...] = ()
        left = [pair for pair in pairs if not _told(self.ranks, members, [pair]).any()]
        while left:
            told = _told(self.ranks, tuple(self.offered), left)
            best = int(told.sum(axis=0).argmax())  # the first of the largest: the cheapest
            if told[:, best].any():
                added = (*added, self.offered[best])
                left = [pair for pair, known in zip(left, told[:, best], strict=True) if not known]
            else:
                self._widen(len(left))
        return added

    def _widen(self, n_left: int) -> None:
        if self.degree >= self.top:
            raise BasisError(
                f"{n_left} pairs of environments share all invariants up to degree {self.degree}; set max_degree to "
                f"{self.degree + 1} or more"
            )
        self.degree += 1
        self.offered = self._to_degree(self.degree)


def _draw(rng: np.random.Generator, n_targets: int, n_starts: int, size: int) -> list[tuple[Floats, Floats]]:
    """Random environments (size,), each with the points (n_starts, size) where its searches begin."""
    targets = rng.standard_normal((n_targets, size))
    return [(target, rng.standard_normal((n_starts, size))) for target in targets]


def _look(
    search: PartnerSearch, drawn: Sequence[tuple[Floats, Floats]], tell: Callable[[str], None]
) -> tuple[list[Pair], list[tuple[int, ...]]]:
    """Pairs of environments that share all values, and how often each orbit was found."""
    pairs: list[Pair] = []
    hits = []
    for number, (target, starts) in enumerate(drawn, start=1):
        orbits, counts = search.orbits(target, starts)
        pairs += [(target, partner) for partner in orbits[1:]]
        hits.append(counts)
        tell(f"environment {number} of {len(drawn)}: {len(orbits) - 1} partners")
    return pairs, hits


def _told(ranks: tuple[int, ...], contractions: tuple[Contraction, ...], pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    """(pairs, contractions) whether each contraction tells each pair apart clearly."""
    plan = plan_of(contractions, ranks)
    sizes = typical_sizes(plan)
    return np.array([differences(plan, sizes, partner[None], target)[0] for target, partner in pairs]) > _TOLD_APART


def _assembled(
    base: InvariantBasis, members: tuple[Contraction, ...], pool: _Pool, evidence: tuple[int, int, float]
) -> InvariantBasis:
    """The basis of all members, even ones first."""
    n_targets, n_starts, bound = evidence
    search = base.search and replace(base.search, n_targets=int(n_targets), n_starts=int(n_starts), miss_bound=bound)
    ordered = (*(c for c in members if not c.epsilon), *(c for c in members if c.epsilon))
    degree = max(base.max_degree, *(c.degree for c in ordered))
    return assemble(base.ranks, base.channels, "separating", base.parity, degree, ordered, pool.price, search)


def _refuse_incomplete(base: InvariantBasis) -> None:
    if not base.complete:
        needed = base.search.sufficient_degree if base.search else None
        raise BasisError(
            f"max_degree is {base.max_degree}, too low for a complete basis, which a separating one must be; "
            f"{f'set max_degree to {needed} or more' if needed else 'raise it'}, or leave it out"
        )
