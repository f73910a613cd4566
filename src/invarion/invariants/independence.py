"""Which functions of an ordered list are independent: greedy elimination modulo a prime."""

from collections.abc import Sequence

import numpy as np

from invarion.geometry.harmonics import component_slices
from invarion.geometry.rotations import generators
from invarion.geometry.stretched import reduce
from invarion.invariants.fields import PrimeField

_BLOCK = 192


class RowSpace:
    """The span of the rows kept so far, in reduced echelon form modulo a prime; rows are offered in order of cost.

    Functional independence is a matroid: keeping each row that enlarges the span gives a basis of least additive cost.
    """

    def __init__(self, width: int, field: PrimeField) -> None:
        self._rows = np.zeros((width, width), dtype=np.int64)
        self._pivots: list[int] = []
        self._field = field

    @property
    def rank(self) -> int:
        """Number of rows kept."""
        return len(self._pivots)

    def offer(self, rows: np.ndarray, limit: int | None = None) -> list[int]:
        """Offer rows in order; keep those outside the span.

        Args:
            rows: (B, width) residues.
            limit: keep at most so many of them.

        Returns:
            Indices of the rows kept.
        """
        kept: list[int] = []
        most = self._rows.shape[0] if limit is None else min(self._rows.shape[0], self.rank + limit)
        for start in range(0, len(rows), _BLOCK):
            if self.rank == most:
                break
            kept += [start + i for i in self._offer_block(rows[start : start + _BLOCK], most)]
        return kept

    def _offer_block(self, rows: np.ndarray, most: int) -> list[int]:
        """One block: reduce it by the span at once, then eliminate within it row by row."""
        p = self._field.prime
        rows = (rows - self._field.matmul(rows[:, self._pivots], self._rows[: self.rank])) % p
        kept = []
        for index in range(len(rows)):
            columns = np.flatnonzero(rows[index])
            if len(columns) and self.rank < most:
                kept.append(index)
                self._absorb(rows, index, int(columns[0]))
        return kept

    def _absorb(self, rows: np.ndarray, index: int, column: int) -> None:
        """Add one reduced row to the span and clear its pivot column everywhere else."""
        p = self._field.prime
        row = rows[index] * self._field.inverse(rows[index, column]) % p
        for block in (rows[index + 1 :], self._rows[: self.rank]):
            hit = np.flatnonzero(block[:, column])
            block[hit] = (block[hit] - block[hit, column, None] * row) % p
        self._rows[self.rank] = row
        self._pivots.append(column)

    @property
    def pivots(self) -> tuple[int, ...]:
        """Columns of a non-zero minor of the rows kept, ascending."""
        return tuple(sorted(self._pivots))


def determinant(matrix: np.ndarray, field: PrimeField) -> int:
    """Determinant of a square matrix of residues.

    Example:
        >>> determinant(np.array([[1, 2], [3, 4]]), PrimeField(268435399)) - 268435399
        -2
    """
    rows, p, result = matrix % field.prime, field.prime, 1
    for i in range(len(rows)):
        below = np.flatnonzero(rows[i:, i])
        if not len(below):
            return 0
        pivot = i + int(below[0])
        if pivot != i:
            rows[[i, pivot]] = rows[[pivot, i]]
            result = -result
        result = result * int(rows[i, i]) % p
        factors = rows[i + 1 :, i] * field.inverse(rows[i, i]) % p
        rows[i + 1 :] = (rows[i + 1 :] - factors[:, None] * rows[i]) % p
    return result % p


def rotation_tangents(ranks: Sequence[int], point: np.ndarray, field: PrimeField) -> np.ndarray:
    """(3, M) residues: how a point moves under the three infinitesimal rotations; its rank is the orbit's dimension."""
    tangents = np.zeros((3, len(point)), dtype=np.int64)
    for rank, part in zip(ranks, component_slices(ranks), strict=True):
        for axis, matrix in enumerate(generators(rank)):
            residues = np.array([[reduce(v, field.prime) for v in row] for row in matrix], dtype=np.int64)
            tangents[axis, part] = field.matmul(residues, point[part, None])[:, 0]
    return tangents


def minor(rows: np.ndarray, field: PrimeField) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """A largest non-zero minor: its rows (the first independent ones), its columns, its value."""
    space = RowSpace(rows.shape[1], field)
    kept = space.offer(rows)
    columns = space.pivots
    return tuple(kept), columns, determinant(rows[np.ix_(kept, columns)], field)


def orbit_dimension(ranks: Sequence[int], field: PrimeField, seed: int = 0) -> int:
    """Dimension of the orbit of a random point under rotations: computed, 3 unless all content is scalar or one vector.

    Example:
        >>> [orbit_dimension(r, PrimeField(268435399)) for r in ((0,), (0, 1), (1, 1), (2,))]
        [0, 2, 3, 3]
    """
    size = sum(2 * rank + 1 for rank in ranks)
    point = field.random(np.random.default_rng(seed), size)
    return len(minor(rotation_tangents(ranks, point, field), field)[0])
