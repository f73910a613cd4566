"""How close does every stage of a HIP-HOP-NN come to what this machine can do?

Per stage of the second interaction: multiply-adds and least memory traffic per atom (every number that goes in or comes
out, once), the time that the measured peaks of this machine allow for them, and the time it takes: forwards, backwards
to the edges (energies and forces) and backwards through that (a training step). One core unless told otherwise.

    python benchmarks/roofline.py --json results/roofline.json --table results/roofline.md
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import invarion as inv
from invarion.graphs import Graph
from invarion.models.edges import edge_geometry
from invarion.models.environment import environment
from invarion.models.kernels.geometry_loops import terms
from invarion.models.radial import counting_range
from measure import median_seconds, save
from structures import write

PASSES = ("forward", "backward", "second")
EXPONENTIAL = 10  # multiply-adds that an exponential stands for


class Stage(NamedTuple):
    """A function of the model.

    Attributes:
        name: what it is called in the table.
        compute: of the inputs.
        inputs: that forces are passed back through.
        weights: of the stage, which a training step passes back to as well.
        operations: multiply-adds of the three passes.
        begins: whether its inputs are edge vectors, to which no training step passes back.
    """

    name: str
    compute: Callable[..., tuple[Tensor, ...]]
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    operations: tuple[float, ...]
    begins: bool = False


def stages(potential: inv.Potential, graph: Graph) -> list[Stage]:
    """The second interaction of the potential's network, stage by stage, on numbers as they are in it."""
    block = potential.network.blocks[1]
    interaction, head, layers = block[0].layer, block[0].layer.head, torch.nn.Sequential(*block[1:])
    index = potential.species_index(graph.species)
    n, n_edges, width = graph.n_atoms, len(graph.vectors), interaction.weights.shape[2]
    with torch.no_grad():
        edges = potential.network.train()._edges(graph, index)
        features = torch.randn(n, width)
        distances, directions = edge_geometry(graph.vectors, 3)
        values, support = interaction.sensitivities(distances)
        span = counting_range(values, support)
        mixed, (centers, rows, first) = interaction.mix(features, edges, span, False)
        tensors = environment(values, directions, mixed, centers, rows, n, support, first)
        found = head.invariants(tensors)
        normal = head.norm(found)
    m, b, plan = tensors.shape[1], found.shape[1], head.invariants.plan
    counting = float((support[:, 1] - support[:, 0]).float().mean()) if support is not None else values.shape[1]
    raising = len(terms(3, np.dtype(np.float32)).targets)
    product, mixing = n * mixed.shape[1] * width * width, n * b * width * width
    layered = 2 * (len(block) - 1) * n * width * width
    per_channel = n_edges * width

    def summed(s: Tensor, t: Tensor, z: Tensor) -> tuple[Tensor]:
        return (environment(s, t, z, centers, rows, n, support, first),)

    return [
        Stage(
            "geometry", lambda v: edge_geometry(v, 3), (graph.vectors,), (), _times(n_edges, 2 * raising, 1, 2, 2), True
        ),
        Stage(
            "sensitivities",
            lambda r: interaction.sensitivities(r)[:1],
            (distances,),
            tuple(interaction.sensitivities.parameters()),
            _times(n_edges * counting, EXPONENTIAL, 1, 1, 2),
        ),
        Stage(
            "mixing product",
            lambda z: interaction.mix(z, edges, span, False)[:1],
            (features,),
            (interaction.weights,),
            _times(product, 1, 1, 1, 2),
        ),
        Stage(
            "environment sum",
            summed,
            (values, directions, mixed),
            (),
            (
                per_channel * (m + counting),
                per_channel * (2 * m + 3 * counting),
                per_channel * (5 * m + 7 * counting),
            ),
        ),
        Stage(
            "invariants",
            lambda x: (head.invariants(x),),
            (tensors,),
            (),
            tuple(n * width * program.n_terms for program in (plan.values, plan.gradient, plan.curvature)),
        ),
        Stage(
            "normalisation",
            lambda x: (head.norm(x),),
            (found,),
            tuple(head.norm.parameters()),
            _times(n * b * width, 1, 2, 3, 9),
        ),
        Stage(
            "mixing of invariants",
            lambda x: (x.flatten(1) @ head.mixing.flatten(0, 1),),
            (normal,),
            (head.mixing,),
            _times(mixing, 1, 1, 1, 2),
        ),
        Stage(
            "atom layers",
            lambda z: (layers(z),),
            (features,),
            tuple(layers.parameters()),
            _times(layered, 1, 1, 1, 2),
        ),
    ]


def _times(count: float, each: float, *factors: float) -> tuple[float, ...]:
    return tuple(count * each * factor for factor in factors)


def passes(stage: Stage) -> tuple[dict[str, Callable[[], Any]], dict[str, int]]:
    """The three passes of a stage as functions without arguments, and the bytes that each has to move."""
    inputs = tuple(x.detach().clone().requires_grad_() for x in stage.inputs)
    outputs = stage.compute(*inputs)
    slopes = tuple(torch.randn_like(y).requires_grad_() for y in outputs)
    first = torch.autograd.grad(outputs, inputs, slopes, create_graph=True)
    changes = tuple(torch.randn_like(x) for x in first)
    sources = (*slopes, *(() if stage.begins else inputs), *stage.weights)
    both = {"retain_graph": True, "allow_unused": True}
    jobs = {
        "forward": lambda: stage.compute(*inputs),
        "backward": lambda: torch.autograd.grad(outputs, inputs, slopes, retain_graph=True),
        "second": lambda: torch.autograd.grad(first, sources, changes, **both),
    }
    moved = {
        "forward": _bytes(inputs, stage.weights, outputs),
        "backward": _bytes(inputs, stage.weights, slopes, first),
        "second": _bytes(inputs, stage.weights, slopes, changes, sources),
    }
    return jobs, moved


