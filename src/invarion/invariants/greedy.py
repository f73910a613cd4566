"""Greedy selection of independent contractions at random points modulo large primes."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import jacobian
from invarion.invariants.independence import RowSpace, minor, rotation_tangents

_CHUNK = 4096


class Greedy:
    """Keeps every contraction offered that is independent of those kept before.

    Candidates are judged at several random points, each modulo its own prime. One kept at any point is independent
    (proof). One rejected at all of them is dependent up to the error bound, or surely, once the set is complete.

    Args:
        ranks: rank of every tensor.
        n_trials: number of points, 1 to 3.
        seed: of the random points.
    """

    def __init__(self, ranks: Sequence[int], n_trials: int = 2, seed: int = 0) -> None:
        self.ranks, self.n_offered, self.degree_sum = tuple(ranks), 0, 0
        self.kept: list[Contraction] = []
        size = sum(2 * rank + 1 for rank in ranks)
        self._fields = [PrimeField(p) for p in PRIMES[-n_trials:]]
        self._points = [f.random(np.random.default_rng((seed, t, size)), size) for t, f in enumerate(self._fields)]
        self._spaces = [RowSpace(size, f) for f in self._fields]
        tangents = (rotation_tangents(ranks, x, f) for x, f in zip(self._points, self._fields, strict=True))
        self.orbit_dimension = max(len(minor(t, f)[0]) for t, f in zip(tangents, self._fields, strict=True))
        self.target = size - self.orbit_dimension

    @property
    def n_trials(self) -> int:
        """Number of random points."""
        return len(self._fields)

    @property
    def complete(self) -> bool:
        """Whether no further contraction can be independent."""
        return len(self.kept) == self.target

    @property
    def error_bound(self) -> float:
        """Chance that any rejection was wrong: (degree of the minor / prime)^trials for each candidate."""
        single = (self.degree_sum + max((c.degree for c in self.kept), default=0)) / min(f.prime for f in self._fields)
        return min(1.0, self.n_offered * single ** len(self._fields))

    def copy(self) -> "Greedy":
        """A selection that goes on from here without changing this one."""
        return deepcopy(self)

    def offer(
        self,
        contractions: Sequence[Contraction],
        limit: int | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> list[Contraction]:
        """Offer contractions in order of cost.

        Args:
            contractions: candidates.
            limit: keep at most so many of them.
            tell: called with a line of text between chunks of a long list.

        Returns:
            Those kept.
        """
        new: list[Contraction] = []
        for start in range(0, len(contractions), _CHUNK):
            room = None if limit is None else limit - len(new)
            if self.complete or room == 0:
                break
            if start and tell:
                tell(f"{start} of {len(contractions)} candidates: {len(self.kept)} of {self.target} independent")
            new += self._offer_chunk(contractions[start : start + _CHUNK], room)
        return new

    def _offer_chunk(self, contractions: Sequence[Contraction], limit: int | None) -> list[Contraction]:
        choices = []
        for field, point, space in zip(self._fields, self._points, self._spaces, strict=True):
            rows = jacobian(contractions, self.ranks, point[None], field)[0]
            choices.append(space.offer(rows, limit))
        if any(choice != choices[0] for choice in choices):
            raise BasisError("random points disagree about independence (chance below 1e-5); use another seed")
        new = [contractions[i] for i in choices[0]]
        self.kept += new
        self.n_offered += len(contractions)
        self.degree_sum += sum(c.degree - 1 for c in new)
        return new
