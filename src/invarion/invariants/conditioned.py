"""Independent sets chosen by how well they resolve real environments, not by cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from invarion.exceptions import BasisError
from invarion.geometry.harmonics import component_slices
from invarion.invariants.basis import InvariantBasis, Search
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import by_cost, cost_function
from invarion.invariants.enumeration import all_candidates
from invarion.invariants.fields import Reals
from invarion.invariants.gradients import jacobian, values
from invarion.invariants.greedy import Greedy
from invarion.invariants.optimal import assemble
from invarion.invariants.request import check_seed, tensor_ranks

_FLOOR = 1e-12  # squared, relative: below, a gradient counts as dependent at that environment
_MOST_NUMBERS = 2e8
_CRITERIA = ("determinant", "singular")


class Conditioning(NamedTuple):
    """How well a set resolves environments: singular values of its scaled Jacobian.

    Attributes:
        smallest: (n,) the k-th singular value at every environment, k = rank of the set at generic points.
        largest: (n,) the first one.
    """

    smallest: np.ndarray
    largest: np.ndarray

    @property
    def condition_numbers(self) -> np.ndarray:
        """(n,) largest over smallest; infinite where the set does not see some change."""
        return np.divide(self.largest, self.smallest, out=np.full_like(self.largest, np.inf), where=self.smallest > 0)


def conditioning(basis: InvariantBasis, tensors: np.ndarray) -> Conditioning:
    """Singular values of the Jacobian of standardised invariants with respect to scaled tensors.

    Every invariant is divided by its standard deviation over the sample, every tensor by its root mean square size.

    Args:
        basis: the invariants.
        tensors: (n, M) or, with several channels, (n, N, M): at least two environments.

    Returns:
        The smallest and largest singular value at every environment.

    Raises:
        BasisError: fewer than two environments, or of the wrong shape.
    """
    sample = _sample(basis.flatten(np.asarray(tensors, dtype=np.float64)), None, 0)
    even = [c for c in basis.invariants if not c.epsilon]
    found = np.linalg.svd(_scaled_jacobian(even, basis.ranks, sample), compute_uv=False)
    return Conditioning(found[:, basis.certificate.rank - 1], found[:, 0])


def conditioned_basis(
    tensors: np.ndarray,
    max_rank: int | None = None,
    max_degree: int = 4,
    *,
    channels: int = 1,
    ranks: Sequence[int] | None = None,
    criterion: str = "determinant",
    n_environments: int = 64,
    seed: int = 0,
) -> InvariantBasis:
    r"""An independent set, as large as it can be, that resolves given environments well.

    Members are added one by one: each time the contraction whose standardised gradient adds most to
    $\sum_s \log\det J_s J_s^T$ over the environments s (a greedy D-optimal design). With `criterion='singular'`,
    members are then exchanged as long as the mean logarithm of the smallest singular value grows.

    Args:
        tensors: (n, M) or (n, N, M) packed components of real environments.
        max_rank: L, for ranks 0..L in every channel.
        max_degree: most tensors in one product.
        channels: number of channels N.
        ranks: any list of tensor ranks instead of max_rank.
        criterion: 'determinant' or 'singular'.
        n_environments: so many are drawn from the sample, for the work grows with it.
        seed: of that draw and of the random points that prove independence.

    Returns:
        The basis, in the order in which members were added; `certificate.complete` says whether it is complete.

    Raises:
        BasisError: shapes or numbers out of range, or too many candidates for the memory.

    References:
        Fedorov, Theory of Optimal Experiments (1972), for exchange.
    """
    slots = tensor_ranks(max_rank, channels, ranks)
    check_seed(seed)
    if criterion not in _CRITERIA:
        raise BasisError(f"criterion is {criterion!r}; allowed are {', '.join(map(repr, _CRITERIA))}")
    size = sum(2 * rank + 1 for rank in slots)
    flat = np.asarray(tensors, dtype=np.float64)
    sample = _sample(flat.reshape(len(flat), -1) if flat.ndim else flat, n_environments, seed, size)
    price = cost_function("degree", slots)[1]
    pool = by_cost(all_candidates(slots, max_degree), price)
    if len(sample) * len(pool) * size > _MOST_NUMBERS:
        raise BasisError(
            f"{len(pool)} candidates at {len(sample)} environments of {size} components are too many to compare; "
            "lower n_environments, max_degree or channels"
        )
    gradients = _scaled_jacobian(pool, slots, sample)
    greedy = Greedy(slots, seed=seed)
    chosen = _grow(pool, gradients, greedy)
    if criterion == "singular":
        chosen = _exchange(chosen, pool, gradients, slots, seed)
    search = Search(
        f"{criterion} of the Jacobian", len(pool), greedy.n_trials, greedy.error_bound, n_unproved=greedy.n_unproved
    )
    members = tuple(pool[i] for i in chosen)
    return assemble(slots, channels, "conditioned", "even", max_degree, members, price, search)


def _sample(flat: np.ndarray, most: int | None, seed: int, size: int | None = None) -> np.ndarray:
    """(n, M) environments, at most so many of them, drawn without replacement."""
    if flat.ndim != 2 or len(flat) < 2 or flat.shape[1] != (size or flat.shape[1]):
        raise BasisError(f"the sample has shape {flat.shape}; needed are at least 2 environments of {size} components")
    if not np.isfinite(flat).all():
        raise BasisError("the sample has components that are not finite")
    if most is None or len(flat) <= most:
        return flat
    return flat[np.sort(np.random.default_rng(seed).choice(len(flat), most, replace=False))]


def _scaled_jacobian(contractions: Sequence[Contraction], ranks: Sequence[int], sample: np.ndarray) -> np.ndarray:
    """(n, B, M) gradients of standardised invariants with respect to tensors of unit root mean square size."""
    rows = jacobian(contractions, ranks, sample, Reals())
    for part in component_slices(ranks):
        rows[:, :, part] *= np.sqrt((sample[:, part] ** 2).sum(1).mean())
    spread = values(contractions, ranks, sample, Reals()).std(0)
    fallback = np.sqrt((rows**2).sum(2).mean(0))
    scale = np.where(spread > 1e-12 * fallback, spread, fallback)
    return rows / np.where(scale > 0, scale, 1.0)[:, None]


def _grow(pool: Sequence[Contraction], gradients: np.ndarray, greedy: Greedy) -> list[int]:
    """Forward selection; only candidates that are independent at generic points are taken."""
    residuals = gradients.copy()
    open_ = np.ones(len(pool), dtype=bool)
    chosen: list[int] = []
    while not greedy.complete and open_.any():
        gain = np.log((residuals**2).sum(2) + _FLOOR).sum(0)
        best = int(np.argmax(np.where(open_, gain, -np.inf)))
        open_[best] = False
        if greedy.offer([pool[best]]):
            chosen.append(best)
            _project_out(residuals, best)
    return chosen


def _project_out(residuals: np.ndarray, index: int) -> None:
    """Remove the direction of one row from all rows, environment by environment."""
    row = residuals[:, index]
    norm = np.sqrt((row**2).sum(1, keepdims=True))
    unit = np.divide(row, norm, out=np.zeros_like(row), where=norm**2 > _FLOOR)
    residuals -= np.einsum("sbm,sm->sb", residuals, unit)[:, :, None] * unit[:, None]


def _exchange(
    chosen: list[int], pool: Sequence[Contraction], gradients: np.ndarray, ranks: Sequence[int], seed: int
) -> list[int]:
    """Replace members while the mean logarithm of the smallest singular value grows and independence is kept."""
    best, score = list(chosen), _score(gradients[:, chosen])
    improved = True
    while improved:
        improved = False
        for trial in _proposals(best, gradients):
            new = _score(gradients[:, trial])
            if new > score + 1e-6 and len(Greedy(ranks, seed=seed).offer([pool[i] for i in trial])) == len(trial):
                best, score, improved = trial, new, True
                break
    return best


def _score(rows: np.ndarray) -> float:
    """Mean logarithm of the smallest singular value over the environments."""
    smallest = np.linalg.svd(rows, compute_uv=False)[:, rows.shape[1] - 1]
    return float(np.log(smallest + np.sqrt(_FLOOR)).mean())


def _proposals(chosen: list[int], gradients: np.ndarray) -> list[list[int]]:
    """Swaps worth trying: members of the weakest combinations against candidates along the weakest directions."""
    rows = gradients[:, chosen]
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    blame = (left[:, :, -1] ** 2).sum(0)
    promise = (np.einsum("sbm,sm->sb", gradients, right[:, -1]) ** 2).mean(0)
    promise[chosen] = -1
    outs, ins = np.argsort(-blame)[:8], np.argsort(-promise)[:16]
    return [[*chosen[:o], int(i), *chosen[o + 1 :]] for o in outs for i in ins]
