"""Edges by their ends: where each row's edges begin, and the same edges in the order of the other end."""

import numpy as np
from numba import njit

LONGEST = 4096  # edges of one segment; rows with more are summed in parts, which several threads can share


@njit(nogil=True, cache=True)
def row_pointers(centers, neighbors, n_rows, pointers):
    """Fill pointers (N+1,) for sorted centers; False where an index is out of range or centers are not sorted."""
    n_atoms = pointers.size - 1
    pointers[:] = 0
    last = 0
    for e in range(centers.size):
        i = centers[e]
        if i < last or i >= n_atoms or neighbors[e] < 0 or neighbors[e] >= n_rows:
            return False
        last = i
        pointers[i + 1] += 1
    for i in range(n_atoms):
        pointers[i + 1] += pointers[i]
    return True


@njit(nogil=True, cache=True)
def by_row(rows, n_rows, longest):
    """Edges ordered by row, and that order cut into segments of one row each, none longer than `longest`.

    Returns:
        order (E,), pointers (P+1,) of the segments in it, the row (P,) of each; rows without edges have no segment.
    """
    counts = np.zeros(n_rows, np.int64)
    for e in range(rows.size):
        counts[rows[e]] += 1
    parts = 0
    for j in range(n_rows):
        parts += -(-counts[j] // longest)
    pointers, owners = np.empty(parts + 1, np.int64), np.empty(parts, np.int64)
    place, p = 0, 0
    for j in range(n_rows):
        for offset in range(0, counts[j], longest):
            pointers[p], owners[p] = place + offset, j
            p += 1
        counts[j], place = place, place + counts[j]
    pointers[p] = place
    order = np.empty(rows.size, np.int64)
    for e in range(rows.size):
        order[counts[rows[e]]] = e
        counts[rows[e]] += 1
    return order, pointers, owners
