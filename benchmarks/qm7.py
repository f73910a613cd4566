"""Do few independent invariants learn as well as all of them? Atomisation energies of QM7 without a network.

Kernel ridge regression (a kernel that sums over pairs of atoms) and gradient-boosted trees (on sums over the atoms of
each species) with all contractions up to degree 3, the independent sets, and as many features cut off by degree; 5732
training and 1369 test molecules, fixed split. Width and regularisation are chosen inside the training set.

    python benchmarks/qm7.py ../shared/data/qm7/qm7.extxyz --json results/qm7.json --figure results/qm7.png

What the file of results holds already of other sets and methods stays, so that they can be measured one at a time.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from ase.units import kcal, mol
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from invarion.engines.sklearn import InvariantDescriptor
from invarion.engines.sklearn_kernels import Environments, atom_kernel, environments, solve, typical_distances
from invarion.exceptions import ConfigError
from measure import save

KCAL = kcal / mol
WIDTHS, ALPHAS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8), (1e-7, 1e-6, 1e-5)
BOOSTED = HistGradientBoostingRegressor(max_iter=400, learning_rate=0.05, max_features=0.3, max_bins=63, random_state=0)
N_TRAIN = 5732
METHODS = {"kernel_ridge": "kernel ridge over pairs of atoms", "trees": "boosted trees on sums over atoms"}
SETS = {
    "full": {"basis": "full", "max_degree": 3, "n_radial": 2},
    "optimal": {"basis": "channelwise", "n_radial": 2},
    "cheapest": {"basis": "optimal", "n_radial": 2},
    "truncated": {"basis": "full", "max_degree": 2, "n_radial": 2},
    "optimal, 4 radial": {"basis": "channelwise", "n_radial": 4},
}


@dataclass(frozen=True)
class Data:
    """Molecules and energies in eV, training part first."""

    structures: Sequence[Atoms]
    energies: np.ndarray
    n_train: int


def load(path: Path, n_train: int, n_test: int) -> Data:
    """The fixed split."""
    frames = read(path, ":")
    order = np.random.default_rng(0).permutation(len(frames))
    chosen = [*order[:n_train], *order[N_TRAIN : N_TRAIN + n_test]]
    structures = [frames[i] for i in chosen]
    return Data(structures, np.array([a.get_potential_energy() for a in structures]), n_train)


def describe(name: str, data: Data) -> Environments:
    """Features per atom; the truncated set has as many as the optimal one, of least degree."""
    descriptor = InvariantDescriptor(species=["H", "C", "N", "O", "S"], **SETS[name]).fit(data.structures[:1])
    found = environments(descriptor, data.structures)
    if name != "truncated":
        return found
    size = (
        InvariantDescriptor(species=["H", "C", "N", "O", "S"], **SETS["optimal"])
        .fit(data.structures[:1])
        .n_features_out_
    )
    return found._replace(rows=tuple(rows[:, :size] for rows in found.rows))


def compressed(found: Environments) -> Environments:
    """The same distances between atoms of a species in fewer columns: principal axes without those below rounding."""
    rows = []
    for values in found.rows:
        centered = values - values.mean(axis=0)
        variances, axes = np.linalg.eigh(centered.T @ centered)
        rows.append(centered @ axes[:, variances > 1e-13 * variances[-1]])
    return found._replace(rows=tuple(rows))


def part(found: Environments, first: int, last: int) -> Environments:
    """The environments of some of the structures."""
    masks = [(s >= first) & (s < last) for s in found.structures]
    rows = tuple(r[m] for r, m in zip(found.rows, masks, strict=True))
    structures = tuple(s[m] - first for s, m in zip(found.structures, masks, strict=True))
    return Environments(rows, structures, found.counts[first:last])


def error(
    kernel: np.ndarray, found: Environments, energies: np.ndarray, train: slice, test: slice, alpha: float
) -> float:
    """Mean absolute error in kcal/mol."""
    composition, weights = solve(kernel[train, train], found.counts[train], energies[train], alpha)
    predicted = found.counts[test] @ composition + kernel[test, train] @ weights
    return float(np.abs(predicted - energies[test]).mean() / KCAL)


def choose(found: Environments, energies: np.ndarray, n: int) -> tuple[float, float, np.ndarray]:
    """Width and regularisation with the least error on the last quarter of the first n training molecules."""
    inner = part(found, 0, n)
    typical = typical_distances(inner)
    cut, results = 3 * n // 4, {}
    for width in WIDTHS:
        kernel = atom_kernel(inner, inner, width * typical)
        for alpha in ALPHAS:
            try:
                results[width, alpha] = error(kernel, inner, energies, slice(0, cut), slice(cut, n), alpha)
            except ConfigError:  # too little regularisation for the kernel's rounding
                results[width, alpha] = np.inf
    width, alpha = min(results, key=results.__getitem__)
    return width, alpha, width * typical


def kernel_ridge(found: Environments, data: Data, sizes: Sequence[int], inner: int) -> dict:
    """Learning curve."""
    start = time.perf_counter()
    found = compressed(found)
    width, alpha, widths = choose(found, data.energies, inner)
    kernel = atom_kernel(found, part(found, 0, data.n_train), widths)
    test = slice(data.n_train, len(data.energies))
    curve = {n: error(kernel, found, data.energies, slice(0, n), test, alpha) for n in sizes}
    return {"width": width, "alpha": alpha, "mae_kcal_per_mol": curve, "seconds": time.perf_counter() - start}


def species_sums(found: Environments) -> np.ndarray:
    """(structures, columns) float32 counts of the species and sums of the features over each species' atoms."""
    blocks = [found.counts.astype(np.float32)]
    for rows, structures in zip(found.rows, found.structures, strict=True):
        entries = (np.ones(len(rows)), structures, np.arange(len(rows) + 1))
        belongs = csr_matrix(entries, shape=(len(rows), len(found.counts)))
        blocks.append((belongs.T @ rows).astype(np.float32))  # np.add.at takes minutes for thousands of columns
    return np.concatenate(blocks, axis=1)


