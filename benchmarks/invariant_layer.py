"""How fast are invariants and their gradient, and how much memory do they take, against hand-written code?

The 13 published invariants of HIP-HOP-NN for many environments, values and gradient, on one core: the fused kernel, the
plain torch path, and `calc_invariants` of hippynn where it is installed. With --growth also: time and program size
against rank, degree and channels.

    python benchmarks/invariant_layer.py --json results/invariant_layer.json
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from invarion.invariants import optimal_basis, published_basis
from invarion.invariants.plan import compile_plan
from invarion.models.invariant_layer import invariants
from measure import median_seconds, peak, reset_peak, save

PATHS = ("numba", "torch", "hippynn")
GROWTH = ((2, 4, 1), (3, 3, 1), (3, 4, 1), (4, 4, 1), (4, 5, 1), (5, 4, 1), (2, 3, 2), (2, 3, 4), (3, 3, 4))


def contestant(path: str, n: int, layout: str, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """A function that computes values and gradient once; inputs are made here."""
    generator = torch.Generator().manual_seed(0)
    if path == "hippynn":
        torch.set_default_dtype(dtype)
        from hippynn.layers.hiplayers.tensors import calc_invariants, cmaps

        tensors = torch.randn(n, 16, generator=generator, dtype=dtype, requires_grad=True)
        return lambda: torch.autograd.grad(calc_invariants(3, 4, tensors, list(cmaps.values())).sum(), tensors)[0]
    basis = published_basis(max_rank=3, max_degree=4)
    plan = compile_plan(basis.invariants, basis.ranks)
    shape = (n // 64, 16, 64) if layout == "channels" else (n, 16, 1)
    tensors = torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True)
    return lambda: torch.autograd.grad(invariants(tensors, plan, path).sum(), tensors)[0]


def peak_memory(path: str, n: int, queue: multiprocessing.Queue) -> None:
    """Put the growth of this process' peak memory by values and gradient of n environments."""
    torch.set_num_threads(1)
    contestant(path, 1024, "channels", torch.float32)()
    job = contestant(path, n, "channels", torch.float32)
    before = reset_peak()
    job()
    queue.put(peak() - before)


def memory(path: str, n: int) -> float:
    """Growth of the peak memory, in MB, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=peak_memory, args=(path, n, queue))
    process.start()
    result = queue.get(timeout=600)
    process.join()
    return result


def growth(n: int, repeats: int) -> list[dict]:
    """Sizes and times of optimal bases."""
    rows = []
    for rank, degree, channels in GROWTH:
        basis = optimal_basis(max_rank=rank, max_degree=degree, channels=channels)
        start = time.perf_counter()
        plan = compile_plan(basis.invariants, basis.ranks)
        sizes = {"values": plan.values.n_terms, "gradient": plan.gradient.n_terms, "curvature": plan.curvature.n_terms}
        planned = time.perf_counter() - start
        tensors = torch.randn(n, plan.n_inputs, 1, requires_grad=True)

        def job(tensors=tensors, plan=plan):
            return torch.autograd.grad(invariants(tensors, plan).sum(), tensors)

        seconds = median_seconds({"gradient": job}, repeats)["gradient"]
        rows.append(
            {
                "max_rank": rank,
                "max_degree": degree,
                "channels": channels,
                "n_invariants": len(basis),
                "multiplications": plan.n_multiplications,
                "terms": sizes,
                "plan_seconds": planned,
                "nanoseconds_per_environment": 1e9 * seconds / n,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--growth", action="store_true", help="also time against rank, degree and channels")
    parser.add_argument("--json", type=Path, help="write results here instead of printing them")
    parser.add_argument("--smoke", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    n, repeats = (2048, 2) if options.smoke else (options.environments // 64 * 64, options.repeats)
    torch.set_num_threads(1)
    default = torch.get_default_dtype()
    paths = [p for p in PATHS if p != "hippynn" or find_spec("hippynn")]
    jobs = {p: contestant(p, n, "channels", torch.float32) for p in paths}
    jobs |= {f"{p}, one channel": contestant(p, n, "rows", torch.float32) for p in paths if p != "hippynn"}
    seconds = median_seconds(jobs, repeats)
    torch.set_default_dtype(default)
    megabytes = {p: memory(p, n) for p in (paths[:2] if options.smoke else paths)}
    results = {"environments": n, "milliseconds": {k: 1e3 * s for k, s in seconds.items()}, "peak_megabytes": megabytes}
    if "hippynn" in paths:
        results["speed_up"] = {k: seconds["hippynn"] / s for k, s in seconds.items() if k != "hippynn"}
    if "hippynn" in megabytes:
        results["memory_ratio"] = {p: m / megabytes["hippynn"] for p, m in megabytes.items() if p != "hippynn"}
    if options.growth:
        results["growth"] = growth(n, min(repeats, 5))
    save(results, options.json)


if __name__ == "__main__":
    sys.exit(main())
