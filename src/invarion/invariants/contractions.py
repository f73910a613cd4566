"""Contraction: an invariant as a multigraph, one vertex per tensor, one edge per contracted index pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

from invarion.exceptions import BasisError
from invarion.invariants.canonical import Matrix, automorphisms, canonical_order, permute


@dataclass(frozen=True, order=True)
class Contraction:
    """A full contraction of symmetric traceless tensors, with coefficient one.

    Attributes:
        vertices: slot (index of the tensor in the basis' list of ranks) of each vertex, sorted.
        edges: (a, b, multiplicity) with a < b: so many index pairs are contracted between vertices a and b; sorted.
        epsilon: the three vertices, ascending, that share the Levi-Civita tensor, or None; with it the invariant
            changes sign under reflection.

    Example:
        >>> Contraction((1, 1, 2), ((0, 2, 1), (1, 2, 1))).einsum((0, 1, 2))
        'a,b,ab->'
    """

    vertices: tuple[int, ...]
    edges: tuple[tuple[int, int, int], ...] = ()
    epsilon: tuple[int, int, int] | None = None

    @property
    def degree(self) -> int:
        """Number of tensors multiplied; body order is one more."""
        return len(self.vertices)

    @property
    def parity(self) -> str:
        """'even' when a reflection keeps the value, 'odd' when it changes the sign."""
        return "odd" if self.epsilon else "even"

    def einsum(self, ranks: Sequence[int]) -> str:
        """Cartesian einsum over one operand per vertex (then the Levi-Civita tensor, if any); the letters are 3 long.

        Args:
            ranks: rank of every tensor of the basis.

        Raises:
            BasisError: the contraction does not fit these ranks.
        """
        self.check(ranks)
        letters = iter(ascii_letters)
        indices = ["" for _ in self.vertices]
        for a, b, multiplicity in self.edges:
            shared = "".join(next(letters) for _ in range(multiplicity))
            indices[a] += shared
            indices[b] += shared
        if self.epsilon:
            tail = [next(letters) for _ in range(3)]
            for v, letter in zip(self.epsilon, tail, strict=True):
                indices[v] += letter
            indices.append("".join(tail))
        return ",".join(indices) + "->"

    def name(self, ranks: Sequence[int]) -> str:
        """Short stable name: ranks of the vertices, then the edges between vertices a, b, c...

        A tensor that shares its rank with others of the basis carries its number among them.

        Example:
            >>> Contraction((1, 1, 2), ((0, 2, 1), (1, 2, 1))).name((0, 1, 2))
            '1.1.2:ac.bc'
            >>> Contraction((0, 1), ((0, 1, 3),)).name((3, 3))
            '3#0.3#1:ab3'
        """
        tensors = ".".join(_tensor_name(slot, ranks) for slot in self.vertices)
        edges = [ascii_letters[a] + ascii_letters[b] + (str(m) if m > 1 else "") for a, b, m in self.edges]
        if self.epsilon:
            edges.append("e" + "".join(ascii_letters[v] for v in self.epsilon))
        return f"{tensors}:{'.'.join(edges)}" if edges else tensors

    def check(self, ranks: Sequence[int]) -> None:
        """Raises BasisError unless every vertex has as many edge ends as its tensor has indices, and none is a loop."""
        ends = [0] * len(self.vertices)
        for a, b, multiplicity in self.edges:
            if not 0 <= a < b < len(ends) or multiplicity < 1:
                raise BasisError(f"edge {(a, b, multiplicity)} is not (a, b, multiplicity) with a < b < {len(ends)}")
            ends[a] += multiplicity
            ends[b] += multiplicity
        if self.epsilon and not (0 <= self.epsilon[0] < self.epsilon[1] < self.epsilon[2] < len(ends)):
            raise BasisError(f"epsilon {self.epsilon} must name three vertices in ascending order")
        for v in self.epsilon or ():
            ends[v] += 1
        if list(self.vertices) != sorted(self.vertices) or list(self.edges) != sorted(self.edges):
            raise BasisError(f"vertices {self.vertices} and edges {self.edges} must be sorted; use canonical()")
        if not self.vertices or not all(0 <= slot < len(ranks) for slot in self.vertices):
            raise BasisError(
                f"vertices {self.vertices} must name one of {len(ranks)} tensors each, and there must be some"
            )
        wanted = [ranks[slot] for slot in self.vertices]
        if ends != wanted:
            raise BasisError(f"the vertices have {ends} edge ends, but their tensors have ranks {wanted}")

    def matrix(self) -> Matrix:
        """Symmetric edge multiplicities; with epsilon, one more vertex at the end that is joined to its three."""
        size = len(self.vertices) + bool(self.epsilon)
        rows = [[0] * size for _ in range(size)]
        joined = [(v, size - 1, 1) for v in self.epsilon or ()]
        for a, b, multiplicity in (*self.edges, *joined):
            rows[a][b] = rows[b][a] = multiplicity
        return tuple(map(tuple, rows))

    def canonical(self) -> "Contraction":
        """The one representative of all contractions that differ by the order of their vertices.

        Which vertices are the same tensor is respected; an odd contraction is kept up to sign.
        """
        return from_matrix(self.vertices, self.matrix(), bool(self.epsilon))

    def flips_sign(self) -> bool:
        """Whether a symmetry of the graph is an odd permutation of the Levi-Civita tensor: then the value is zero."""
        if not self.epsilon:
            return False
        images = automorphisms((*self.vertices, max(self.vertices) + 1), self.matrix())
        return any(_is_odd([image[v] for v in self.epsilon]) for image in images)


def from_matrix(slots: Sequence[int], matrix: Matrix, epsilon: bool = False) -> Contraction:
    """Canonical contraction of an edge matrix; with `epsilon` the last vertex of the matrix is the Levi-Civita tensor.

    Args:
        slots: slot of every vertex (without the Levi-Civita tensor).
        matrix: symmetric edge multiplicities.
        epsilon: whether the matrix has the extra vertex.
    """
    colours = (*slots, max(slots) + 1) if epsilon else tuple(slots)
    order = canonical_order(colours, matrix)
    rows = permute(matrix, order)
    n = len(slots)
    edges = tuple((a, b, rows[a][b]) for a in range(n) for b in range(a + 1, n) if rows[a][b])
    triple = tuple(v for v in range(n) if rows[n][v]) if epsilon else None
    return Contraction(tuple(sorted(slots)), edges, triple)  # type: ignore[arg-type]  # a triple has three


def contraction_data(contraction: Contraction) -> list:
    """Plain JSON data: [vertices, edges] or [vertices, edges, epsilon]."""
    epsilon = [list(contraction.epsilon)] if contraction.epsilon else []
    return [list(contraction.vertices), [list(edge) for edge in contraction.edges], *epsilon]


def read_contraction(data: Sequence) -> Contraction:
    """Inverse of `contraction_data`; ValueError or TypeError where it is not of that form."""
    vertices, edges, *epsilon = data
    triple = tuple(int(v) for v in epsilon[0]) if epsilon else None
    edges = tuple((int(a), int(b), int(m)) for a, b, m in edges)
    return Contraction(tuple(int(v) for v in vertices), edges, triple)  # type: ignore[arg-type]  # a triple has three


def _tensor_name(slot: int, ranks: Sequence[int]) -> str:
    """The tensor's rank, and its number among the tensors of that rank where there are several."""
    rank = ranks[slot]
    if list(ranks).count(rank) == 1:
        return str(rank)
    return f"{rank}#{list(ranks[:slot]).count(rank)}"


def _is_odd(values: Sequence[int]) -> bool:
    """Whether sorting the values takes an odd number of swaps."""
    pairs = ((a, b) for i, a in enumerate(values) for b in values[i + 1 :])
    return sum(a > b for a, b in pairs) % 2 == 1
