"""In which order contractions are evaluated: pairs of pieces, pieces shared between contractions made once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from invarion.invariants.subgraphs import ContractionGraph

_MAX_COMPONENTS = 4096  # an intermediate tensor larger than this is never worth it
_PASSES = 3  # each further pass re-plans every contraction, knowing what the others make


class Step(NamedTuple):
    """One piece made of two: where it occurs, and about how many products it takes."""

    graph: ContractionGraph
    mask: int
    first: int
    second: int
    cost: int


Steps = Mapping[tuple, Step]  # by the key of the piece that a step makes


def plan_steps(graphs: Sequence[ContractionGraph]) -> dict[tuple, Step]:
    """Steps that make every graph, chosen graph by graph for the fewest products beyond what the others make.

    Each graph's tree is the best over all divisions into connected pairs given the pieces already made (dynamic
    programming over its connected pieces); later passes choose again. A heuristic for the joint problem.

    Args:
        graphs: the contractions; those of one vertex need no step.

    Returns:
        The steps by the key of the piece they make.
    """
    chosen: dict[int, Steps] = {}
    for _ in range(_PASSES):
        before = dict(chosen)
        for i in sorted(range(len(graphs)), key=lambda i: len(graphs[i].slots)):
            others = {key: step for j, steps in chosen.items() if j != i for key, step in steps.items()}
            chosen[i] = _best_tree(graphs[i], others)
        if chosen == before:
            break
    return {key: step for i in sorted(chosen) for key, step in chosen[i].items()}


def _best_tree(graph: ContractionGraph, free: Steps) -> Steps:
    """Steps for one graph; those in free are used where they help, and are part of the answer."""
    connected = {mask for mask in range(1, graph.whole + 1) if graph.is_connected(mask)}
    best: dict[int, Steps] = {}
    for mask in sorted(connected, key=lambda m: (m.bit_count(), m)):
        if mask.bit_count() == 1:
            best[mask] = {}
        elif graph.piece(mask).key in free:
            best[mask] = _closure(graph.piece(mask).key, free)
        elif graph.piece(mask).n_distinct <= _MAX_COMPONENTS:
            ways = (_joined(graph, mask, *parts, best) for parts in graph.splits(mask, connected & best.keys()))
            best[mask] = min(ways, key=lambda steps: _price(steps, free))
    return best[graph.whole]


def _joined(graph: ContractionGraph, mask: int, first: int, second: int, best: Mapping[int, Steps]) -> Steps:
    cost = graph.piece(mask).n_distinct
    for v in graph.vertices(first):
        for _, legs in graph.links(v, second):
            cost *= 2 * legs + 1
    step = Step(graph, mask, first, second, cost)
    return {**best[first], **best[second], graph.piece(mask).key: step}


def _price(steps: Steps, free: Steps) -> int:
    return sum(step.cost for key, step in steps.items() if key not in free)


def _closure(key: tuple, steps: Steps) -> dict[tuple, Step]:
    """The step of this key and all it needs."""
    found: dict[tuple, Step] = {}
    waiting = [key]
    while waiting:
        key = waiting.pop()
        if key in steps and key not in found:
            found[key] = steps[key]
            waiting += _needs(steps[key])
    return found


def _needs(step: Step) -> Iterable[tuple]:
    return (step.graph.piece(part).key for part in (step.first, step.second))
