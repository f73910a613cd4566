"""About how many contraction graphs there are, before any is enumerated."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import exp, factorial, inf, log, pi, prod

import numpy as np

_NEWTON_STEPS = 40


def estimated_candidates(ranks: Sequence[int], degree: int, epsilon: bool = False, enough: float = inf) -> float:
    """About how many contraction graphs of one degree there are, mostly within a factor of three.

    Labelled graphs over the order of the group that swaps equal tensors: the leading term of Burnside's lemma.
    Disconnected graphs are counted as well.

    Args:
        ranks: rank of every tensor.
        degree: number of vertices.
        epsilon: graphs with a Levi-Civita tensor.
        enough: stop counting above.
    """
    kinds = sorted({rank for rank in ranks if rank}, reverse=True)
    copies = [sum(1 for r in ranks if r == kind) for kind in kinds]
    total = 0.0
    for counts in _compositions(degree, len(kinds)):
        degrees = [kind for kind, number in zip(kinds, counts, strict=True) for _ in range(number)]
        swaps = prod(n**k / factorial(k) for n, k in zip(copies, counts, strict=True))
        total += swaps * labelled_multigraphs(tuple([*degrees, 3] if epsilon else degrees))
        if total > enough:
            break
    return total


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a total as an ordered sum of parts >= 0, large first parts first."""
    if parts == 0:
        yield from [()] if total == 0 else []
        return
    for first in range(total, -1, -1):
        yield from ((first, *rest) for rest in _compositions(total - first, parts - 1))


@lru_cache(maxsize=65536)
def labelled_multigraphs(degrees: tuple[int, ...]) -> float:
    """About how many loopless multigraphs have these vertex degrees: the Gaussian formula around maximum entropy.

    Args:
        degrees: of the labelled vertices.

    References:
        Barvinok and Hartigan, arXiv:0910.2497.

    Example:
        >>> round(labelled_multigraphs((3, 4, 5, 6)))
        9
    """
    n, total = len(degrees), sum(degrees)
    if total % 2 or not n or 2 * max(degrees) > total:
        return 0.0
    if 2 * max(degrees) == total:
        return 1.0
    wanted, outside = np.array(degrees, dtype=float), ~np.eye(n, dtype=bool)
    potentials = np.full(n, 0.5 * log(1 + (n - 1) * n / total))
    for _ in range(_NEWTON_STEPS):
        gradient, curvature = _entropy_derivatives(potentials, wanted)
        step = np.linalg.solve(curvature, -gradient)
        while _pair_sums(potentials + step)[outside].min() <= 0:
            step /= 2
        potentials = potentials + step
        if np.abs(step).max() < 1e-3:
            break
    pairs = _pair_sums(potentials)[np.triu_indices(n, 1)]
    entropy = wanted @ potentials - np.log1p(-np.exp(-pairs)).sum()
    volume = np.linalg.slogdet(_entropy_derivatives(potentials, wanted)[1])[1]
    return exp(min(entropy + log(2) - n / 2 * log(2 * pi) - volume / 2, 700.0))


def _pair_sums(potentials: np.ndarray) -> np.ndarray:
    return potentials[:, None] + potentials[None, :]


def _entropy_derivatives(potentials: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of the dual of the entropy of geometric edge multiplicities with given vertex degrees."""
    expected = 1 / np.expm1(_pair_sums(potentials))
    np.fill_diagonal(expected, 0)
    variance = expected * (expected + 1)
    return wanted - expected.sum(1), variance + np.diag(variance.sum(1))