def trees(found: Environments, data: Data, sizes: Sequence[int]) -> dict:
    """Learning curve of gradient-boosted trees on sums over the atoms of each species.

    A tree fills a histogram of every column in each of its nodes: 63 bins instead of 255 keep those of the full set
    (12,480 columns) within memory that a core can walk through 400 times; every set is learned in the same way.
    """
    start, curve, features = time.perf_counter(), {}, species_sums(found)
    for n in sorted(sizes, reverse=True):
        composition = np.linalg.lstsq(found.counts[:n], data.energies[:n], rcond=None)[0]
        rest = data.energies - found.counts @ composition
        predicted = BOOSTED.fit(features[:n], rest[:n]).predict(features[data.n_train :])
        curve[n] = float(np.abs(predicted - rest[data.n_train :]).mean() / KCAL)
        print(f"trees, {n} molecules: {curve[n]:.3f} kcal/mol", file=sys.stderr, flush=True)
    return {"n_columns": features.shape[1], "mae_kcal_per_mol": curve, "seconds": time.perf_counter() - start}


def draw(results: dict, path: Path) -> None:
    """Learning curves on logarithmic axes, a set's colour the same in both."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, method in zip(figure.subplots(1, 2), METHODS, strict=True):
        for number, name in enumerate(name for name in SETS if name in results):
            curve = results[name].get(method, {}).get("mae_kcal_per_mol", {})
            sizes = [int(n) for n in curve]
            label = f"{name} ({results[name]['n_features']:,})"
            axes.loglog(sizes, list(curve.values()), "o-", color=f"C{number}", label=label)
        axes.set(title=METHODS[method], xlabel="training molecules", ylabel="test MAE (kcal/mol)")
        axes.yaxis.set_major_locator(FixedLocator([0.5, 1, 2, 3, 5, 10]))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    axes.legend(title="set (features per atom)")
    figure.savefig(path, dpi=150)


def stored(path: Path | None) -> dict:
    """The sets of a file of results, nothing where there is none."""
    return json.loads(path.read_text())["sets"] if path and path.exists() else {}


def measure(name: str, data: Data, methods: Sequence[str], sizes: Sequence[int], inner: int) -> dict:
    """Learning curves of one set by the methods asked for."""
    found = describe(name, data)
    result: dict = {"n_features": found.rows[0].shape[1]}
    if "kernel_ridge" in methods:
        result["kernel_ridge"] = kernel_ridge(found, data, sizes, inner)
    if "trees" in methods:
        result["trees"] = trees(found, data, sizes)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="*", choices=list(SETS), default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 1000, 3000, N_TRAIN])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="results, written after every set")
    parser.add_argument("--figure", type=Path, help="learning curves of all sets in the results")
    parser.add_argument("--smoke", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes, inner = ([60, 120], 80) if options.smoke else (options.sizes, 1600)
    results = stored(options.json)
    with threadpool_limits(options.threads):  # also of the trees, whose idle threads would spin
        data = load(options.data, *((120, 60) if options.smoke else (N_TRAIN, 1369)))
        for name in ["optimal"] if options.smoke else options.sets:
            results[name] = {**results.get(name, {}), **measure(name, data, options.methods, sizes, inner)}
            print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
            if options.json:
                save({"sets": results, "grid": list(product(WIDTHS, ALPHAS))}, options.json)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    sys.exit(main())
