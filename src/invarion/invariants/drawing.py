"""Contraction graphs to look at: in one line of text, as a figure, as SVG."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from invarion.invariants.basis import InvariantBasis
from invarion.invariants.contractions import Contraction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LETTERS = ("s", "v", "Q", "T")  # tensors of rank 0..3; higher ones are called by their rank
_BONDS = ("", "-", "=", "#", "$")
_COLOURS = ("#6b7280", "#2563eb", "#059669", "#d97706", "#b91c1c", "#7c3aed", "#0e7490")
_EPSILON_COLOUR = "#111827"
_SPACING = 0.09  # between parallel edges, in units of an edge
_ROUNDS = 300


def line_notation(contraction: Contraction, ranks: Sequence[int]) -> str:
    """A contraction in one line, written like a SMILES string.

    Letters are tensors: s, v, Q, T of rank 0 to 3, (4), (5), ... above, with the number of the tensor in brackets where
    the basis has several of that rank, e for the Levi-Civita tensor. Bonds count contracted index pairs: - = # $ for
    one to four, {5} and so on above. Round brackets hold branches, digits close rings.

    Args:
        contraction: the graph.
        ranks: rank of every tensor of the basis.

    >>> line_notation(Contraction((1, 1, 2), ((0, 2, 1), (1, 2, 1))), (0, 1, 2))
    'v-Q-v'
    >>> line_notation(Contraction((2, 2, 2), ((0, 1, 1), (0, 2, 1), (1, 2, 1))), (0, 1, 2))
    'Q1-Q-Q-1'
    """
    labels, matrix = vertex_labels(contraction, ranks), contraction.matrix()
    order, tree, rings = _walk(contraction)
    closures: dict[int, list[str]] = {v: [] for v in order}
    for number, (opened, closed) in enumerate(rings, start=1):
        digit = str(number) if number < 10 else f"%{number}"
        closures[opened].append(digit)
        closures[closed].append(_bond(matrix[opened][closed]) + digit)

    def write(v: int) -> str:
        branches = [_bond(matrix[v][w]) + write(w) for w in tree[v]]
        sides = "".join(f"({branch})" for branch in branches[:-1])
        return labels[v] + "".join(closures[v]) + sides + "".join(branches[-1:])

    return write(order[0])


def vertex_labels(contraction: Contraction, ranks: Sequence[int]) -> list[str]:
    """Letters of the vertices, the Levi-Civita tensor last."""
    return [_label(slot, ranks) for slot in contraction.vertices] + ["e"] * bool(contraction.epsilon)


def draw(basis: InvariantBasis, columns: int = 5) -> "Figure":
    """A figure of all contraction graphs of a basis.

    Args:
        basis: what to draw.
        columns: pictures per row, at least 1.

    Returns:
        A matplotlib figure; `figure.savefig("basis.png")` writes it.
    """
    from matplotlib.figure import Figure

    rows = -(-len(basis) // columns)
    figure = Figure(figsize=(2.0 * columns, 2.2 * max(rows, 1)), layout="constrained")
    for number, contraction in enumerate(basis.invariants):
        axes = figure.add_subplot(rows, columns, number + 1)
        _draw_one(axes, contraction, basis.ranks)
        axes.set_title(f"{number + 1}: {line_notation(contraction, basis.ranks)}", fontsize=8)
    return figure


def svg(contraction: Contraction, ranks: Sequence[int], size: int = 150) -> str:
    """One contraction graph as SVG text.

    Args:
        contraction: the graph.
        ranks: rank of every tensor of the basis.
        size: width and height in pixels.
    """
    place = size / 2 + 0.36 * size * layout(contraction)
    lines = [
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" stroke="#374151" stroke-width="1.5"/>'
        for a, b in _strands(contraction, place, _SPACING * 0.36 * size)
    ]
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{0.09 * size:.1f}" fill="{colour}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="middle" fill="white" '
        f'font-size="{0.1 * size:.0f}" font-family="sans-serif">{escape(label)}</text>'
        for (x, y), label, colour in zip(
            place, vertex_labels(contraction, ranks), _vertex_colours(contraction, ranks), strict=True
        )
    ]
    title = f"<title>{escape(line_notation(contraction, ranks))}</title>"
    body = "".join([title, *lines, *dots])
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {size} {size}" width="{size}">{body}</svg>'


def layout(contraction: Contraction) -> NDArray[np.float64]:
    """(vertices, 2) places in the unit disc: distances in the plane near those along edges, the same every time.

    References:
        T. Kamada, S. Kawai, Inf. Process. Lett. 31, 7 (1989); stress majorisation, E. Gansner et al., GD 2004.
    """
    distance = _path_lengths(contraction)
    n = len(distance)
    angle = 2 * np.pi * np.argsort(_walk(contraction)[0]) / n + 0.3
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1) * max(n - 1, 0)
    weight = np.divide(1.0, distance**2, out=np.zeros_like(distance), where=distance > 0)
    solve = np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)
    for _ in range(_ROUNDS):
        length = np.linalg.norm(place[:, None] - place, axis=2)
        pull = np.divide(weight * distance, length, out=np.zeros_like(length), where=length > 1e-12)
        place = solve @ (np.diag(pull.sum(axis=1)) - pull) @ place
    return place / max(np.linalg.norm(place, axis=1).max(initial=0.0), 1e-12)


def _draw_one(axes: Any, contraction: Contraction, ranks: Sequence[int]) -> None:
    place = layout(contraction)
    for a, b in _strands(contraction, place, _SPACING):
        axes.plot([a[0], b[0]], [a[1], b[1]], color="#374151", linewidth=1.2, zorder=1)
    axes.scatter(place[:, 0], place[:, 1], s=260, c=_vertex_colours(contraction, ranks), zorder=2)
    for (x, y), label in zip(place, vertex_labels(contraction, ranks), strict=True):
        axes.text(x, y, label, color="white", ha="center", va="center", fontsize=8, zorder=3)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.set_axis_off()


def _strands(
    contraction: Contraction, place: NDArray[np.float64], spacing: float
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Ends of the parallel lines that edges are drawn by."""
    matrix = contraction.matrix()
    for a in range(len(matrix)):
        for b in range(a):
            along = place[b] - place[a]
            side = np.array([-along[1], along[0]]) / max(np.linalg.norm(along), 1e-12) * spacing
            for strand in range(matrix[a][b]):
                shift = (strand - (matrix[a][b] - 1) / 2) * side
                yield place[a] + shift, place[b] + shift