def _bytes(*groups: Sequence[Tensor]) -> int:
    return sum(x.numel() * x.element_size() for group in groups for x in group)


def peaks(side: int, megabytes: int) -> dict[str, float]:
    """What the machine reaches at best: multiply-adds of a matrix product, bytes of a copy (read and written)."""
    one, other = torch.randn(2, side, side)
    source = torch.ones(megabytes << 18)
    target = torch.empty_like(source)
    products = _fastest(lambda: torch.mm(one, other, out=one.new_empty(side, side)))
    copies = _fastest(lambda: target.copy_(source))
    return {"multiply_adds_per_s": side**3 / products, "bytes_per_s": _bytes([source, target]) / copies}


def _fastest(job: Callable[[], Any], repeats: int = 10) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return min(times)


def whole(potential: inv.Potential, graph: Graph) -> dict[str, Callable[[], Any]]:
    """Energies and forces, and a training step without the optimiser, of the whole potential."""
    weights = [p for p in potential.parameters() if p.requires_grad]

    def infer() -> None:
        potential.eval()(graph)

    def train() -> None:
        prediction = potential.train()(graph)
        (prediction.energy.square().sum() + prediction.forces.square().sum()).backward(inputs=weights)

    return {"energies and forces": infer, "training step": train}


def measure(system: str, features: int, rounds: int, limits: dict[str, float]) -> dict[str, Any]:
    """All stages of one system."""
    with tempfile.TemporaryDirectory() as folder, np.load(write(system, Path(folder))) as arrays:
        numbers, system_, centers, neighbors = (
            torch.tensor(arrays[key], dtype=torch.int64) for key in ("numbers", "system", "centers", "neighbors")
        )
        positions, shifts = (torch.tensor(arrays[key], dtype=torch.float32) for key in ("positions", "shifts"))
    vectors = positions[neighbors] - positions[centers] + shifts
    volume = torch.full((int(system_[-1]) + 1,), torch.nan)
    graph = Graph(numbers, vectors, centers, neighbors, system_, volume)
    torch.manual_seed(0)
    config = inv.hip_hop_nn(cutoff=5.0, n_features=features, n_interactions=2)
    potential = inv.Potential(config, sorted(set(numbers.tolist())))
    rows = []
    for stage in stages(potential, graph):
        jobs, moved = passes(stage)
        seconds = median_seconds(jobs, rounds)
        for name, operations in zip(PASSES, stage.operations, strict=True):
            least = max(operations / limits["multiply_adds_per_s"], moved[name] / limits["bytes_per_s"])
            rows.append(
                {
                    "stage": stage.name,
                    "pass": name,
                    "multiply_adds_per_atom": operations / graph.n_atoms,
                    "bytes_per_atom": moved[name] / graph.n_atoms,
                    "us_per_atom": 1e6 * seconds[name] / graph.n_atoms,
                    "fraction_of_peak": least / seconds[name],
                }
            )
    totals = median_seconds(whole(potential, graph), max(2, rounds // 3))
    per_atom = {name: 1e6 * seconds / graph.n_atoms for name, seconds in totals.items()}
    return {"system": system, "n_atoms": graph.n_atoms, "n_edges": len(vectors), "stages": rows, "whole": per_atom}


def table(result: dict[str, Any]) -> str:
    """One system in Markdown; three passes to a row, separated by bars."""
    lines = [
        "| stage | multiply-adds / atom, thousands | kB / atom | us / atom | % of peak |",
        "|---|---|---|---|---|",
    ]
    keys = (("multiply_adds_per_atom", 1e-3), ("bytes_per_atom", 1e-3), ("us_per_atom", 1), ("fraction_of_peak", 100))
    names = list(dict.fromkeys(row["stage"] for row in result["stages"]))
    for name in names:
        rows = [row for row in result["stages"] if row["stage"] == name]
        cells = [" / ".join(f"{row[key] * factor:.3g}" for row in rows) for key, factor in keys]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    sums = [sum(r["us_per_atom"] for r in result["stages"] if r["pass"] == name) for name in PASSES]
    lines.append(f"| all, one interaction | | | {' / '.join(f'{s:.3g}' for s in sums)} | |")
    lines += [f"| whole model: {name} | | | {us:.3g} | |" for name, us in result["whole"].items()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the machine, then all systems; print each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=["cu500"])
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.smoke:
        chosen.systems, chosen.features, chosen.rounds = ["ch4_4"], 16, 2
    torch.set_num_threads(chosen.threads)
    limits = peaks(*((128, 8) if chosen.smoke else (2048, 256)))
    results = []
    for system in chosen.systems:
        results.append(measure(system, chosen.features, chosen.rounds, limits))
        print(table(results[-1]), file=sys.stderr)
    if chosen.table:
        chosen.table.parent.mkdir(parents=True, exist_ok=True)
        chosen.table.write_text("\n".join(table(result) for result in results))
    save({"threads": chosen.threads, "peaks": limits, "results": results}, chosen.json)


if __name__ == "__main__":
    main()
