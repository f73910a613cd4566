"""How fast are energies and forces, and training steps, against each installed rival on the same machine?

Every contestant is a resident process; they take one step each in turn, so that a disturbance of the machine meets all.
Only ratios of medians of one run mean anything. Rivals that are not installed are left out. They run in this Python if
they are importable here, else in the virtual environment `$PEERS_HOME/venvs/<rival>` (default ~/.cache/invarion-peers).

    python benchmarks/speed.py --json results/speed.json --table results/speed.md --plot results/speed.png
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from measure import save
from structures import write

HERE = Path(__file__).parent
PEERS = Path(os.environ.get("PEERS_HOME", Path.home() / ".cache" / "invarion-peers"))
KERNELS = ("pytorch", "numba")  # of hippynn; its "sparse" took three times as long as these in every case tried
GROUPS = {  # ours first, then those that it is compared with
    "hop64": ("invarion hop:64", *(f"hippynn hop:64@{k}" for k in KERNELS), "mace 64x0e"),
    "hop128": ("invarion hop:128", *(f"hippynn hop:128@{k}" for k in KERNELS)),
    "nn64": ("invarion nn:64", *(f"hippynn nn:64@{k}" for k in KERNELS)),
    "ts1_64": ("invarion ts1:64", *(f"hippynn ts1:64@{k}" for k in KERNELS)),
    "ts2_64": ("invarion ts2:64", *(f"hippynn ts2:64@{k}" for k in KERNELS)),
    "default": ("invarion default", "mace 64x0e", "nequip l1_f32_n3"),
}
MODULES = {"invarion": "invarion", "hippynn": "hippynn", "mace": "mace", "nequip": "nequip"}


class Job(NamedTuple):
    """What all contestants of a group do in turn."""

    group: str
    system: str
    mode: str
    threads: int
    dtype: str


class Contestant:
    """A resident process of one package and model.

    Args:
        name: package and model, separated by a blank.
        python: the interpreter that has the package.
        threads: the largest number of threads it will be asked to use.
    """

    def __init__(self, name: str, python: str, threads: int) -> None:
        self.name = name
        package, self.model = name.split()
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [python, str(HERE / "contestants" / "worker.py"), f"{package}_model"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, request: Any) -> Any:
        """Send one request, wait for its answer."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            return {"error": "the process has died (out of memory?)"}

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=30)


def interpreter(package: str) -> str | None:
    """The Python that has the package, or None."""
    if find_spec(MODULES[package]):
        return sys.executable
    python = PEERS / "venvs" / package / "bin" / "python"
    return str(python) if python.exists() else None


def run(job: Job, names: Sequence[str], folder: Path, rounds: int, seconds: float) -> Iterator[dict]:
    """One result per contestant: its sizes, first call, memory, and all times of its steps."""
    structure = str(write(job.system, folder))
    live = []
    for name in names:
        contestant = Contestant(name, interpreter(name.split()[0]), job.threads)
        case = {**job._asdict(), "structure": structure, "model": contestant.model}
        facts = contestant.ask(case)
        if "error" in facts:
            contestant.close()
            yield {**job._asdict(), "contestant": name, **facts}
        else:
            live.append((contestant, facts, []))
    for _ in range(rounds):
        for contestant, _, times in live:
            if len(times) < 3 or sum(times) < seconds:
                times.append(contestant.ask("step"))
    for contestant, facts, times in live:
        contestant.close()
        median = statistics.median(times)
        result = {**job._asdict(), "contestant": contestant.name, **facts, "seconds": times, "median_s": median}
        yield {**result, "us_per_atom": 1e6 * median / facts["n_atoms"]}


def with_ratios(results: Sequence[dict]) -> list[dict]:
    """The results of one job, each with its time over ours."""
    ours = next((r["median_s"] for r in results if r["contestant"].startswith("invarion") and "median_s" in r), None)
    return [{**r, "ratio": r["median_s"] / ours} if ours and "median_s" in r else r for r in results]


def table(results: Sequence[dict]) -> str:
    """The results in Markdown."""
    head = ("system", "mode", "threads", "type", "contestant", "us/atom", "their time / ours", "MB", "first call, s")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in results:
        cells = [r["system"], r["mode"], r["threads"], r["dtype"], r["contestant"]]
        if "error" in r:
            cells += [r["error"], "", "", ""]
        else:
            figures = (r["us_per_atom"], r.get("ratio", float("nan")), r["memory_mb"], r["first_call_s"])
            cells += [f"{x:.{d}f}" for x, d in zip(figures, (1, 2, 0, 1), strict=True)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def plot(results: Sequence[dict], path: Path) -> None:
    """Time per atom of every contestant, one panel per job."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    done = [r for r in results if "median_s" in r]
    jobs = list(dict.fromkeys(tuple(r[key] for key in Job._fields) for r in done))
    figure, axes = plt.subplots(len(jobs), 1, figsize=(8, 1.6 * len(jobs) + 0.6), squeeze=False, sharex=True)
    for job, axis in zip(jobs, axes[:, 0], strict=True):
        rows = [r for r in done if tuple(r[key] for key in Job._fields) == job][::-1]
        colors = ["#c2410c" if r["contestant"].startswith("invarion") else "#64748b" for r in rows]
        bars = axis.barh([r["contestant"] for r in rows], [r["us_per_atom"] for r in rows], color=colors)
        axis.bar_label(bars, [f" {r['us_per_atom']:.0f}  (x {r.get('ratio', 1):.1f})" for r in rows], fontsize=7)
        axis.set_title(" ".join(map(str, job[1:])) + " thread(s)", fontsize=8, loc="left")
        axis.tick_params(labelsize=7)
        axis.set_xscale("log")
        axis.margins(x=0.2)
    axes[-1, 0].set_xlabel("microseconds per atom", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=["hop64", "hop128"], choices=GROUPS)
    parser.add_argument("--systems", nargs="+", default=["cu108", "cu500", "ethanol64"])
    parser.add_argument("--modes", nargs="+", default=["infer", "train"], choices=["infer", "train"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=["float32", "float64"])
    parser.add_argument("--packages", nargs="+", default=list(MODULES), choices=MODULES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=30.0, help="no further steps of a contestant after so long")
    parser.add_argument("--smoke", action="store_true", help="smallest size: does everything run?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.smoke:
        chosen.groups, chosen.systems, chosen.threads, chosen.rounds = ["hop64"], ["ch4_4"], [1], 2
    return chosen


def main() -> None:
    """Run all jobs, print as they finish, write what was asked for."""
    chosen = options()
    jobs = itertools.product(chosen.groups, chosen.systems, chosen.modes, chosen.threads, chosen.dtypes)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for job in itertools.starmap(Job, jobs):
            names = [n for n in GROUPS[job.group] if n.split()[0] in chosen.packages and interpreter(n.split()[0])]
            found = with_ratios(list(run(job, names, Path(folder), chosen.rounds, chosen.seconds)))
            results += found
            print(time.strftime("%H:%M:%S"), f"load {os.getloadavg()[0]:.1f}", table(found), sep="\n", file=sys.stderr)
    if chosen.table:
        chosen.table.parent.mkdir(parents=True, exist_ok=True)
        chosen.table.write_text(table(results))
    if chosen.plot:
        plot(results, chosen.plot)
    save({"results": results}, chosen.json)


if __name__ == "__main__":
    main()
