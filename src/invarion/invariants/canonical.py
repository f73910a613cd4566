"""Canonical form of small coloured multigraphs, by colour refinement and individualisation."""

from collections.abc import Sequence

Matrix = tuple[tuple[int, ...], ...]


def canonical_order(colours: Sequence[int], matrix: Matrix) -> tuple[int, ...]:
    """An order of the vertices that brings isomorphic coloured multigraphs to the same matrix.

    Args:
        colours: colour of each vertex; the order never mixes colours, smaller ones come first.
        matrix: symmetric edge multiplicities.

    Returns:
        Vertices in canonical order: the first entry says which vertex comes first.

    Example:
        >>> canonical_order([0, 0, 1], ((0, 0, 1), (0, 0, 2), (1, 2, 0)))
        (0, 1, 2)
    """
    best: tuple[Matrix, tuple[int, ...]] | None = None
    pending = [_refine(_dense(colours), matrix)]
    while pending:
        classes = pending.pop()
        cell = _first_open_cell(classes)
        if cell:
            pending += [_refine(_individualise(classes, v), matrix) for v in _untwinned(cell, matrix)]
            continue
        order = tuple(sorted(range(len(classes)), key=classes.__getitem__))
        leaf = (permute(matrix, order), order)
        best = leaf if best is None or leaf < best else best
    return best[1] if best else ()


def permute(matrix: Matrix, order: Sequence[int]) -> Matrix:
    """The multiplicity matrix with its vertices in another order."""
    return tuple(tuple(matrix[a][b] for b in order) for a in order)


def automorphisms(colours: Sequence[int], matrix: Matrix) -> list[tuple[int, ...]]:
    """Generating permutations are not enough for signs: all automorphisms that keep colours, twins included."""
    classes = _refine(_dense(colours), matrix)
    found: list[tuple[int, ...]] = [()]
    for vertex in range(len(classes)):
        found = [
            (*image, w) for image in found for w in range(len(classes)) if _extends(image, w, vertex, classes, matrix)
        ]
    return found


def _extends(image: tuple[int, ...], w: int, vertex: int, classes: tuple[int, ...], matrix: Matrix) -> bool:
    """Whether sending `vertex` to w continues a partial automorphism."""
    if w in image or classes[w] != classes[vertex]:
        return False
    return all(matrix[vertex][u] == matrix[w][image[u]] for u in range(vertex))


def _dense(keys: Sequence) -> tuple[int, ...]:
    """Keys replaced by their rank among the distinct ones."""
    rank = {key: i for i, key in enumerate(sorted(set(keys)))}
    return tuple(rank[key] for key in keys)


def _refine(classes: tuple[int, ...], matrix: Matrix) -> tuple[int, ...]:
    """Split classes by the multiset of (multiplicity, class) around each vertex until nothing changes."""
    count = len(set(classes))
    while count < len(classes):
        around = [tuple(sorted((m, classes[u]) for u, m in enumerate(row) if m)) for row in matrix]
        classes = _dense(list(zip(classes, around, strict=True)))
        refined = len(set(classes))
        if refined == count:
            break
        count = refined
    return classes


def _first_open_cell(classes: tuple[int, ...]) -> list[int]:
    """Vertices of the first class that has several; empty when every vertex is alone."""
    seen: dict[int, list[int]] = {}
    for vertex, c in enumerate(classes):
        seen.setdefault(c, []).append(vertex)
    return min(((c, cell) for c, cell in seen.items() if len(cell) > 1), default=(0, []))[1]


def _individualise(classes: tuple[int, ...], vertex: int) -> tuple[int, ...]:
    """Set one vertex apart, before the others of its class."""
    return _dense([(c, v != vertex) for v, c in enumerate(classes)])


def _untwinned(cell: list[int], matrix: Matrix) -> list[int]:
    """One vertex of each set of twins: swapping twins is an automorphism, so one branch tells all."""
    kept: list[int] = []
    for v in cell:
        if not any(_twins(u, v, matrix) for u in kept):
            kept.append(v)
    return kept


def _twins(u: int, v: int, matrix: Matrix) -> bool:
    """Whether two vertices have the same edges to all others."""
    return all(matrix[u][w] == matrix[v][w] for w in range(len(matrix)) if w not in (u, v))
