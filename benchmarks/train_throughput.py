"""How many structures per second does training see, and what does everything around the step cost?

Ethanol frames that ship with the repository; energies and forces. For every batch size: the bare step (loss, its
slopes, optimiser) on batches made before, through the fused kernels and through plain torch; then whole epochs of
`inv.train`, whose difference to the bare step is the cost of batches, logging, averaging and validation.

    python benchmarks/train_throughput.py --json results/train_throughput.json
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

import invarion as inv
from invarion.data.dataset import samples
from invarion.models.environment import use_kernel
from invarion.training.batches import PackedSet
from measure import median_seconds, save

ETHANOL = Path(__file__).parents[1] / "examples" / "ethanol" / "train.extxyz"
MODELS: dict[str, Callable[[], Any]] = {
    "hip_nn": lambda: inv.hip_nn(cutoff=4.5, n_features=48, n_interactions=2),
    "hip_nn_ts": lambda: inv.hip_nn_ts(cutoff=4.5, n_features=48, n_interactions=2, max_rank=1),
    "hip_hop_nn": lambda: inv.hip_hop_nn(cutoff=4.5, n_features=48, n_interactions=2),
}


def step(potential: inv.Potential, data: PackedSet, size: int) -> Callable[[], None]:
    """One training step on a batch of the first `size` structures."""
    chosen = np.arange(size)
    graph, targets, *_ = data.batch(chosen, chosen)
    weights = [p for p in potential.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    potential.train()

    def take() -> None:
        optimizer.zero_grad()
        prediction = potential(graph)
        loss = (prediction.energy - targets.energy).square().mean() / 100
        loss = loss + (prediction.forces - targets.forces).square().mean()
        loss.backward(inputs=weights)
        optimizer.step()

    return take


def epochs(potential: inv.Potential, frames: list[Atoms], size: int, count: int) -> float:
    """Seconds per epoch of the whole training, set-up and the imports of a first run left out."""
    seconds = []
    for number in (1, 1, 1 + count):
        with tempfile.TemporaryDirectory() as folder:
            options = inv.TrainOptions(max_epochs=number, batch_size=size, progress=False)
            start = time.perf_counter()
            inv.train(potential, frames[: -len(frames) // 10], frames[-len(frames) // 10 :], options, folder=folder)
            seconds.append(time.perf_counter() - start)
    return (seconds[2] - seconds[1]) / count


def measure(name: str, size: int, frames: list[Atoms], chosen: argparse.Namespace) -> dict[str, Any]:
    """One model and batch size."""
    potential = inv.Potential.from_data(MODELS[name](), frames)
    data = PackedSet(samples(frames, potential.cutoff, torch.float32), torch.float32)
    take = step(potential, data, size)

    def plainly() -> None:
        with use_kernel("torch"):
            take()

    times = median_seconds({"fused": take, "plain": plainly}, chosen.rounds)
    whole = epochs(potential, frames, size, chosen.epochs)
    trained = len(frames) - len(frames) // 10
    return {
        "model": name,
        "batch_size": size,
        "ms_per_step": 1e3 * times["fused"],
        "plain_ms_per_step": 1e3 * times["plain"],
        "structures_per_second": size / times["fused"],
        "structures_per_second_in_training": trained / whole,
        "share_of_bare_steps": times["fused"] * trained / size / whole,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all models and batch sizes, print each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.smoke:
        chosen.models, chosen.batch_sizes, chosen.frames, chosen.epochs, chosen.rounds = ["hip_nn"], [4], 20, 1, 1
    torch.set_num_threads(chosen.threads)
    frames = inv.read(ETHANOL)[: chosen.frames]
    results = []
    for name in chosen.models:
        for size in chosen.batch_sizes:
            results.append(measure(name, size, frames, chosen))
            print(results[-1], file=sys.stderr)
    save({"threads": chosen.threads, "results": results}, chosen.json)


if __name__ == "__main__":
    main()
