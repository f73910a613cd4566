"""Connected pieces of a contraction graph: canonical keys by which equal pieces of different graphs are found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from invarion.exceptions import BasisError
from invarion.invariants.canonical import automorphisms, canonical_order, permute
from invarion.invariants.contractions import Contraction

EPSILON = -1  # "slot" of the vertex that stands for the Levi-Civita tensor
_MAX_VERTICES = 20  # pieces are bit masks; beyond this their number is out of reach


@dataclass(frozen=True)
class Piece:
    """A connected piece of a graph with its vertices in canonical order.

    Attributes:
        key: equal for isomorphic pieces; a piece with the Levi-Civita tensor has a key of its own.
        order: vertices of the graph in canonical order.
        automorphisms: permutations of the positions in order that leave the piece unchanged, identity included.
        legs: number of open legs of each vertex in order.
        shape: number of components that these legs have.
    """

    key: tuple
    order: tuple[int, ...]
    automorphisms: tuple[tuple[int, ...], ...]
    legs: tuple[int, ...]
    shape: tuple[int, ...]

    @cached_property
    def representatives(self) -> NDArray[np.int64]:
        """For each component the flat index of the first one that equals it by symmetry, in `shape`."""
        index = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        return np.minimum.reduce([index.transpose(p) for p in self.automorphisms])

    @cached_property
    def n_distinct(self) -> int:
        """Number of components that symmetry leaves different."""
        return len(np.unique(self.representatives))


class ContractionGraph:
    """A contraction as an adjacency matrix; the Levi-Civita tensor, where there is one, is its last vertex."""

    def __init__(self, contraction: Contraction, ranks: Sequence[int], label: int):
        self.slots = (*contraction.vertices, *(EPSILON,) * bool(contraction.epsilon))
        self.label = label
        self.matrix = contraction.matrix()
        if len(self.slots) > _MAX_VERTICES:
            raise BasisError(f"a contraction of {len(self.slots)} tensors; at most {_MAX_VERTICES} can be compiled")
        self.ranks = tuple(3 if s == EPSILON else ranks[s] for s in self.slots)
        self._pieces: dict[int, Piece] = {}

    @property
    def whole(self) -> int:
        """The mask of all vertices."""
        return (1 << len(self.slots)) - 1

    def vertices(self, mask: int) -> tuple[int, ...]:
        """The vertices in a mask, ascending."""
        return tuple(v for v in range(len(self.slots)) if mask >> v & 1)

    def is_connected(self, mask: int) -> bool:
        """Whether the vertices of a non-empty mask hang together."""
        reached, frontier = 0, mask & -mask
        while frontier:
            reached |= frontier
            frontier = self._around(frontier) & mask & ~reached
        return reached == mask

    def splits(self, mask: int, connected: set[int]) -> Iterator[tuple[int, int]]:
        """Ways to divide a mask into two connected parts, the first with the lowest vertex."""
        low = mask & -mask
        rest = part = mask ^ low
        while part:
            part = (part - 1) & rest
            first, second = low | part, rest ^ part
            if second and first in connected and second in connected:
                yield first, second

    def piece(self, mask: int) -> Piece:
        """The piece on a mask, in canonical form."""
        if mask not in self._pieces:
            self._pieces[mask] = self._canonical(mask)
        return self._pieces[mask]

    def links(self, vertex: int, mask: int) -> list[tuple[int, int]]:
        """Neighbours of a vertex in a mask with the number of legs that go there."""
        return [(w, self.matrix[vertex][w]) for w in self.vertices(mask) if self.matrix[vertex][w]]

    def _around(self, mask: int) -> int:
        return sum({1 << w for v in self.vertices(mask) for w, k in enumerate(self.matrix[v]) if k})

    def _canonical(self, mask: int) -> Piece:
        vertices = self.vertices(mask)
        slots = [self.slots[v] for v in vertices]
        inner = tuple(tuple(self.matrix[v][w] for w in vertices) for v in vertices)
        positions = canonical_order(slots, inner)
        inner, slots = permute(inner, positions), [slots[p] for p in positions]
        order = tuple(vertices[p] for p in positions)
        legs = tuple(self.ranks[v] - sum(k for _, k in self.links(v, mask)) for v in order)
        if EPSILON in slots:  # symmetries would come with signs: such a piece is its own
            shape = tuple((1, 3, 3, 1)[k] if s == EPSILON else 2 * k + 1 for s, k in zip(slots, legs, strict=True))
            return Piece((EPSILON, self.label, mask), order, (tuple(range(len(order))),), legs, shape)
        shape = tuple(2 * k + 1 for k in legs)
        return Piece((tuple(slots), inner), order, tuple(automorphisms(slots, inner)), legs, shape)
