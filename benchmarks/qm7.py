"""Do few independent invariants learn as well as all of them? Atomisation energies of QM7 without a network.

Kernel ridge regression (a kernel that sums over pairs of atoms) and gradient-boosted trees (on sums over the atoms of
each species) with all contractions up to degree 3, the independent sets, and as many features cut off by degree; 5732
training and 1369 test molecules, fixed split. Width and regularisation are chosen inside the training set.

    python benchmarks/qm7.py ../shared/data/qm7/qm7.extxyz --json results/qm7.json --figure results/qm7.png
"""

import argparse
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
from sklearn.ensemble import HistGradientBoostingRegressor

from invarion.engines.sklearn import InvariantDescriptor
from invarion.engines.sklearn_kernels import Environments, atom_kernel, environments, solve, typical_distances
from invarion.exceptions import ConfigError
from measure import save

KCAL = kcal / mol
WIDTHS, ALPHAS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8), (1e-7, 1e-6, 1e-5)
N_TRAIN = 5732
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


def trees(found: Environments, data: Data, sizes: Sequence[int]) -> dict:
    """Learning curve of gradient-boosted trees on sums over the atoms of each species."""
    sums = []
    for rows, structures in zip(found.rows, found.structures, strict=True):
        total = np.zeros((len(data.energies), rows.shape[1]))
        np.add.at(total, structures, rows)
        sums.append(total)
    features = np.concatenate([found.counts, *sums], axis=1)
    start, curve = time.perf_counter(), {}
    for n in sizes:
        composition = np.linalg.lstsq(found.counts[:n], data.energies[:n], rcond=None)[0]
        rest = data.energies - found.counts @ composition
        model = HistGradientBoostingRegressor(max_iter=400, learning_rate=0.05, max_features=0.3, random_state=0)
        predicted = model.fit(features[:n], rest[:n]).predict(features[data.n_train :])
        curve[n] = float(np.abs(predicted - rest[data.n_train :]).mean() / KCAL)
    return {"n_columns": features.shape[1], "mae_kcal_per_mol": curve, "seconds": time.perf_counter() - start}


def draw(results: dict, path: Path) -> None:
    """Learning curves on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, method in zip(figure.subplots(1, 2, sharey=True), ("kernel_ridge", "trees"), strict=True):
        for name, result in results.items():
            curve = result.get(method, {}).get("mae_kcal_per_mol", {})
            if curve:
                axes.loglog(list(curve), list(curve.values()), "o-", label=f"{name} ({result['n_features']})")
        axes.set(title=method.replace("_", " "), xlabel="training molecules", ylabel="test MAE (kcal/mol)")
        axes.legend(title="features per atom")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--no-trees", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = load(options.data, *((120, 60) if options.smoke else (N_TRAIN, 1369)))
    sizes, inner = ([60, 120], 80) if options.smoke else ([100, 300, 1000, 3000, N_TRAIN], 1600)
    results = {}
    for name in ["optimal"] if options.smoke else options.sets:
        found = describe(name, data)
        results[name] = {"n_features": found.rows[0].shape[1], "kernel_ridge": kernel_ridge(found, data, sizes, inner)}
        print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
        if not options.no_trees:
            results[name]["trees"] = trees(found, data, sizes[-1:] if found.rows[0].shape[1] > 1000 else sizes)
            print(f"{name}: {results[name]['trees']}", file=sys.stderr, flush=True)
        if options.json:  # after every set: the largest takes most of an hour
            save({"sets": results, "grid": list(product(WIDTHS, ALPHAS))}, options.json)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    sys.exit(main())
