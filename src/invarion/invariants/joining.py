"""Writes the steps of a plan as straight-line code over orthonormal components.

A piece's tensor has one axis per vertex: the components of the symmetric traceless tensor that the vertex's open legs
are. Two pieces are joined by splitting these leg groups and summing over the components of the legs in common.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations
from math import sqrt
from typing import NamedTuple

import numpy as np

from invarion.geometry.stretched import split_table
from invarion.invariants.order import Step
from invarion.invariants.straightline import NOTHING, ZERO, Builder, Scaled
from invarion.invariants.subgraphs import EPSILON, ContractionGraph, Piece

CONSTANT = -2  # index of the number one among the scalars of a table

Table = np.ndarray  # of Scaled, one axis per group of legs


class Placed(NamedTuple):
    """A piece as it occurs in a graph, with the table of its components (axes in canonical order)."""

    graph: ContractionGraph
    piece: Piece
    table: Table


class Writer:
    """Writes pieces of any graphs into one program, each once."""

    def __init__(self, ranks: tuple[int, ...], steps: Mapping[tuple, Step]):
        self.ranks = ranks
        self.starts = np.cumsum([0, *(2 * rank + 1 for rank in ranks)]).tolist()
        self.steps = steps
        self.builder = Builder(self.starts[-1])
        self.made: dict[tuple, Table] = {}

    def scalar(self, graph: ContractionGraph) -> Scaled:
        """The value of a whole contraction."""
        return self.placed(graph, graph.whole).table.flat[0]

    def placed(self, graph: ContractionGraph, mask: int) -> Placed:
        """The components of a piece, written on first use."""
        piece = graph.piece(mask)
        if piece.key not in self.made:
            self.made[piece.key] = self._tensor(graph, mask) if mask.bit_count() == 1 else self._join(piece.key)
        return Placed(graph, piece, self.made[piece.key])

    def _tensor(self, graph: ContractionGraph, mask: int) -> Table:
        slot = graph.slots[graph.vertices(mask)[0]]
        if slot == EPSILON:
            return _table([Scaled(sqrt(6), CONSTANT)], (1,))
        start, stop = self.starts[slot : slot + 2]
        return _table([Scaled(1.0, index) for index in range(start, stop)], (stop - start,))

    def _join(self, key: tuple) -> Table:
        graph, mask, first, second, _ = self.steps[key]
        links = [(u, w) for u in graph.vertices(first) for w, _ in graph.links(u, second)]
        left = self._opened(self.placed(graph, first), links)
        right = self._opened(self.placed(graph, second), [(w, u) for u, w in links])
        piece = graph.piece(mask)
        axes = [(*graph.vertices(first), *graph.vertices(second)).index(v) for v in piece.order]
        return self._summed(left, right, len(links), axes, piece)

    def _opened(self, placed: Placed, links: Sequence[tuple[int, int]]) -> Table:
        """The table with axes (legs of each link, in order; remaining legs of each vertex, ascending)."""
        graph, piece, table = placed
        names: list[tuple[int, int]] = []
        for vertex, legs in zip(piece.order, piece.legs, strict=True):
            towards = [w for u, w in links if u == vertex]
            parts = [graph.matrix[vertex][w] for w in towards]
            if towards:
                splitting = _splitting(graph, piece, vertex, towards, (*parts, legs - sum(parts)))
                table = self._split(table, len(names), splitting)
            names += [(vertex, w) for w in towards] + [(vertex, vertex)]
        wanted = [*links, *((v, v) for v in sorted(piece.order))]
        return table.transpose([names.index(name) for name in wanted])

    def _split(self, table: Table, axis: int, splitting: np.ndarray) -> Table:
        """One axis of a table replaced by the axes of its parts: table[..., m, ...] splitting[m, parts...]."""
        moved = np.moveaxis(table, axis, 0)
        parts = splitting.shape[1:]
        weights = splitting.reshape(len(splitting), -1).T
        entries = [self._combined(w, rest) for rest in moved.reshape(len(moved), -1).T for w in weights]
        result = _table(entries, (*moved.shape[1:], *parts))
        return np.moveaxis(result, range(moved.ndim - 1, result.ndim), range(axis, axis + len(parts)))

    def _combined(self, weights: np.ndarray, scalars: np.ndarray) -> Scaled:
        used = [(w, s) for w, s in zip(weights.tolist(), scalars, strict=True) if w and s.place != ZERO]
        if used and used[0][1].place == CONSTANT:
            return Scaled(sum(w * s.factor for w, s in used), CONSTANT)
        return self.builder.sum((w, s, None) for w, s in used)

    def _summed(self, left: Table, right: Table, n_links: int, axes: Sequence[int], piece: Piece) -> Table:
        """Sum over the first n_links axes of both; open axes are brought to the piece's order, equal entries once."""
        linked = left.shape[:n_links]
        a = left.reshape(int(np.prod(linked)), -1)
        b = right.reshape(int(np.prod(linked)), -1)
        open_shape = (*left.shape[n_links:], *right.shape[n_links:])
        source = np.arange(a.shape[1] * b.shape[1]).reshape(open_shape).transpose(axes)
        result = np.empty(source.size, dtype=object)
        for flat, representative in enumerate(piece.representatives.flat):
            if representative == flat:
                i, j = divmod(int(source.flat[flat]), b.shape[1])
                result[flat] = self.builder.sum(_products(a[:, i], b[:, j]))
            else:
                result[flat] = result[representative]
        return result.reshape(piece.shape)


