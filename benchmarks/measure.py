"""What the benchmark scripts share: interleaved timing, the machine and the versions, results as JSON."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("invarion", "numpy", "torch", "numba", "llvmlite", "scikit-learn", "hippynn")


def median_seconds(jobs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median wall time of each job; jobs take turns, so that a disturbance of the machine meets all of them.

    Args:
        jobs: what to time, by name; each is run once before.
        repeats: rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def reset_peak() -> float:
    """Forget this process' peak memory so far (Linux); what it holds now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """Largest resident memory of this process since `reset_peak`, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def circumstances() -> dict[str, Any]:
    """Processor, threads and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def save(results: Mapping[str, Any], path: Path | None) -> None:
    """Print the results as JSON, or write them to a file."""
    text = json.dumps({**circumstances(), **results}, indent=2)
    if path is None:
        print(text)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