def _walk(contraction: Contraction) -> tuple[list[int], dict[int, list[int]], list[tuple[int, int]]]:
    """Depth-first order and tree of a graph from an end of it, and the edges that close rings, earlier end first."""
    matrix = contraction.matrix()
    order: list[int] = []
    tree: dict[int, list[int]] = {}
    rings: list[tuple[int, int]] = []

    def visit(v: int, parent: int) -> None:
        order.append(v)
        tree[v] = []
        for w in (w for w, k in enumerate(matrix[v]) if k and w != parent):
            if w not in tree:
                tree[v].append(w)
                visit(w, v)
            elif order.index(w) < order.index(v):
                rings.append((w, v))

    visit(min(range(len(matrix)), key=lambda v: (sum(k > 0 for k in matrix[v]), v)), -1)
    return order, tree, rings


def _path_lengths(contraction: Contraction) -> NDArray[np.float64]:
    """(n, n) fewest edges between vertices."""
    adjacent = np.array(contraction.matrix(), dtype=float)
    distance = np.where(adjacent > 0, 1.0, np.inf)
    np.fill_diagonal(distance, 0.0)
    for k in range(len(distance)):
        distance = np.minimum(distance, distance[:, k, None] + distance[k])
    return distance


def _label(slot: int, ranks: Sequence[int]) -> str:
    rank = ranks[slot]
    letter = _LETTERS[rank] if rank < len(_LETTERS) else f"({rank})"
    return letter if list(ranks).count(rank) == 1 else f"{letter}[{list(ranks[:slot]).count(rank)}]"


def _bond(multiplicity: int) -> str:
    return _BONDS[multiplicity] if multiplicity < len(_BONDS) else f"{{{multiplicity}}}"


def _vertex_colours(contraction: Contraction, ranks: Sequence[int]) -> list[str]:
    own = [_COLOURS[ranks[slot] % len(_COLOURS)] for slot in contraction.vertices]
    return own + [_EPSILON_COLOUR] * bool(contraction.epsilon)
