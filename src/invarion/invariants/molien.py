"""Molien counts: how many linearly independent invariants there are of each degree, from characters alone."""

from collections.abc import Iterator, Sequence
from math import exp, factorial, lgamma, log, prod

import numpy as np

from invarion.exceptions import BasisError


def molien_counts(ranks: Sequence[int], max_degree: int, parity: str = "even") -> tuple[int, ...]:
    r"""Linearly independent polynomial invariants of each degree.

    Invariants of degree d are the weights 0 less the weights 1 of $L_z$ in the d-th symmetric power. The reflection
    $-1$ acts on a tensor of rank l by $(-1)^l$.

    Args:
        ranks: rank of every tensor.
        max_degree: largest degree D >= 1.
        parity: 'even' for invariants of O(3), 'odd' for those that change sign under reflection.

    Returns:
        Counts for degrees 1..D, products of invariants of lower degree included.

    Example:
        >>> molien_counts((0, 1, 2, 3), 4)
        (1, 4, 8, 23)
        >>> molien_counts((3,), 16, "odd").index(1) + 1
        15
    """
    if parity not in ("even", "odd"):
        raise BasisError(f"parity is {parity!r}; allowed are 'even' and 'odd'")
    weights = _weights(tuple(ranks), max_degree)
    middle = weights.shape[2] // 2
    found = weights[1:, int(parity == "odd"), middle] - weights[1:, int(parity == "odd"), middle + 1]
    return tuple(int(n) for n in found)


def _weights(ranks: tuple[int, ...], max_degree: int) -> np.ndarray:
    """(D+1, 2, W) exact number of states of each degree, parity and weight, in the product of 1 / (1 - t s^l z^m)."""
    reach = max_degree * max(ranks)
    states = np.zeros((max_degree + 1, 2, 2 * reach + 3), dtype=object)
    states[0, 0, reach + 1] = 1
    for rank in ranks:
        for m in range(-rank, rank + 1):
            for degree in range(1, max_degree + 1):
                below = np.roll(states[degree - 1], m, axis=1)
                states[degree] = states[degree] + (below[::-1] if rank % 2 else below)
    return states


def estimated_candidates(ranks: Sequence[int], degree: int, epsilon: bool = False) -> float:
    """About how many contraction graphs of one degree there are, to the order of magnitude, before any is enumerated.

    Pairings of all edge ends over the symmetries of the ends and of the vertices, with the share that has no loops;
    symmetric graphs are undercounted, disconnected ones are counted as well.

    Args:
        ranks: rank of every tensor.
        degree: number of vertices.
        epsilon: graphs with a Levi-Civita tensor.
    """
    kinds = sorted({rank for rank in ranks if rank})
    copies = [sum(1 for r in ranks if r == kind) for kind in kinds]
    total = 0.0
    for counts in _compositions(degree, len(kinds)):
        weight = prod(n**k / factorial(k) for n, k in zip(copies, counts, strict=True))
        degrees = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
        total += weight * _loopless([*degrees, 3] if epsilon else degrees)
    return total


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a total as an ordered sum of parts >= 0."""
    if parts == 0:
        yield from [()] if total == 0 else []
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in _compositions(total - first, parts - 1))


def _loopless(degrees: Sequence[int]) -> float:
    """About how many labelled loopless multigraphs have these vertex degrees."""
    ends = sum(degrees)
    if ends % 2 or 2 * max(degrees, default=0) > ends:
        return 0.0
    pairings = lgamma(ends + 1) - lgamma(ends / 2 + 1) - ends / 2 * log(2) - sum(lgamma(d + 1) for d in degrees)
    loops = sum(d * (d - 1) for d in degrees) / (2 * max(ends - 1, 1))
    return exp(min(pairings - loops, 700.0))
