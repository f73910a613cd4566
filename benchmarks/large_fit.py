"""Does a fit of a million rows and two thousand columns stay within its memory, and survive being killed?

    python benchmarks/large_fit.py --out runs/large_fit.json          # 1,000,000 x 2,000 within 6 GB
    python benchmarks/large_fit.py --workers 2                        # the same on a local Dask cluster

Rows are made block by block from a known solution and noise; the fit must find it. Prints wall time, rows per second,
peak memory, and the largest error of the coefficients in units of their standard error.
"""

import argparse
import tempfile
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invarion.training.blocks import factorise_blocks
from invarion.training.regression import solve_factor
from measure import peak, save

NOISE = 0.1


def make_block(seed: int, n_rows: int, n_columns: int) -> np.ndarray:
    """Rows whose columns differ in size by a million, as those of a design matrix do, and their labels."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n_rows, n_columns + 1))
    rows[:, :-1] = rng.standard_normal((n_rows, n_columns)) * np.logspace(0, -6, n_columns)
    rows[:, -1] = rows[:, :-1] @ solution(n_columns) + NOISE * rng.standard_normal(n_rows)
    return rows


def solution(n_columns: int) -> np.ndarray:
    """The coefficients that the labels are made of."""
    return np.random.default_rng(0).standard_normal(n_columns) * np.logspace(0, 6, n_columns)


def run(settings: argparse.Namespace) -> dict[str, Any]:
    """Factorise and solve; kill nothing: the tests do that."""
    n_blocks = -(-settings.rows // settings.block_rows)
    blocks = [partial(make_block, seed, settings.block_rows, settings.columns) for seed in range(1, n_blocks + 1)]
    begin = time.perf_counter()
    with _cluster(settings.workers) as scheduler, tempfile.TemporaryDirectory() as folder:
        factor = factorise_blocks(blocks, settings.columns + 1, scheduler, folder, "benchmark", progress=True)
    factorised = time.perf_counter() - begin
    found = solve_factor(factor, "ridge", 1e-14)
    expected = solution(settings.columns)
    deviation = np.abs(found.weights - expected) / np.linalg.norm(found.covariance_root, axis=1)
    return {
        "rows": factor.n_rows,
        "columns": settings.columns,
        "workers": settings.workers,
        "factorise_seconds": factorised,
        "solve_seconds": time.perf_counter() - begin - factorised,
        "rows_per_second": factor.n_rows / factorised,
        "peak_megabytes_of_this_process": peak(),
        "noise_found": found.noise,
        "largest_deviation_in_standard_errors": float(deviation.max()),
    }


def _cluster(workers: int) -> Any:
    """The address of a local cluster, or None for this process."""
    if not workers:
        return nullcontext(None)
    from contextlib import contextmanager

    from distributed import LocalCluster

    @contextmanager
    def address() -> Any:
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
            yield cluster.scheduler_address

    return address()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=2_000)
    parser.add_argument("--block-rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=0, help="of a local Dask cluster; 0 for this process")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="20,000 x 100")
    settings = parser.parse_args()
    if settings.smoke:
        settings.rows, settings.columns, settings.block_rows = 20_000, 100, 4_000
    save(run(settings), settings.out)


if __name__ == "__main__":
    main()
