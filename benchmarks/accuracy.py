"""How accurate is each contestant after the same time, on the same data, on this machine?

Every (benchmark, contestant, minutes, seed) is one training in a process of its own and one JSON file in the results
folder; what is there already is not run again, so a run that was stopped goes on. Contestants: invarion's defaults, or
invarion@FILE.yaml with other settings (sections model, training, and committee: K, for K members that share the time),
or invarion@FOLDER for every such file of a folder; hippynn:hop and hippynn:ts1, mace, nequip with their documented
settings. Those that are not installed are left out (where they are looked for: speed.py).

    python benchmarks/accuracy.py ethanol_950 --data DIR --minutes 10 --threads 2
    python benchmarks/accuracy.py --table accuracy.md --plot figures      # collects what is in the results folder
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from ase.io import write

import invarion as inv
from accuracy_data import Data, benchmarks, composition_energies, reference
from accuracy_errors import errors
from accuracy_pages import draw, short, table
from invarion.configuration.text import build_model
from measure import circumstances
from speed import MODULES, interpreter

HERE = Path(__file__).parent
CONTESTANTS = ("invarion", "hippynn:hop", "hippynn:ts1", "mace", "nequip")
SMOKE_MINUTES = 0.1
OF_A_RUN = {"basis", "max_epochs", "max_minutes", "progress", "seed"}
"""Settings that differ from one run to the next, or are named by others."""


class Job(NamedTuple):
    """One training; its files are named after it."""

    benchmark: str
    contestant: str
    minutes: float
    seed: int

    @property
    def package(self) -> str:
        """invarion, hippynn, mace or nequip."""
        return self.contestant.partition("@")[0].partition(":")[0]

    def path(self, results: Path) -> Path:
        """The folder of the training; the result is a JSON file of the same name."""
        name = short(self.contestant).replace(":", "-")
        return results / self.benchmark / f"{name}_{self.minutes:g}min_seed{self.seed}"


def jobs(chosen: argparse.Namespace) -> Iterator[Job]:
    """What is to be done; contestants take turns."""
    for benchmark in chosen.benchmarks:
        for seed in chosen.seeds:
            for minutes in chosen.minutes:
                for contestant in chosen.contestants:
                    yield Job(benchmark, contestant, minutes, seed)


def run(job: Job, chosen: argparse.Namespace) -> str:
    """Do one job, unless it is done; how it went in a word."""
    folder = job.path(chosen.results)
    target = folder.with_name(folder.name + ".json")
    python = interpreter(job.package)
    if python is None and not target.exists():
        return "not installed, left out"
    data = _data(job.benchmark, chosen.data, chosen.smoke)
    asked = {
        "threads": chosen.threads,
        "smoke": chosen.smoke,
        "asked": _settings(job),
        "n_train": len(data.train),
        "n_valid": len(data.valid),
        "n_tests": {name: len(frames) for name, frames in data.tests.items()},
    }
    if target.exists():
        return _compare(job, json.loads(target.read_text()), asked)
    references = composition_energies(data.train)
    started = time.perf_counter()
    try:
        facts = _train(job, data, references, folder, python, chosen.threads)
        tests = {
            name: _test(folder / f"test{k}.npz", frames, references)
            for k, (name, frames) in enumerate(data.tests.items())
        }
    except (RuntimeError, ValueError, OSError) as error:
        return f"FAILED: {error}"
    result = {
        **job._asdict(),
        **asked,
        "seconds_with_tests": time.perf_counter() - started,
        **facts,
        "test": tests,
        "machine": circumstances(),
    }
    partial = target.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(target)
    return "done"


@lru_cache(maxsize=1)
def _data(benchmark: str, folder: Path | None, smoke: bool) -> Data:
    data = benchmarks()[benchmark].load(folder)
    return data.smallest() if smoke else data


def _compare(job: Job, stored: dict[str, Any], asked: dict[str, Any]) -> str:
    """Whether a result that is there is the one that is asked for, as far as it says what was asked for then."""
    stored = {"n_tests": {name: found["n_structures"] for name, found in stored["test"].items()}, **stored}
    other = [f"{name} {stored[name]}, not {value}" for name, value in asked.items() if stored.get(name, value) != value]
    if other := other or _defaults(job, stored):
        return f"FAILED: is there with {', '.join(other)}; choose another folder for --results, or delete it"
    return "is there"


def _defaults(job: Job, stored: dict[str, Any]) -> list[str]:
    """In which settings of ours a result differs from what the same words mean now; of peers, versions tell."""
    if job.package != "invarion" or "settings" not in stored:
        return []
    found, asked = stored["settings"], _settings(job)
    own = {"kind": "hip_hop_nn", "cutoff": benchmarks()[job.benchmark].cutoff, **asked.get("model", {})}
    meant = {"model": build_model(own), "training": inv.TrainOptions(**asked.get("training", {}))}
    return [
        f"{name} {then!r}, not {value!r}"
        for section, settings in meant.items()
        for name, value in settings.model_dump(mode="json", exclude=OF_A_RUN).items()
        # a setting that is newer than the result had the value of the field's own default
        if (then := found[section].get(name, type(settings).model_fields[name].default)) != value
    ]


def _train(job: Job, data: Data, references: Any, folder: Path, python: str, threads: int) -> dict[str, Any]:
    """Let the contestant train and predict in a process of its own; what it says of its training."""
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was stopped: its weights must not be taken for new
    folder.mkdir(parents=True)
    sets = {"train": data.train, "valid": data.valid, **{f"test{k}": f for k, f in enumerate(data.tests.values())}}
    for name, frames in sets.items():
        write(folder / f"{name}.extxyz", [_less(atoms, references) for atoms in frames], format="extxyz")
    benchmark = benchmarks()[job.benchmark]
    case = {**job._asdict(), "threads": threads, "cutoff": benchmark.cutoff, "family": benchmark.family}
    case |= {"tests": [name for name in sets if name.startswith("test")], "settings": _settings(job)}
    (folder / "case.json").write_text(json.dumps(case))
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    command = [python, str(HERE / "trainings" / "worker.py"), f"{job.package}_training"]
    with open(folder / "output.txt", "w") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=output,
            stderr=output,
            check=False,
            env={**os.environ, **limits, "MPLBACKEND": "Agg"},
        )
    if done.returncode:
        last = (folder / "output.txt").read_text().strip().splitlines()[-1:]
        raise RuntimeError(f"{''.join(last)[:300]} (see {folder / 'output.txt'})")
    return json.loads((folder / "facts.json").read_text())


def _less(atoms: Any, references: Any) -> Any:
    """The structure with its energy less the sum over its elements, so that no contestant loses digits to it."""
    frame = atoms.copy()
    frame.info["REF_energy"] = atoms.info["REF_energy"] - reference(atoms, references)
    return frame


def _test(path: Path, frames: Sequence[Any], references: Any) -> dict[str, Any]:
    """Errors of the predictions in a file, reference energies added."""
    with np.load(path) as predictions:
        energies = predictions["energy"] + [reference(atoms, references) for atoms in frames]
        return errors(frames, energies, predictions["forces"])


def _settings(job: Job) -> dict[str, Any]:
    """Settings that were asked for: those in a file (invarion@FILE.yaml), or a model (hippynn:MODEL, mace:MODEL)."""
    _, at, path = job.contestant.partition("@")
    if at:
        return yaml.safe_load(Path(path).read_text()) or {}
    model = job.contestant.partition(":")[2]
    return {"model": model} if model else {}


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="*", metavar="benchmark", help=f"of {', '.join(benchmarks())}")
    parser.add_argument("--data", type=Path, help="folder with the data sets; ethanol is shipped with the repository")
    parser.add_argument("--results", type=Path, default=Path("results/accuracy"))
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS))
    parser.add_argument("--minutes", nargs="+", type=float, default=[10.0], help="wall time of each training")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--table", type=Path, help="write the results folder's table, in Markdown")
    parser.add_argument("--plot", type=Path, help="folder for figures of the results folder")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.benchmarks if name not in benchmarks()]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(benchmarks())}")
    chosen.contestants = [each for name in chosen.contestants for each in _spelt_out(name)]
    packages = {name: Job("", name, 0, 0).package for name in chosen.contestants}
    if unknown := [name for name, package in packages.items() if package not in MODULES]:
        parser.error(f"no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)} and invarion@FILE.yaml")
    if chosen.smoke:
        chosen.minutes, chosen.seeds, chosen.threads = [SMOKE_MINUTES], [0], 1
    return chosen


def _spelt_out(contestant: str) -> list[str]:
    """One contestant for every file of settings, where a folder of them is named."""
    package, at, path = contestant.partition("@")
    return (
        [f"{package}@{file}" for file in sorted(Path(path).glob("*.yaml"))]
        if at and Path(path).is_dir()
        else [contestant]
    )


def main() -> int:
    """Train what is missing, then collect; 1 if a training failed."""
    chosen = options()
    outcomes = []
    for job in jobs(chosen):
        outcomes.append(run(job, chosen))
        print(time.strftime("%H:%M:%S"), *job, outcomes[-1], file=sys.stderr, flush=True)
    results = [json.loads(path.read_text()) for path in sorted(chosen.results.glob("*/*.json"))]
    if chosen.table:
        chosen.table.write_text(table(results))
    if chosen.plot:
        draw(results, chosen.plot)
    return int(any(outcome.startswith("FAILED") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
