"""
Energies of molecules without a network
=======================================

How many features does a model need? Three sets of invariants describe the atoms of small organic molecules: *all*
contractions up to degree 3, the *optimal* set (complete and independent), and as many of the first set as the optimal
one has, *truncated* by degree. Kernel ridge regression and gradient-boosted trees learn the atomisation energies from
each of them.

Takes most of a minute on one core: ``python examples/qm7/plot_learning_curves.py [FIGURE]``. The whole of QM7 is in
``benchmarks/qm7.py``, with what was measured in ``docs/descriptor.md``.
"""

# %%
# 800 molecules of H, C, N, O and S: 600 to learn from, 200 to be tested on. Energies are in eV.
import sys
from pathlib import Path

import numpy as np
from ase.io import read
from ase.units import kcal, mol
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import invarion as inv
from invarion.engines.sklearn_kernels import AtomKernelRidge
from invarion.invariants import custom_basis

FOLDER = Path(__file__).parent
molecules = read(FOLDER / "molecules.extxyz", ":")
energies = np.array([molecule.get_potential_energy() for molecule in molecules])
train, test = slice(0, 600), slice(600, 800)
sizes = (100, 200, 400, 600)

# %%
# One radial function for each of five species makes five channels of tensors of rank 0 to 3: 80 components, of which
# rotations take 3, so that 77 independent invariants exist. The optimal set has just these.
common = {"cutoff": 5.0, "n_radial": 1, "species": ["H", "C", "N", "O", "S"]}
full = inv.InvariantDescriptor(**common, basis="full", max_degree=3).fit(molecules)
optimal = inv.InvariantDescriptor(**common).fit(molecules)
first = custom_basis(full.basis_.invariants[: optimal.n_features_out_], max_rank=3, channels=5)
truncated = inv.InvariantDescriptor(**common, basis=first).fit(molecules)
sets = {"full": full, "optimal": optimal, "truncated": truncated}

# %%
# `AtomKernelRidge` compares molecules by a kernel that sums over all pairs of their atoms. It is a scikit-learn
# estimator of lists of structures, so its width can be chosen by cross-validation within the training set.
search = GridSearchCV(AtomKernelRidge(optimal), {"width": [0.7, 1.4, 2.8]}, scoring="neg_mean_absolute_error", cv=3)
width = search.fit(molecules[:150], energies[:150]).best_params_["width"]


def kernel_ridge(descriptor: inv.InvariantDescriptor, n: int) -> float:
    """Mean absolute error in kcal/mol after n molecules."""
    model = AtomKernelRidge(descriptor, width).fit(molecules[:n], energies[:n])
    return mean_absolute_error(energies[test], model.predict(molecules[test])) * mol / kcal


# %%
# Trees need one row for each molecule: numbers of atoms, and sums of their features (``per="structure"``). They learn
# what a sum over the composition leaves.
composition = np.array([[list(molecule.symbols).count(s) for s in common["species"]] for molecule in molecules])


def trees(descriptor: inv.InvariantDescriptor, n: int) -> float:
    """Mean absolute error in kcal/mol after n molecules."""
    rest = energies - LinearRegression().fit(composition[:n], energies[:n]).predict(composition)
    sums = inv.InvariantDescriptor(**{**descriptor.get_params(), "per": "structure"})
    boosted = HistGradientBoostingRegressor(max_iter=100, max_features=0.3, max_bins=63, random_state=0)
    model = make_pipeline(sums, boosted).fit(molecules[:n], rest[:n])
    return mean_absolute_error(rest[test], model.predict(molecules[test])) * mol / kcal


# %%
# The learning curves.
figure = Figure(figsize=(9, 4), layout="constrained")
print(f"{'':20} {'set':10} {'features':>8}" + "".join(f"{n:>7}" for n in sizes))
for axes, method in zip(figure.subplots(1, 2, sharey=True), (kernel_ridge, trees), strict=True):
    name = method.__name__.replace("_", " ")
    for label, descriptor in sets.items():
        errors = [method(descriptor, n) for n in sizes]
        print(f"{name:20} {label:10} {descriptor.n_features_out_:8}" + "".join(f"{e:7.2f}" for e in errors), flush=True)
        axes.loglog(sizes, errors, "o-", label=f"{label} ({descriptor.n_features_out_})")
    axes.set(title=name, xlabel="training molecules", xticks=sizes, xticklabels=map(str, sizes))
    axes.set(ylabel="test error (kcal/mol)", yticks=(2, 3, 5, 10), yticklabels=("2", "3", "5", "10"))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
axes.legend(title="set (features per atom)")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "learning_curves.png", dpi=150)