def _products(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[float, Scaled, Scaled | None]]:
    """Terms of a dot product; a constant factor makes a term linear."""
    for a, b in zip(left, right, strict=True):
        if CONSTANT in (a.place, b.place):
            a, b = (b, a) if a.place == CONSTANT else (a, b)
            yield b.factor, a, None
        else:
            yield 1.0, a, b


def _splitting(
    graph: ContractionGraph, piece: Piece, vertex: int, towards: Sequence[int], parts: tuple[int, ...]
) -> np.ndarray:
    """(components of the vertex's legs, components of each part...)."""
    if graph.slots[vertex] != EPSILON:
        return split_table(sum(parts), parts)
    outside = [w for w, _ in graph.links(vertex, graph.whole) if w not in piece.order]
    rest = [w for w in outside if w not in towards]
    order = [outside.index(w) for w in (*towards, *rest)]
    return levi_civita_split(parts) * np.linalg.det(np.eye(len(order))[order])


@cache
def levi_civita_split(parts: tuple[int, ...]) -> np.ndarray:
    """Orthonormal components of some legs of the Levi-Civita tensor split into parts, as `split_table` for others.

    One leg has the 3 components of a vector, two legs 3, all three legs one. The packing (y, z, x) of vectors is a
    cyclic permutation of (x, y, z), under which the Levi-Civita tensor is the same.
    """
    table = _levi_civita_basis(sum(parts))
    for done, part in enumerate(parts):
        table = np.tensordot(table, _levi_civita_basis(part), (range(1 + done, 1 + done + part), range(1, 1 + part)))
        table = np.moveaxis(table, -1, 1 + done)
    return table


@cache
def _levi_civita_basis(legs: int) -> np.ndarray:
    epsilon = np.zeros((3, 3, 3))
    for order in permutations(range(3)):
        epsilon[order] = np.linalg.det(np.eye(3)[list(order)])
    return (np.ones(1), np.eye(3), epsilon / sqrt(2), epsilon[None] / sqrt(6))[legs]


def _table(entries: Sequence[Scaled], shape: tuple[int, ...]) -> Table:
    """An array of scalars; numpy must not look inside the tuples."""
    table = np.empty(len(entries), dtype=object)
    for i, entry in enumerate(entries):
        table[i] = entry if entry.factor else NOTHING
    return table.reshape(shape)
