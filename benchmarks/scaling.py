"""How do time and memory of energies and forces grow with atoms, features, neighbours, interactions, messages, ...?

Every point runs in a process of its own: microseconds per atom (median) and peak memory above the level after import.

    python benchmarks/scaling.py --json results/scaling.json --plot results/scaling.png
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import save
from speed import Contestant
from structures import write

SWEEPS: dict[str, list[dict[str, Any]]] = {
    "atoms": [{"system": f"cu{n}"} for n in (108, 500, 1372, 4000, 19652, 62500, 202612)],
    "features": [{"n_features": n} for n in (16, 32, 64, 128, 256)],
    "neighbours": [{"cutoff": c} for c in (3.0, 4.0, 5.0, 6.0, 7.0)],
    "interactions": [{"n_interactions": n} for n in (1, 2, 3, 4)],
    "messages": [{"message_rank": r} for r in (0, 1, 2, 3)],
    "sizes": [{"size": s} for s in ("small", "medium", "large")],
    "pairs": [{"size": "medium", "pair_potential": p} for p in (False, True)],
    "basis": [{"max_rank": r, "max_degree": d} for r, d in ((1, 2), (2, 3), (2, 4), (3, 3), (3, 4), (4, 4))],
}
SHAPE = {"n_features": 64, "n_interactions": 2}  # of the sweeps other than sizes
SMOKE = {"atoms": [{"system": "cu4"}], "basis": [{"max_rank": 1, "max_degree": 2, "system": "cu4"}]}


def measure(point: dict[str, Any], arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time and memory of one point."""
    settings = {key: value for key, value in point.items() if key != "system"}
    settings = settings if "size" in settings else {**SHAPE, **settings}
    system, cutoff = point.get("system", arguments.system), settings.get("cutoff", 5.0)
    contestant = Contestant("invarion default", sys.executable, arguments.threads)
    case = {"model": contestant.model, "mode": "infer", "threads": arguments.threads, "dtype": arguments.dtype}
    facts = contestant.ask({**case, "settings": settings, "structure": str(write(system, folder, cutoff))})
    if "error" in facts:
        return {**point, **facts}
    times = [contestant.ask("step") for _ in range(arguments.rounds)]
    contestant.close()
    per_atom = 1e6 * statistics.median(times) / facts["n_atoms"]
    return {
        **point,
        **facts,
        "seconds": times,
        "us_per_atom": per_atom,
        "neighbours": facts["n_pairs"] / facts["n_atoms"],
    }


def plot(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """One panel per sweep: time to the left, memory to the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(3.4 * len(results), 3.2), squeeze=False)
    for axis, (sweep, points) in zip(axes[0], results.items(), strict=True):
        done = [p for p in points if "us_per_atom" in p]
        names = [_label(sweep, p) for p in done]
        axis.plot(names, [p["us_per_atom"] for p in done], "o-", color="#c2410c")
        axis.set_ylim(bottom=0)
        axis.set_title(sweep, loc="left", fontsize=9)
        axis.tick_params(labelsize=7, axis="x", rotation=45)
        other = axis.twinx()
        other.plot(names, [1000 * p["memory_mb"] / p["n_atoms"] for p in done], "s:", color="#64748b")
        other.set_ylim(bottom=0)
        other.tick_params(labelsize=7, colors="#64748b")
    axes[0, 0].set_ylabel("microseconds per atom")
    other.set_ylabel("kB per atom (dotted)", color="#64748b")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _label(sweep: str, point: dict[str, Any]) -> str:
    if sweep == "basis":
        return f"{point['max_rank']},{point['max_degree']}"
    key = {
        "atoms": "n_atoms",
        "features": "n_features",
        "interactions": "n_interactions",
        "messages": "message_rank",
        "sizes": "size",
        "pairs": "pair_potential",
    }.get(sweep)
    return str(point[key]) if key else f"{point['neighbours']:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweeps, print every point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--smallest", type=int, default=0, help="leave out systems of fewer atoms")
    parser.add_argument("--largest", type=int, default=210_000, help="leave out systems of more atoms")
    parser.add_argument("--system", default="cu500", help="of the sweeps other than atoms")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="smallest sizes: does everything run?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args(arguments)
    sweeps = SMOKE if chosen.smoke else {name: SWEEPS[name] for name in chosen.sweeps}
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for sweep, points in sweeps.items():
            bounds = chosen.smallest, chosen.largest
            within = [p for p in points if "system" not in p or bounds[0] <= int(p["system"][2:]) <= bounds[1]]
            results[sweep] = []
            for point in within:
                results[sweep].append(measure(point, chosen, Path(folder)))
                print(sweep, {k: v for k, v in results[sweep][-1].items() if k != "seconds"}, file=sys.stderr)
    if chosen.plot:
        plot(results, chosen.plot)
    save({"sweeps": results}, chosen.json)


if __name__ == "__main__":
    main()
