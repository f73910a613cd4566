"""What computing path runs on this machine and why, how fast it is, and what is installed."""

import os
import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("invarion", "torch", "numba", "llvmlite", "numpy", "scipy", "ase", "vesin", "lightning")
_SECONDS = 0.5


def examine() -> dict[str, Any]:
    """Look at this machine; takes some seconds the first time, because kernels are compiled.

    Returns:
        path: "numba" (fused kernels) or "torch" (plain), and why; processor, cores, threads and vector width in bits;
        gpu; speed of energies and forces of a small HIP-HOP-NN in microseconds per atom; the first call's seconds;
        versions of packages (None where absent).
    """
    import torch

    from invarion.models.environment import why_plain

    reason = why_plain(torch.empty(0))
    return {
        "path": "torch" if reason else "numba",
        "why": reason or "numba is installed; kernels are compiled for this processor and kept on disk",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector_bits": None if reason else _vector_bits(),
        "gpu": _gpu(),
        **_speed(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _speed() -> dict[str, Any]:
    """HIP-HOP-NN with 64 features and 2 interactions on 108 atoms of copper, energies and forces."""
    import torch
    from ase.build import bulk

    from invarion.models import hip_hop_nn
    from invarion.neighbors import graph
    from invarion.potential import Potential

    atoms = bulk("Cu", cubic=True) * (3, 3, 3)
    with torch.random.fork_rng(devices=[]):
        potential = Potential(hip_hop_nn(cutoff=5.0, n_features=64, n_interactions=2), [29]).eval()
    copper = graph([atoms], 5.0, torch.float32)
    first, *times = _times(lambda: potential(copper))
    speed = 1e6 * statistics.median(times) / len(atoms)
    return {"first_call_seconds": round(first, 3), "microseconds_per_atom": round(speed, 1)}


def _times(step: Any) -> list[float]:
    """Seconds of the first call, then of as many as fit into half a second, three at least."""
    found: list[float] = []
    while len(found) < 4 or sum(found[1:]) < _SECONDS:
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return found


def _vector_bits() -> int:
    from invarion.models.kernels.simd import vector_bytes

    return 8 * vector_bytes()


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none that torch can use"
    return f"{torch.cuda.get_device_name()}: models moved there take the plain path"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
