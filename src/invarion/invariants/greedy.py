"""Greedy selection of independent contractions at random points modulo large primes."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np

from invarion.exceptions import BasisError
from invarion.geometry.harmonics import component_slices
from invarion.invariants.contractions import Contraction
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import jacobian
from invarion.invariants.independence import RowSpace, minor, rotation_tangents

_CHUNK = 4096
_MOST_DRAWS = 8


class Greedy:
    """Keeps every contraction offered that is independent of those kept before.

    Candidates are judged at several random points, each modulo its own prime. One kept at any point is independent
    (proof). One rejected at all of them is dependent up to the error bound; surely, where those kept before it on its
    own tensors are already as many as these tensors can have.

    Args:
        ranks: rank of every tensor.
        n_trials: number of points, 1 to 3.
        seed: of the random points.
    """

    def __init__(self, ranks: Sequence[int], n_trials: int = 2, seed: int = 0) -> None:
        self.ranks, self.n_offered, self.n_unproved, self._degrees = tuple(ranks), 0, 0, 0
        self.kept: list[Contraction] = []
        self._trials = [_Trial(self.ranks, prime, (seed, number)) for number, prime in enumerate(PRIMES[-n_trials:])]
        self.orbit_dimension = max(t.orbit_dimension(range(len(self.ranks))) for t in self._trials)
        self.target = sum(2 * rank + 1 for rank in ranks) - self.orbit_dimension

    @property
    def n_trials(self) -> int:
        """Number of random points."""
        return len(self._trials)

    @property
    def complete(self) -> bool:
        """Whether no further contraction can be independent."""
        return len(self.kept) == self.target

    @property
    def error_bound(self) -> float:
        """Chance that any rejection was wrong, by Schwartz and Zippel: each (degree of a minor / prime)^trials."""
        single = (self._degrees + max((c.degree for c in self.kept), default=0)) / min(PRIMES)
        return min(1.0, self.n_unproved * single**self.n_trials)

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

    def restore(self, kept: Sequence[Contraction], n_offered: int, n_unproved: int) -> None:
        """Go on from what an earlier search kept of so many candidates, so many of them rejected without proof."""
        n_offered, n_unproved = self.n_offered + n_offered, self.n_unproved + n_unproved
        self.offer(kept)
        self.n_offered, self.n_unproved = n_offered, n_unproved

    def _offer_chunk(self, contractions: Sequence[Contraction], limit: int | None) -> list[Contraction]:
        chosen = self._agree(contractions, limit)
        new = [contractions[i] for i in chosen]
        filled = len(self.kept) + len(new) == self.target or len(new) == limit
        judged = chosen[-1] + 1 if filled and chosen else len(contractions)
        self._count_unproved(contractions[:judged], set(chosen))
        self.kept += new
        self.n_offered += len(contractions)
        self._degrees += sum(c.degree - 1 for c in new)
        return new

    def _agree(self, contractions: Sequence[Contraction], limit: int | None) -> list[int]:
        """What all trials keep; one that misses a member another trial proves independent is drawn again."""
        for _ in range(_MOST_DRAWS):
            spaces = [deepcopy(trial.space) for trial in self._trials]
            choices = [t.judge(space, contractions, limit) for t, space in zip(self._trials, spaces, strict=True)]
            best = min(choices, key=lambda choice: [-i for i in _indicator(choice, len(contractions))])
            if all(choice == best for choice in choices):
                for trial, space in zip(self._trials, spaces, strict=True):
                    trial.space = space
                return best
            for trial, choice in zip(self._trials, choices, strict=True):
                if choice != best:
                    trial.redraw(self.kept)
        raise BasisError("random points keep disagreeing about independence; please report this request")

    def _count_unproved(self, contractions: Sequence[Contraction], chosen: set[int]) -> None:
        """Count rejections that no dimension count proves."""
        masks = [_mask(c) for c in self.kept]
        for index, contraction in enumerate(contractions):
            mask = _mask(contraction)
            if index in chosen:
                masks.append(mask)
            elif not self._is_closed(set(contraction.vertices), sum(1 for m in masks if not m & ~mask)):
                self.n_unproved += 1

    def _is_closed(self, slots: set[int], count: int) -> bool:
        """Whether so many independent members on these tensors leave no room for another."""
        dimension = sum(2 * self.ranks[s] + 1 for s in slots)
        return count >= dimension - 3 and count == dimension - self._trials[0].orbit_dimension(sorted(slots))


class _Trial:
    """One random point modulo one prime, and the gradients kept there."""

    def __init__(self, ranks: tuple[int, ...], prime: int, seed: tuple[int, ...]) -> None:
        self._ranks, self._field, self._seed = ranks, PrimeField(prime), seed
        self._draw()

    def _draw(self) -> None:
        size = sum(2 * rank + 1 for rank in self._ranks)
        self._point = self._field.random(np.random.default_rng((*self._seed, size)), size)
        self.space = RowSpace(size, self._field)

    def redraw(self, kept: Sequence[Contraction]) -> None:
        """Another point, with the gradients of the members kept so far."""
        self._seed = (*self._seed, 1)
        self._draw()
        self.judge(self.space, kept, None)

    def judge(self, space: RowSpace, contractions: Sequence[Contraction], limit: int | None) -> list[int]:
        """Indices of the contractions that enlarge a span; the span grows by them."""
        return space.offer(jacobian(contractions, self._ranks, self._point[None], self._field)[0], limit)

    def orbit_dimension(self, slots: Sequence[int]) -> int:
        """Dimension of the orbit of some tensors of the point under rotations."""
        slices = component_slices(self._ranks)
        tangents = rotation_tangents(self._ranks, self._point, self._field)
        return len(minor(np.concatenate([tangents[:, slices[s]] for s in slots], 1), self._field)[0])


def _indicator(choice: Sequence[int], size: int) -> list[int]:
    """1 where an index is chosen: of two choices, the one with the first extra member is right."""
    marks = [0] * size
    for index in choice:
        marks[index] = 1
    return marks


def _mask(contraction: Contraction) -> int:
    """The tensors of a contraction as bits."""
    return sum(1 << slot for slot in set(contraction.vertices))
