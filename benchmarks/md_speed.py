"""How long does a step of molecular dynamics take, and how much of it goes into neighbours and graph building?

Velocity Verlet through ASE on a copper crystal with a HIP-HOP-NN of random weights, hence soft forces: the atoms
move at a temperature as they would, the numbers do not matter. The neighbour list is made anew as the skin demands.

    python benchmarks/md_speed.py --json results/md_speed.json
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

import invarion as inv
from measure import save
from structures import frames


class Stopwatch:
    """A function that adds up the time spent in it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds, self.calls = function, 0.0, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return self.function(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - start
            self.calls += 1


def run(size: int, steps: int, skin: float, temperature: float) -> dict[str, Any]:
    """Times of one run, after ten steps of warming up."""
    (atoms,) = frames(f"cu{size}")
    torch.manual_seed(0)
    config = inv.hip_hop_nn(cutoff=5.0, n_features=64, n_interactions=2)
    calculator = inv.Calculator(inv.Potential(config, [29], scale=0.01), skin=skin)
    lists = Stopwatch(inv.engines.ase.pair_list)
    inv.engines.ase.pair_list = lists
    calculator._graph = graphs = Stopwatch(calculator._graph)
    atoms.calc = calculator
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=__import__("numpy").random.default_rng(0))
    dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
    dynamics.run(10)
    lists.seconds = graphs.seconds = 0.0
    lists.calls = 0
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        dynamics.run(1)
        times.append(time.perf_counter() - start)
    inv.engines.ase.pair_list = lists.function
    return {
        "n_atoms": len(atoms),
        "skin": skin,
        "steps": steps,
        "ms_per_step": 1e3 * statistics.median(times),
        "graph_share": graphs.seconds / sum(times),
        "lists_made": lists.calls,
        "list_share": lists.seconds / sum(times),
        "ns_per_day_at_2_fs": 2e-6 * 86400 / statistics.median(times),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all sizes and skins, print each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[108, 1000, 4000])
    parser.add_argument("--skins", nargs="+", type=float, default=[1.0, 0.0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    sizes, steps = ([4], 2) if chosen.smoke else (chosen.sizes, chosen.steps)
    torch.set_num_threads(chosen.threads)
    results = []
    for size in sizes:
        for skin in chosen.skins:
            results.append(run(size, steps, skin, chosen.temperature))
            print(results[-1], file=sys.stderr)
    save({"threads": chosen.threads, "results": results}, chosen.json)


if __name__ == "__main__":
    main()
