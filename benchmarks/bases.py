"""How long and how much memory does it take to find and certify an invariant basis? Beside the project's goals.

Every job runs alone in a fresh process on one thread, and is timed from its first call (nothing is warm but imports).
With --growth also: cost against rank, degree and channels, as a plot with --plot.

    python benchmarks/bases.py --growth --json results/bases.json --plot results/bases.png
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from measure import peak, reset_peak, save


class Job(NamedTuple):
    """What is asked, and what it should cost."""

    name: str
    request: dict[str, Any]
    members: int
    seconds: float
    megabytes: float | None = None


GOALS = (
    Job("ranks <= 3, degree <= 4", {"max_rank": 3, "max_degree": 4}, 13, 0.3),
    Job("ranks <= 4, degree <= 5", {"max_rank": 4, "max_degree": 5}, 22, 3),
    Job("ranks <= 5, degree <= 4", {"max_rank": 5, "max_degree": 4}, 33, 3),
    Job("ranks <= 6, degree <= 4", {"max_rank": 6, "max_degree": 4}, 46, 15),
    Job("4 channels, ranks <= 4", {"max_rank": 4, "max_degree": 3, "channels": 4}, 97, 10, 1000),
    Job("8 channels, ranks <= 4", {"max_rank": 4, "max_degree": 3, "channels": 8}, 197, 90, 2000),
)
GROWTH = {
    "rank": [{"max_rank": rank, "max_degree": 4} for rank in range(2, 8)],
    "degree": [{"max_rank": 3, "degree": degree} for degree in range(2, 9)],
    "channels": [{"max_rank": 4, "max_degree": 3, "channels": n} for n in (1, 2, 4, 6, 8, 12)],
}


def find(request: dict[str, Any]) -> dict[str, Any]:
    """An optimal basis with its certificate, made and checked."""
    from invarion.invariants import optimal_basis

    start = time.perf_counter()
    basis = optimal_basis(**request)
    found = time.perf_counter()
    basis.certificate.check()
    seconds = {"seconds": found - start, "check_seconds": time.perf_counter() - found}
    return {**seconds, "members": len(basis), "complete": basis.complete, "dimension": basis.dimension}


def judge_all(request: dict[str, Any]) -> dict[str, Any]:
    """Enumerate all contractions of one degree and find how many are independent."""
    from invarion.invariants.enumeration import candidates
    from invarion.invariants.greedy import Greedy

    start = time.perf_counter()
    ranks = tuple(range(request["max_rank"] + 1))
    pool = candidates(ranks, request["degree"])
    enumerated = time.perf_counter()
    kept = Greedy(ranks).offer(pool)
    seconds = {"seconds": time.perf_counter() - start, "enumeration_seconds": enumerated - start}
    return {**seconds, "candidates": len(pool), "members": len(kept)}


def ambiguity_of_published(request: dict[str, Any]) -> dict[str, Any]:
    """The number of orbits that share all values of the published 13, at random targets."""
    from invarion.invariants import ambiguity, published_basis

    basis = published_basis(max_rank=3, max_degree=4)
    start = time.perf_counter()
    result = ambiguity(basis, **request)
    return {"seconds": time.perf_counter() - start, "counts": [int(n) for n in result.counts]}


def measure(job: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any], queue: Any) -> None:
    """Put a job's result and the growth of this process' peak memory since the imports."""
    import invarion.invariants

    _ = invarion.invariants.optimal_basis
    before = reset_peak()
    result = job(request)
    queue.put({**result, "megabytes": round(peak() - before, 1)})


def alone(job: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The median run of a job, each run in a process of its own."""
    context = multiprocessing.get_context("spawn")
    runs = []
    for _ in range(repeats):
        queue = context.Queue()
        process = context.Process(target=measure, args=(job, request, queue))
        process.start()
        runs.append(queue.get())
        process.join()
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def growth(repeats: int, smoke: bool) -> dict[str, list[dict[str, Any]]]:
    """Cost against rank, degree and channels."""
    table = {}
    for axis, requests in GROWTH.items():
        job = judge_all if axis == "degree" else find
        table[axis] = [{**r, **alone(job, r, repeats)} for r in (requests[:2] if smoke else requests)]
    return table


def draw(table: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Seconds (above) and peak memory (below) against rank, degree and channels, on the same scales."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    panels = figure.subplots(2, len(table), sharex="col", sharey="row")
    keys = {"rank": "max_rank", "degree": "degree", "channels": "channels"}
    titles = {
        "rank": "optimal, degree ≤ 4",
        "degree": "all contractions of a degree, ranks ≤ 3",
        "channels": "optimal, ranks ≤ 4, degree ≤ 3",
    }
    for (upper, lower), (name, rows) in zip(panels.T, table.items(), strict=True):
        places = [row[keys[name]] for row in rows]
        upper.semilogy(places, [row["seconds"] for row in rows], "o-")
        lower.semilogy(places, [max(row["megabytes"], 0.1) for row in rows], "s-", color="C1")
        upper.set_title(titles[name], fontsize=11)
        lower.set(xlabel="largest rank" if name == "rank" else name, xticks=places)
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("seconds")
    panels[1, 0].set_ylabel("MB above imports")
    figure.savefig(path, dpi=150)


def goals(repeats: int, smoke: bool) -> list[dict[str, Any]]:
    """Every goal beside what was measured."""
    rows = []
    for job in GOALS[:2] if smoke else GOALS:
        row = {"job": job.name, "goal_seconds": job.seconds, "goal_megabytes": job.megabytes}
        row |= alone(find, job.request, repeats)
        if row["members"] != job.members or not row["complete"]:
            raise SystemExit(
                f"{job.name}: {row['members']} members, complete {row['complete']}; {job.members} were expected"
            )
        rows.append(row)
    request = {"n_targets": 1, "n_starts": 10} if smoke else {"n_targets": 10, "n_starts": 100}
    row = alone(ambiguity_of_published, request, 1)
    return [*rows, {"job": "ambiguity of the published 13", "goal_seconds": 60.0, "goal_megabytes": None, **row}]


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'job':32} {'goal / s':>9} {'found / s':>9} {'check / ms':>10} {'MB':>7}")
    for row in rows:
        check = f"{1000 * row['check_seconds']:.1f}" if "check_seconds" in row else ""
        print(f"{row['job']:32} {row['goal_seconds']:9.1f} {row['seconds']:9.3f} {check:>10} {row['megabytes']:7.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of every job, each in a fresh process")
    parser.add_argument("--growth", action="store_true", help="also measure growth with rank, degree and channels")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--plot", type=Path, help="file for the plot of growth")
    parser.add_argument("--smoke", action="store_true", help="the smallest sizes only")
    options = parser.parse_args()
    repeats = 1 if options.smoke else options.repeats
    results: dict[str, Any] = {"goals": goals(repeats, options.smoke)}
    show(results["goals"])
    if options.growth:
        results["growth"] = growth(repeats, options.smoke)
        for axis, rows in results["growth"].items():
            for row in rows:
                print(axis, {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
        if options.plot:
            draw(results["growth"], options.plot)
    save(results, options.json)


if __name__ == "__main__":
    main()
