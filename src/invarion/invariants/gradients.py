"""Values and gradients of contractions over any field, by pairwise products of bundles and one sweep back."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, count
from math import prod
from string import ascii_letters
from typing import NamedTuple

import numpy as np

from invarion.geometry.harmonics import component_slices
from invarion.invariants.contractions import Contraction
from invarion.invariants.fields import Field

_BATCH = "Z"


class Vertex(NamedTuple):
    """One operand: which split of its tensor, and the letters of its bundles in that order."""

    bundles: tuple[int, ...]
    lowered: tuple[bool, ...]
    letters: str


class Step(NamedTuple):
    """A product of two operands into a new one, and the einsums that pull its gradient back to either."""

    left: int
    right: int
    forward: str
    to_left: str
    to_right: str


class Path(NamedTuple):
    """How to contract a graph: its operands (the Levi-Civita tensor last, if any) and the order of products."""

    vertices: tuple[Vertex, ...]
    steps: tuple[Step, ...]


def values(contractions: Sequence[Contraction], ranks: Sequence[int], points: np.ndarray, field: Field) -> np.ndarray:
    """Values of contractions.

    Args:
        contractions: B invariants.
        ranks: rank of every tensor.
        points: (P, M) coordinates in the field, M = sum of 2l+1.
        field: the arithmetic.

    Returns:
        (P, B).
    """
    splits = _Splits(ranks, points, field)
    columns = [_forward(c, splits)[0][-1] for c in contractions]
    return np.stack(columns, 1) if columns else np.zeros((len(points), 0), field.dtype)


def jacobian(contractions: Sequence[Contraction], ranks: Sequence[int], points: np.ndarray, field: Field) -> np.ndarray:
    """Gradients of contractions with respect to the tensors' coordinates.

    Args:
        contractions: B invariants.
        ranks: rank of every tensor.
        points: (P, M) coordinates in the field.
        field: the arithmetic.

    Returns:
        (P, B, M).
    """
    splits = _Splits(ranks, points, field)
    pulled: dict[tuple, list[tuple[int, np.ndarray]]] = {}
    for row, contraction in enumerate(contractions):
        for key, gradient in _backward(contraction, splits):
            pulled.setdefault(key, []).append((row, gradient))
    result = np.zeros((len(points), len(contractions), points.shape[1]), field.dtype)
    for key, entries in pulled.items():
        _collect(result, key, entries, splits)
    return field.normal(result)


def _collect(result: np.ndarray, key: tuple, entries: list[tuple[int, np.ndarray]], splits: "_Splits") -> None:
    """Add the gradients with respect to one kind of split to the rows they belong to, in one matrix product."""
    slot, bundles, lowered = key
    table = splits.field.table(splits.ranks[slot], bundles, lowered)
    stacked = np.stack([np.broadcast_to(g, (len(result), *table.shape[1:])) for _, g in entries])
    flat = splits.field.matmul(stacked.reshape(-1, prod(table.shape[1:])), table.reshape(len(table), -1).T)
    rows = np.array([row for row, _ in entries])
    part = flat.reshape(len(rows), len(result), -1).transpose(1, 0, 2)
    np.add.at(result[:, :, splits.slices[slot]], (slice(None), rows), part)  # type: ignore[arg-type]  # slices are indices, too


class _Splits:
    """The tensors at some points, split into bundles on demand; each split is computed once."""

    def __init__(self, ranks: Sequence[int], points: np.ndarray, field: Field) -> None:
        self.ranks, self.points, self.field = tuple(ranks), points, field
        self.slices = component_slices(ranks)
        self._known: dict[tuple, np.ndarray] = {}

    def __call__(self, slot: int, vertex: Vertex) -> np.ndarray:
        key = (slot, vertex.bundles, vertex.lowered)
        if key not in self._known:
            table = self.field.table(self.ranks[slot], vertex.bundles, vertex.lowered)
            flat = self.field.matmul(self.points[:, self.slices[slot]], table.reshape(len(table), -1))
            self._known[key] = flat.reshape(-1, *table.shape[1:])
        return self._known[key]


def _forward(contraction: Contraction, splits: _Splits) -> tuple[list[np.ndarray], Path]:
    """All operands and intermediate products; the last one is the value."""
    path = contraction_path(len(contraction.vertices), contraction.edges, contraction.epsilon)
    tensors = [splits(slot, v) for slot, v in zip(contraction.vertices, path.vertices, strict=False)]
    if contraction.epsilon:
        tensors.append(_levi_civita(len(splits.points), splits.field))
    for step in path.steps:
        tensors.append(splits.field.einsum(step.forward, tensors[step.left], tensors[step.right]))
    return tensors, path


def _backward(contraction: Contraction, splits: _Splits) -> list[tuple[tuple, np.ndarray]]:
    """Gradient with respect to the split tensor of every vertex."""
    tensors, path = _forward(contraction, splits)
    above: list[np.ndarray] = [np.ones(1, splits.field.dtype)] * len(tensors)
    for result in range(len(tensors) - 1, len(path.vertices) - 1, -1):
        step = path.steps[result - len(path.vertices)]
        first, second = tensors[step.left], tensors[step.right]
        above[step.left] = _pull(step.to_left, above[result], second, splits.field)
        above[step.right] = _pull(step.to_right, above[result], first, splits.field)
    keys = [(s, v.bundles, v.lowered) for s, v in zip(contraction.vertices, path.vertices, strict=False)]
    return list(zip(keys, above, strict=False))


def _pull(spec: str, above: np.ndarray, other: np.ndarray, field: Field) -> np.ndarray:
    """Gradient with respect to one factor of a product; at the final product it is the other factor, re-ordered."""
    return field.einsum(spec, above, other) if "," in spec else np.einsum(spec, other)


def _levi_civita(points: int, field: Field) -> np.ndarray:
    """(P, 3, 3, 3) of a field; -1 is a valid residue for sums, and (y, z, x) is an even permutation of (x, y, z)."""
    tensor = np.zeros((3, 3, 3), field.dtype)
    for shift in range(3):
        a, b, c = np.roll(range(3), shift)
        tensor[a, b, c], tensor[a, c, b] = 1, -1
    return np.broadcast_to(tensor, (points, 3, 3, 3))


@lru_cache(maxsize=65536)
def contraction_path(n_vertices: int, edges: tuple[tuple[int, int, int], ...], epsilon: tuple | None = None) -> Path:
    """Order of pairwise products for a graph: always the pair of joined operands with the smallest product.

    Args:
        n_vertices: number of tensors.
        edges: (a, b, multiplicity), a < b; one bundle each, its metric belongs to the end at a.
        epsilon: vertices joined to the Levi-Civita tensor, or None.
    """
    ends: list[list[tuple[int, bool, str]]] = [[] for _ in range(n_vertices + bool(epsilon))]
    joined = [(v, n_vertices, 1) for v in epsilon or ()]
    for letter, (a, b, multiplicity) in zip(ascii_letters.replace(_BATCH, ""), (*edges, *joined), strict=False):
        ends[a].append((multiplicity, True, letter))
        ends[b].append((multiplicity, False, letter))
    vertices = tuple(_vertex(e, keep_order=bool(epsilon) and e is ends[-1]) for e in ends)
    sizes = {letter: 2 * k + 1 for e in ends for k, _, letter in e}
    return Path(vertices, tuple(_products([v.letters for v in vertices], sizes)))


def _vertex(ends: list[tuple[int, bool, str]], keep_order: bool) -> Vertex:
    """Bundles of one vertex in a standard order, so that equal splits are shared."""
    ordered = ends if keep_order else sorted(ends)
    return Vertex(tuple(k for k, _, _ in ordered), tuple(low for _, low, _ in ordered), "".join(c for *_, c in ordered))


def _products(letters: list[str], sizes: dict[str, int]) -> Iterator[Step]:
    """Merge operands pair by pair until one is left."""
    operands, numbers = dict(enumerate(letters)), count(len(letters))
    while len(operands) > 1:
        left, right = min(combinations(operands, 2), key=lambda ij: _cost(operands[ij[0]], operands[ij[1]], sizes))
        a, b = operands.pop(left), operands.pop(right)
        result = "".join(c for c in a + b if (c in a) != (c in b))
        operands[next(numbers)] = result
        yield _step(left, right, a, b, result)


def _cost(a: str, b: str, sizes: dict[str, int]) -> tuple[bool, int, int]:
    """Unjoined pairs last, then the size of the result, then the work."""
    result = prod(sizes[c] for c in a + b if (c in a) != (c in b))
    return not set(a) & set(b), result, prod(sizes[c] for c in set(a + b))


def _step(left: int, right: int, a: str, b: str, result: str) -> Step:
    """Einsum specifications of one product and of its pull-backs; Z runs over the points."""
    z = _BATCH
    if not result:
        return Step(left, right, f"{z}{a},{z}{b}->{z}", f"{z}{b}->{z}{a}", f"{z}{a}->{z}{b}")
    forward = f"{z}{a},{z}{b}->{z}{result}"
    return Step(left, right, forward, f"{z}{result},{z}{b}->{z}{a}", f"{z}{result},{z}{a}->{z}{b}")
