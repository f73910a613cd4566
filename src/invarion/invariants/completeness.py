"""How many different environments share all values of a basis: measured, because no count of dimensions tells it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from invarion.exceptions import BasisError
from invarion.invariants.alignment import Alignment
from invarion.invariants.basis import InvariantBasis
from invarion.invariants.evaluation import plan_of
from invarion.invariants.execution import evaluate
from invarion.invariants.plan import Plan
from invarion.invariants.request import check_searches
from invarion.invariants.roots import find_roots

Floats = NDArray[np.float64]

_SAME_POINT = 1e-5  # distance after alignment, relative to the point's length
_SAME_VALUE = 1e-7  # difference of an invariant, relative to its size; roots are good to 1e-11
_THOROUGH = 96  # starts of the alignment that has the last word on whether two orbits differ
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ambiguity:
    """What searches for environments with equal invariants found.

    Attributes:
        targets: (T, M) random environments, packed.
        counts: orbits found per target that share all its values, its own included; 1 means no partner was found.
        partners: per target (k, M) one member of each other orbit, k = count - 1.
        hits: per target, how many searches ended in each orbit, the target's own first.
        n_starts: searches per target.
        miss_bound: upper 95 % limit of the share of searches that would end in an orbit not found yet.
    """

    targets: Floats
    counts: tuple[int, ...]
    partners: tuple[Floats, ...]
    hits: tuple[tuple[int, ...], ...]
    n_starts: int
    miss_bound: float

    @property
    def n_converged(self) -> int:
        """Searches that ended at a point with the target's values, all targets together."""
        return sum(map(sum, self.hits))

    @property
    def expected_counts(self) -> tuple[float, ...]:
        """Chao's lower estimate of each target's number of orbits, those not found included."""
        return tuple(_chao(hits) for hits in self.hits)


def ambiguity(basis: InvariantBasis, n_targets: int = 10, n_starts: int = 100, seed: int = 0) -> Ambiguity:
    r"""Searches for environments that share all values of a basis and are not rotations of each other.

    For random targets y, solves I(x) = I(y) for an independent part of the basis from random starts (Levenberg and
    Marquardt's method with exact Jacobians), keeps the solutions at which all of the basis agrees, and sorts them into
    orbits by aligning them directly: over rotations and reflections, or over rotations alone where the basis tells
    mirror images apart.

    Args:
        basis: an algebraically complete basis: otherwise whole families of environments share all values.
        n_targets: random environments, each component normally distributed.
        n_starts: searches per target.
        seed: of targets and starts.

    Returns:
        The counts, the partner environments, and how sure they are. The bound takes the share of orbits hit once
        (Good and Turing's estimate of what is still unseen) and its upper binomial limit (Clopper and Pearson); it
        speaks of the searches' own distribution: an orbit that few searches end in can hide.

    Raises:
        BasisError: the basis is not complete, or a number is not positive.

    References:
        I. J. Good, Biometrika 40, 237 (1953); A. Chao, Scand. J. Statist. 11, 265 (1984).

    Example:
        >>> from invarion.invariants import optimal_basis
        >>> ambiguity(optimal_basis(max_rank=2), n_targets=2, n_starts=20).counts
        (1, 1)
    """
    check_searches(n_targets, n_starts, seed)
    _check_complete(basis)
    search = PartnerSearch.of(basis)
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((n_targets, basis.dimension))
    found = [search.orbits(target, rng.standard_normal((n_starts, basis.dimension))) for target in targets]
    hits = tuple(hits for _, hits in found)
    partners = tuple(orbits[1:] for orbits, _ in found)
    return Ambiguity(targets, tuple(map(len, hits)), partners, hits, n_starts, miss_bound(hits))


