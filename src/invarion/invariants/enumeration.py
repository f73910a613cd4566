"""All connected contraction graphs of a list of tensors, each isomorphism class once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement, pairwise

from invarion.exceptions import BasisError
from invarion.invariants.canonical import Matrix, canonical_order, permute
from invarion.invariants.contractions import Contraction, from_matrix
from invarion.invariants.counting import estimated_candidates, labelled_multigraphs
from invarion.invariants.request import check_degree

MOST_CANDIDATES = 500_000
_TELL_EVERY = 500  # partial graphs between two lines of progress: a few seconds

Tell = Callable[[str], None]


def enumerate_contractions(
    ranks: Sequence[int], degree: int, parity: str = "even", all_tensors: bool = False, tell: Tell | None = None
) -> Iterator[Contraction]:
    """Connected contractions of one degree, each isomorphism class once, in a fixed order.

    Args:
        ranks: rank of every tensor.
        degree: number of tensors multiplied, >= 1.
        parity: 'even', or 'odd' for contractions with one Levi-Civita tensor.
        all_tensors: only contractions in which every tensor that is not a scalar occurs.
        tell: called with a line of text now and then where tensors have very many graphs.

    Example:
        >>> [c.name((0, 1, 2)) for c in enumerate_contractions((0, 1, 2), 3)]
        ['1.1.2:ac.bc', '2.2.2:ab.ac.bc']
    """
    wanted = {slot for slot, rank in enumerate(ranks) if rank} if all_tensors else set()
    for slots in combinations_with_replacement(range(len(ranks)), degree):
        if wanted <= set(slots) and _can_close([ranks[s] for s in slots], parity == "odd"):
            yield from _of_tensors(slots, ranks, parity == "odd", tell)


def candidates(
    ranks: Sequence[int], degree: int, parity: str = "even", all_tensors: bool = False, tell: Tell | None = None
) -> list[Contraction]:
    """Contractions of one degree as `enumerate_contractions` gives them, after a look at how many there will be.

    Raises:
        BasisError: more than half a million by estimate.
    """
    check_number(ranks, (degree,), parity)
    return list(enumerate_contractions(ranks, degree, parity, all_tensors, tell))


def all_candidates(ranks: Sequence[int], max_degree: int) -> list[Contraction]:
    """Contractions of all degrees up to `max_degree`, low degrees first.

    Raises:
        BasisError: the degree is no whole number from 1 to 100, or there are more than half a million by estimate.
    """
    if max_degree is None:
        raise BasisError("max_degree is None, but contractions go on for ever; give a degree, such as max_degree=3")
    check_degree(max_degree)
    check_number(ranks, range(1, max_degree + 1))
    return [c for degree in range(1, max_degree + 1) for c in enumerate_contractions(ranks, degree)]


def check_number(ranks: Sequence[int], degrees: Iterable[int], parity: str = "even") -> None:
    """Raises BasisError when contractions of these degrees are more than half a million by estimate."""
    degrees = tuple(degrees)
    expected = 0.0
    for degree in sorted(degrees, reverse=True):
        expected += estimated_candidates(ranks, degree, parity == "odd", enough=MOST_CANDIDATES)
    if expected > MOST_CANDIDATES:
        raise BasisError(
            f"more than {MOST_CANDIDATES:,} contractions of degree up to {max(degrees)} exist for {len(ranks)} tensors "
            f"of rank <= {max(ranks)} by estimate; lower max_degree, max_rank or channels"
        )


def _can_close(degrees: Sequence[int], epsilon: bool) -> bool:
    """Whether these numbers of indices can be contracted without loops into a connected graph at all."""
    total = sum(degrees) + 3 * epsilon
    if len(degrees) == 1:
        return degrees[0] == 0 and not epsilon
    return total % 2 == 0 and min(degrees) > 0 and 2 * max(degrees) <= total


def _of_tensors(
    slots: tuple[int, ...], ranks: Sequence[int], epsilon: bool, tell: Tell | None = None
) -> list[Contraction]:
    """Contractions of one multiset of tensors; the graphs depend only on the pattern of ranks and repetitions."""
    if len(slots) == 1:
        return [Contraction(slots)]
    pattern = tuple((ranks[s], slots.index(s)) for s in slots)
    if tell and labelled_multigraphs(tuple(ranks[s] for s in slots)) > _TELL_EVERY:
        graphs = _grown(pattern, epsilon, tell)
    else:
        graphs = connected_graphs(pattern, epsilon)
    return sorted(from_matrix(slots, matrix, epsilon) for matrix in graphs)


@lru_cache(maxsize=4096)
def connected_graphs(vertices: tuple[tuple[int, int], ...], epsilon: bool) -> tuple[Matrix, ...]:
    """Connected loopless multigraphs with given vertex degrees, one per isomorphism class.

    Args:
        vertices: (degree, colour) of every vertex; vertices of one colour are interchangeable.
        epsilon: add a last vertex of degree 3 with simple edges only.

    Returns:
        Matrices of edge multiplicities.
    """
    return _grown(vertices, epsilon)


def _grown(vertices: tuple[tuple[int, int], ...], epsilon: bool, tell: Tell = lambda line: None) -> tuple[Matrix, ...]:
    """`connected_graphs`, vertex by vertex; says how far it is, but remembers nothing."""
    extra = ((3, len(vertices)),) if epsilon else ()
    vertices = (*vertices, *extra)
    size = len(vertices)
    level: set[State] = {(tuple(d for d, _ in vertices), tuple((0,) * size for _ in range(size)))}
    closed: set[Matrix] = set()
    for joined in range(1, size + 1):
        grown: set[State] = set()
        for number, parent in enumerate(level):
            if number and not number % _TELL_EVERY:
                tell(f"joining tensor {joined} of {size}: {number:,} of {len(level):,} unfinished graphs")
            grown |= {_canonical(state, vertices) for state in _saturate(parent, vertices, epsilon)}
        closed |= {matrix for left, matrix in grown if not any(left)}
        level = {state for state in grown if any(state[0])}
    return tuple(sorted(closed))


State = tuple[tuple[int, ...], Matrix]


def _canonical(state: State, vertices: tuple[tuple[int, int], ...]) -> State:
    """Canonical form of a partial graph; free edge ends follow from the edges, so colours alone tell vertices apart."""
    left, matrix = state
    order = canonical_order([colour for _, colour in vertices], matrix)
    return tuple(left[v] for v in order), permute(matrix, order)


def _saturate(state: State, vertices: tuple[tuple[int, int], ...], epsilon: bool) -> Iterator[State]:
    """All ways to use up the free edge ends of one vertex, up to swaps of twins; only graphs that can be finished."""
    left, matrix = state
    vertex = _next_vertex(left, matrix)
    others = sorted((v for v in range(len(left)) if v != vertex and left[v]), key=lambda v: (vertices[v], matrix[v]))
    limits = [1 if epsilon and len(left) - 1 in (v, vertex) else left[v] for v in others]
    twins = [a == b for a, b in pairwise((vertices[v], matrix[v]) for v in others)]
    for shares in _distribute(left[vertex], limits, [False, *twins], 0):
        grown = _connect(state, vertex, others, shares)
        if _can_finish(grown):
            yield grown


def _next_vertex(left: tuple[int, ...], matrix: Matrix) -> int:
    """The vertex to saturate: one already joined to others if there is any, with the most free ends."""
    free = [v for v in range(len(left)) if left[v]]
    return min(free, key=lambda v: (not any(matrix[v]), -left[v], v))


def _distribute(total: int, limits: Sequence[int], twins: Sequence[bool], before: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a total as a sum of parts with upper limits; a twin gets no more than the one before it."""
    if not limits:
        if total == 0:
            yield ()
        return
    most = min(total, limits[0], before) if twins[0] else min(total, limits[0])
    for part in range(max(0, total - sum(limits[1:])), most + 1):
        for rest in _distribute(total - part, limits[1:], twins[1:], part):
            yield (part, *rest)


def _connect(state: State, vertex: int, others: Sequence[int], shares: Sequence[int]) -> State:
    """The state with `shares` new edges from `vertex` to `others`."""
    left, rows = list(state[0]), [list(row) for row in state[1]]
    left[vertex] = 0
    for other, share in zip(others, shares, strict=True):
        left[other] -= share
        rows[vertex][other] = rows[other][vertex] = rows[vertex][other] + share
    return tuple(left), tuple(map(tuple, rows))


def _can_finish(state: State) -> bool:
    """Whether the free ends can be paired without loops, and no component is closed while others are not."""
    left, matrix = state
    if 2 * max(left) > sum(left):
        return False
    waiting = set(range(len(left)))
    while waiting:
        component = _component(next(iter(waiting)), matrix)
        if not any(left[v] for v in component) and len(component) < len(left):
            return False
        waiting -= component
    return True


def _component(start: int, matrix: Matrix) -> set[int]:
    """Vertices joined to `start`."""
    seen, stack = {start}, [start]
    while stack:
        row = matrix[stack.pop()]
        new = [w for w, m in enumerate(row) if m and w not in seen]
        seen.update(new)
        stack += new
    return seen
