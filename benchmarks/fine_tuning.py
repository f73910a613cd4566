"""What does a trained model save on new data? Fine-tuning against training from scratch, for the same time.

A model of 3BPA at 300 K meets a few frames of dynamics at up to 1200 K; the tests are mixed-temperature frames that
nobody has trained on. Without --base, the model is trained first, for as long as the others.

    python benchmarks/fine_tuning.py --data DIR --minutes 3 --frames 20 80 --threads 1 --json results/fine_tuning.json
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ase import Atoms

import invarion as inv
from accuracy_data import benchmarks, shuffled
from accuracy_errors import errors
from invarion.training.transfer import shift_references
from measure import save

FEWEST = 5  # new frames, so that one of them can validate
N_TESTED = 300  # of the frames at mixed temperatures
COLUMNS = ("energy_mae_mev_per_atom", "forces_mae_mev_per_angstrom", "forces_rmse_mev_per_angstrom")


def trained(potential: inv.Potential, train: Sequence[Atoms], valid: Sequence[Atoms], **options: Any) -> inv.Potential:
    """The potential, trained on these structures; in place."""
    with TemporaryDirectory() as folder:
        inv.train(potential, train, valid, inv.TrainOptions(max_epochs=None, progress=False, **options), folder=folder)
    return potential


def tested(potential: inv.Potential, frames: Sequence[Atoms]) -> dict[str, float]:
    """The errors that the table shows."""
    prediction = potential.predict(frames, stress=False)
    found = errors(frames, prediction.energy, prediction.forces)
    return {name: found[name] for name in COLUMNS}


def compare(chosen: argparse.Namespace) -> dict[str, Any]:
    """Test errors by the number of new frames (a fifth of them validates) and by what was done with them."""
    benchmark = benchmarks()["3bpa"]
    cold = benchmark.load(chosen.data)
    (mixed,) = cold.tests.values()
    if chosen.smoke:
        cold, mixed = cold.smallest(), mixed[:20]
    n_tested = min(N_TESTED, len(mixed) // 2)
    known, unknown = shuffled(mixed, len(mixed) - n_tested, n_tested)
    if max(chosen.frames) > len(known) or min(chosen.frames) < FEWEST:
        raise SystemExit(f"--frames {chosen.frames}: between {FEWEST} and {len(known)}, please")
    config, limits = inv.hip_hop_nn(benchmark.cutoff, size=chosen.size), {"max_minutes": chosen.minutes}
    if chosen.base is None:
        base = trained(inv.Potential.from_data(config, cold.train), cold.train, cold.valid, **limits)
    else:
        base = inv.load(chosen.base)
        config = base.config  # training from scratch gets the same network
    found: dict[str, Any] = {"0": {"as it is": tested(base, unknown)}}
    for number in chosen.frames:
        train, valid = known[: number - number // 5], known[number - number // 5 : number]
        scratch = inv.Potential.from_data(config, train)
        tuned = copy.deepcopy(base)
        shift_references(tuned, train)
        found[str(number)] = {
            "from scratch": tested(trained(scratch, train, valid, **limits), unknown),
            "fine-tuned": tested(trained(tuned, train, valid, learning_rate=chosen.learning_rate, **limits), unknown),
        }
    return found


def table(found: dict[str, Any]) -> str:
    """In Markdown."""
    head = ("new frames", "model", "energy MAE, meV/atom", "force MAE, meV/Å", "force RMSE")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for number, ways in found.items():
        for way, row in ways.items():
            lines.append("| " + " | ".join([number, way, *(f"{row[name]:.4g}" for name in COLUMNS)]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Compare, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--base", type=Path, help="a model of 3BPA at 300 K")
    parser.add_argument("--size", default="large", help="of the networks, without --base: small, medium or large")
    parser.add_argument("--frames", type=int, nargs="+", default=[20, 80], help="new frames, 5 or more")
    parser.add_argument("--minutes", type=float, default=3.0, help="wall time of each training")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of fine-tuning")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.size, chosen.frames, chosen.minutes = "small", [10], 0.02
    torch.set_num_threads(chosen.threads)
    settings = {name: getattr(chosen, name) for name in ("size", "minutes", "learning_rate", "threads")}
    found = compare(chosen)
    print(table(found))
    save({"settings": settings, "errors": found}, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
