"""Random contraction graphs, where there are too many to list."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from invarion.invariants.contractions import Contraction, from_matrix

Ints = NDArray[np.int64]


def sampled_odd_contractions(ranks: Sequence[int], degree: int, seed: int = 0) -> Iterator[Contraction]:
    """Endless connected contractions of one degree with a Levi-Civita tensor, in canonical form; some come again.

    Tensors are drawn with equal chances and their indices paired at random; what has a loop, a double edge at the
    Levi-Civita tensor, or is in pieces, is dropped (the configuration model of random graphs).

    Args:
        ranks: rank of every tensor; at least one is not 0.
        degree: number of tensors multiplied, for which such graphs exist.
        seed: the same seed gives the same graphs on every machine.

    References:
        B. Bollobas, European Journal of Combinatorics 1, 311 (1980).

    Example:
        >>> graph = next(sampled_odd_contractions((3,), 15))
        >>> graph.degree, graph.parity
        (15, 'odd')
    """
    rng = np.random.default_rng(seed)
    tensors = [slot for slot, rank in enumerate(ranks) if rank]
    while True:
        slots = sorted(rng.choice(tensors, degree).tolist())
        ends = np.repeat(np.arange(degree + 1), [*(ranks[s] for s in slots), 3])
        if len(ends) % 2 == 0:
            matrix = _paired(rng.permutation(ends), degree + 1)
            if _is_simple_at_the_end(matrix) and _is_connected(matrix):
                yield from_matrix(slots, tuple(map(tuple, matrix.tolist())), epsilon=True)


def _paired(ends: Ints, size: int) -> Ints:
    """Symmetric edge multiplicities when consecutive ends are joined; twice the loops on the diagonal."""
    matrix = np.zeros((size, size), dtype=np.int64)
    np.add.at(matrix, (ends[::2], ends[1::2]), 1)
    return matrix + matrix.T


def _is_simple_at_the_end(matrix: Ints) -> bool:
    """No loops, and no double edge at the last vertex."""
    return not np.diagonal(matrix).any() and matrix[-1].max() == 1


def _is_connected(matrix: Ints) -> bool:
    reached = np.zeros(len(matrix), dtype=bool)
    new = np.arange(len(matrix)) == 0
    while new.any():
        reached |= new
        new = matrix[new].any(axis=0) & ~reached
    return bool(reached.all())
