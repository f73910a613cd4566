"""Can one small network learn what a committee knows? Training on labels alone, and on a teacher's labels, too.

The teacher labels frames that nobody has computed: dynamics with a network trained on the labels alone, of many copies
of the molecule at once. The student is a network of the same size, trained for the same time on both.

    invarion committee run*/model.inv -o teacher.inv
    python benchmarks/distillation.py teacher.inv --minutes 5 --frames 3000 --threads 1 --json results/distillation.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read

import invarion as inv
from accuracy_data import benchmarks
from accuracy_errors import errors
from fine_tuning import tested, trained
from invarion.engines.dynamics import run_dynamics
from measure import save

N_COPIES = 64
APART = 30.0  # Angstrom between copies
TIMESTEP = 0.5  # fs
INTERVAL = 50  # steps between frames of a copy


def sampled(potential: inv.Potential, starts: Sequence[Atoms], number: int, temperature: float) -> list[Atoms]:
    """About so many frames of Langevin dynamics, of copies that begin as different structures and never meet."""
    chosen = [starts[i] for i in np.random.default_rng(0).choice(len(starts), N_COPIES, replace=False)]
    places = APART * np.stack(np.unravel_index(np.arange(N_COPIES), (4, 4, 4)), axis=1)
    crowd = Atoms()
    for atoms, place in zip(chosen, places, strict=True):
        crowd += Atoms(atoms.numbers, atoms.positions - atoms.positions.mean(0) + place)
    crowd.calc = inv.Calculator(potential)
    rounds = 1 + -(-number // N_COPIES)  # the first frames are the starts
    with TemporaryDirectory() as folder:
        path = Path(folder) / "crowd.traj"
        report = run_dynamics(
            crowd, INTERVAL * (rounds - 1), temperature, "langevin", TIMESTEP, trajectory=path, interval=INTERVAL
        )
        frames = read(path, "1:")
    if report.steps < INTERVAL * (rounds - 1):
        raise RuntimeError(report.verdict)
    size = len(chosen[0])
    return [frame[size * copy : size * (copy + 1)] for frame in frames for copy in range(N_COPIES)][:number]


def labelled(teacher: inv.Potential, frames: Sequence[Atoms]) -> list[Atoms]:
    """The frames with what the teacher says of them."""
    prediction, first, found = teacher.predict(frames, stress=False), 0, []
    for atoms, energy in zip(frames, prediction.energy, strict=True):
        frame = Atoms(atoms.numbers, atoms.positions, info={"REF_energy": float(energy)})
        frame.arrays["REF_forces"] = prediction.forces[first : first + len(atoms)]
        first += len(atoms)
        found.append(frame)
    return found


def compare(chosen: argparse.Namespace) -> dict[str, Any]:
    """Test errors of the teacher, of a network trained on labels alone, and of the student."""
    benchmark = benchmarks()["ethanol_950"]
    train, valid, tests = benchmark.load(chosen.data)
    config = inv.hip_hop_nn(benchmark.cutoff, size=chosen.size)
    teacher = inv.load(chosen.teacher)
    found = {"teacher": tested(teacher, tests["test"])}
    alone = trained(inv.Potential.from_data(config, train), train, valid, max_minutes=chosen.minutes)
    found["labels alone"] = tested(alone, tests["test"])
    more = labelled(teacher, sampled(alone, train, chosen.frames, chosen.temperature))
    doubts = errors(more, *alone.predict(more, stress=False)[:2])
    student = inv.Potential.from_data(config, train)
    found["student"] = tested(trained(student, train + more, valid, max_minutes=chosen.minutes), tests["test"])
    return {"errors": found, "labels alone against the teacher on its frames": doubts}


def main() -> int:
    """Compare, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, help="model file of ethanol, for instance a committee")
    parser.add_argument("--data", type=Path, help="folder with the data sets; what the repository ships if not given")
    parser.add_argument("--size", default="medium", help="of the student: small, medium or large")
    parser.add_argument("--frames", type=int, default=3000, help="that the teacher labels")
    parser.add_argument("--temperature", type=float, default=500.0, help="of the dynamics, K")
    parser.add_argument("--minutes", type=float, default=5.0, help="wall time of each training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = {name: getattr(chosen, name) for name in ("size", "frames", "temperature", "minutes", "threads")}
    found = compare(chosen)
    for name, row in found["errors"].items():
        print(f"{name:14}", *(f"{column} {value:.4g}" for column, value in row.items()))
    save({"settings": settings, **found}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