@dataclass(frozen=True)
class PartnerSearch:
    """What is prepared once to look for partners of many targets.

    Attributes:
        independent: as many even invariants as determine an environment up to finitely many.
        every: all invariants.
        sizes: (B,) typical size of each of all invariants at random environments.
        alignment: over reflections too, unless the basis has odd members.
    """

    independent: Plan
    every: Plan
    sizes: Floats
    alignment: Alignment

    @classmethod
    def of(cls, basis: InvariantBasis) -> "PartnerSearch":
        """The search for partners under a complete basis."""
        even = [c for c in basis.invariants if not c.epsilon]
        independent = tuple(even[i] for i in basis.certificate.strata[0].rows)
        every = plan_of(basis.invariants, basis.ranks)
        alignment = Alignment.of(basis.ranks, reflections=basis.n_odd == 0)
        return cls(plan_of(independent, basis.ranks), every, typical_sizes(every), alignment)

    def orbits(self, target: Floats, starts: Floats) -> tuple[Floats, tuple[int, ...]]:
        """Sorts the environments that share a target's values into orbits.

        Args:
            target: (M,) packed environment.
            starts: (S, M) where searches begin.

        Returns:
            (k, M) one member of each orbit found, the target first, and how many searches ended in each.
        """
        roots = find_roots(self.independent, evaluate(self.independent, target), starts)
        ends = roots.points[roots.found]
        return self._sorted(target, ends[differences(self.every, self.sizes, ends, target).max(axis=1) < _SAME_VALUE])

    def _sorted(self, target: Floats, ends: Floats) -> tuple[Floats, tuple[int, ...]]:
        orbits, hits = [target], [0]
        while len(ends):
            same = self._same(ends, orbits[-1])
            hits[-1] += int(same.sum())
            ends = ends[~same]
            while len(ends) and (known := self._known(ends[0], orbits)) is not None:
                hits[known] += 1
                ends = ends[1:]
            if len(ends):
                orbits.append(ends[0])
                hits.append(0)
        return np.array(orbits), tuple(hits)

    def _same(self, points: Floats, other: Floats, **options: int) -> NDArray[np.bool_]:
        return self.alignment.distances(points, other, **options) < _SAME_POINT * np.linalg.norm(other)

    def _known(self, point: Floats, orbits: Sequence[Floats]) -> int | None:
        """The orbit that a point belongs to, by thorough alignment."""
        return next((k for k, orbit in enumerate(orbits) if self._same(point[None], orbit, tried=_THOROUGH)[0]), None)


def typical_sizes(plan: Plan) -> Floats:
    """(B,) root mean square of each invariant over random environments."""
    points = np.random.default_rng(0).standard_normal((256, plan.n_inputs))
    return np.sqrt(np.mean(evaluate(plan, points) ** 2, axis=0))


def differences(plan: Plan, sizes: Floats, points: Floats, target: Floats) -> Floats:
    """(P, B) differences of invariants between points (P, M) and a target (M,), relative to their typical sizes."""
    wanted = evaluate(plan, target)
    return np.abs(evaluate(plan, points) - wanted) / (sizes + np.abs(wanted))


def miss_bound(hits: Sequence[Sequence[int]]) -> float:
    """Upper 95 % limit of the share of searches that end in an orbit that none of them has found.

    Args:
        hits: per target, how many searches ended in each orbit.

    Returns:
        Clopper and Pearson's limit for the share of orbits hit once among all searches (1 without any).
    """
    total = sum(map(sum, hits))
    once = sum(1 for counts in hits for n in counts[1:] if n == 1)
    return 1.0 if total <= once else float(beta.ppf(_CONFIDENCE, once + 1, total - once))


def _chao(hits: Sequence[int]) -> float:
    """Chao's lower estimate of a number of classes from those seen once and twice; the target's is known to exist."""
    once, twice = (sum(1 for n in hits[1:] if n == seen) for seen in (1, 2))
    return len(hits) + once * (once - 1) / (2 * (twice + 1))


def _check_complete(basis: InvariantBasis) -> None:
    if not basis.complete:
        have, need = basis.certificate.rank, basis.certificate.dimension - basis.certificate.orbit_dimension
        raise BasisError(
            f"the basis has {have} independent invariants of {need} that there can be, so infinitely many environments "
            "share its values; complete it first (a larger max_degree)"
        )
