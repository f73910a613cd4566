"""Molien counts: how many linearly independent invariants there are of each degree, from characters alone."""

from collections.abc import Sequence

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
