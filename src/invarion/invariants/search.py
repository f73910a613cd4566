"""Offering candidates to a greedy selection: degree by degree or from one pool, with progress and a journal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import Price, by_cost
from invarion.invariants.counting import estimated_candidates
from invarion.invariants.enumeration import MOST_CANDIDATES, candidates, check_number
from invarion.invariants.greedy import Greedy
from invarion.invariants.journal import Journal

_LOOKAHEAD = 5_000
"""Candidates of one degree: beyond, the degree that would suffice is not searched for."""


@dataclass(frozen=True)
class Offers:
    """Which contractions a search may use, in which order, and who is told.

    Attributes:
        price: cost of a contraction.
        by_degree: whether the cost never decreases with the degree, so that degrees can be done one by one.
        tell: called with a line of text now and then.
        journal: finished stages.
        label: names this search among those of one journal.
        all_tensors: only contractions in which every tensor that is not a scalar occurs.
    """

    price: Price
    by_degree: bool
    tell: Callable[[str], None]
    journal: Journal
    label: str = ""
    all_tensors: bool = False

    def of_degree(self, greedy: Greedy, degree: int) -> list[Contraction]:
        """Candidates of one degree, cheapest first."""
        expected = estimated_candidates(greedy.ranks, degree, enough=MOST_CANDIDATES)
        if expected > _LOOKAHEAD:
            self.tell(f"degree {degree}: listing about {expected:,.0f} candidates")
        return by_cost(candidates(greedy.ranks, degree, all_tensors=self.all_tensors, tell=self.tell), self.price)

    def fill(self, greedy: Greedy, max_degree: int | None, least: Mapping[int, int] | None = None) -> int:
        """Make a selection as complete as can be.

        Args:
            greedy: the selection.
            max_degree: largest degree allowed; None for the least that gives completeness.
            least: least number of members of given degrees.

        Returns:
            The largest degree that was searched.

        Raises:
            BasisError: `least` cannot be met.
        """
        if self.by_degree and not least:
            return self._climb(greedy, max_degree)
        top = max_degree or max(self._climb(greedy.copy(), None), *(least or {1: 0}))
        stage = f"{self.label} pool to degree {top}"
        self._offer_stage(greedy, stage, lambda: self._from_pool(greedy, top, least or {}))
        return top

    def sufficient_degree(self, greedy: Greedy, top: int) -> int | None:
        """Least degree above `top` that completes a selection; None when it is complete already, or too far to look."""
        greedy = greedy.copy()
        for degree in count(top + 1):
            if greedy.complete or estimated_candidates(greedy.ranks, degree, enough=_LOOKAHEAD) > _LOOKAHEAD:
                return None
            greedy.offer(self.of_degree(greedy, degree))
            if greedy.complete:
                return degree
        return None

    def _climb(self, greedy: Greedy, max_degree: int | None) -> int:
        """Offer candidates degree by degree until the selection is complete; returns the last degree offered."""
        for degree in count(1) if max_degree is None else range(1, max_degree + 1):
            if greedy.complete:
                return degree - 1
            stage = f"{self.label} degree {degree}".strip()
            self._offer_stage(
                greedy, stage, lambda degree=degree: greedy.offer(self.of_degree(greedy, degree), tell=self.tell)
            )
        return max_degree or 0

    def _offer_stage(self, greedy: Greedy, stage: str, work: Callable[[], list[Contraction]]) -> None:
        """Do one stage, or take what the journal says it kept."""
        known = self.journal.read(stage)
        if known is None:
            offered, unproved = greedy.n_offered, greedy.n_unproved
            kept = work()
            self.journal.write(stage, kept, greedy.n_offered - offered, greedy.n_unproved - unproved)
        else:
            greedy.restore(*known)
        self.tell(f"{stage}: {len(greedy.kept)} of {greedy.target} independent")

    def _from_pool(self, greedy: Greedy, top: int, least: Mapping[int, int]) -> list[Contraction]:
        """Offer the reserved degrees first, highest first, then all candidates by cost."""
        check_number(greedy.ranks, range(1, top + 1))
        pool = by_cost((c for degree in range(1, top + 1) for c in self.of_degree(greedy, degree)), self.price)
        start = len(greedy.kept)
        for degree in sorted(least, reverse=True):
            kept = greedy.offer([c for c in pool if c.degree == degree], limit=least[degree])
            if len(kept) < least[degree]:
                raise BasisError(
                    f"min_per_degree asks for {least[degree]} independent members of degree {degree}, but only "
                    f"{len(kept)} are independent of the reserved members of higher degree; ask for fewer"
                )
        greedy.offer(pool, tell=self.tell)
        return greedy.kept[start:]
