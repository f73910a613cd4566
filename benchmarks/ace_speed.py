"""How fast are ACE energies and forces, beside the C++ evaluator of python-ace on the same number of functions?

    python benchmarks/ace_speed.py --out runs/ace_speed.json   # Cu, 1000 atoms, 5 A, one thread, with neighbour lists
    python benchmarks/ace_speed.py --growth                    # cost against n_radial, max_rank, degree and elements

Both evaluate the same lists of functions (radial functions and ranks per degree as in `SIZES`), take turns in one run,
and are charged for their neighbour lists; only ratios mean something. python-ace is skipped where it is not installed.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

import invarion as inv
from measure import median_seconds, save

SIZES = {"n_radial": (15, 6, 4, 3), "max_rank": (0, 3, 3, 2), "max_degree": 4}
RIVALS = (300, 700)
MODELS = {
    "full as the rival's 700": {**SIZES, "basis": "full"},
    "full 3080 (N = 4, L = 3)": {"n_radial": 4, "max_rank": 3, "max_degree": 4, "basis": "full"},
    "reduced 45 (N = 3, L = 3)": {"n_radial": 3, "max_rank": 3, "max_degree": 4},
    "reduced 45 + network": {"n_radial": 3, "max_rank": 3, "max_degree": 4, "readout": "mlp", "hidden": (16, 16)},
    "reduced 45 + polynomial": {"n_radial": 3, "max_rank": 3, "max_degree": 4, "readout": "polynomial"},
    "reduced 97 (N = 4, L = 4)": {"n_radial": 4, "max_rank": 4, "max_degree": 4},
}


def crystal(n_atoms: int, species: tuple[int, ...] = (29,)) -> Atoms:
    """Rattled fcc copper of about n_atoms, elements mixed at random."""
    atoms = bulk("Cu", cubic=True).repeat(max(2, round((n_atoms / 4) ** (1 / 3))))
    atoms.rattle(0.05, seed=0)
    atoms.numbers = np.random.default_rng(0).choice(species, len(atoms))
    return atoms


def ours(atoms: Atoms, species: tuple[int, ...] = (29,), **settings: Any) -> tuple[Callable[[], Any], int]:
    """Energy and forces, neighbour list included; random coefficients in float64."""
    potential = inv.Potential(inv.ace(5.0, **settings), species).double().eval()
    with torch.no_grad():
        for parameter in potential.network.readouts.parameters():
            parameter.normal_(std=1e-3)
    return partial(potential.predict, [atoms], stress=False), len(potential.network.basis.functions[0])


def rival(atoms: Atoms, n_functions: int) -> tuple[Callable[[], Any], int]:
    """python-ace's recursive C-tilde evaluator, the code that LAMMPS runs."""
    from pyace import ACEBBasisSet, PyACECalculator, create_multispecies_basis_config

    orders = {"nradmax_by_orders": list(SIZES["n_radial"]), "lmax_by_orders": list(SIZES["max_rank"])}
    bond = {"radbase": "SBessel", "radparameters": [5.25], "rcut": 5.0, "dcut": 0.01, "NameOfCutoffFunction": "cos"}
    embedding = {"npot": "FinnisSinclairShiftedScaled", "fs_parameters": [1, 1], "ndensity": 1}
    config = create_multispecies_basis_config(
        {
            "deltaSplineBins": 0.001,
            "elements": ["Cu"],
            "embeddings": {"ALL": embedding},
            "bonds": {"ALL": bond},
            "functions": {"number_of_functions_per_element": n_functions, "ALL": orders},
        }
    )
    config.set_all_coeffs(np.random.default_rng(0).normal(0, 1e-3, len(config.get_all_coeffs())))
    basis = ACEBBasisSet(config)
    calculator = PyACECalculator(basis.to_ACECTildeBasisSet(), recursive_evaluator=True, recursive=True)

    def step() -> None:
        calculator.results = {}
        calculator.calculate(atoms, properties=["energy", "forces"])

    return step, len(basis.basis[0]) + len(basis.basis_rank1[0])


def compare(n_atoms: int, repeats: int) -> dict[str, Any]:
    """Microseconds per atom of every model and rival, in turns, and the ratios to the largest rival."""
    atoms = crystal(n_atoms)
    jobs = {name: ours(atoms, **settings) for name, settings in MODELS.items()}
    if find_spec("pyace") is not None:
        jobs |= {f"python-ace {n}": rival(atoms, n) for n in RIVALS}
    graph_only = partial(inv.graph, atoms, 5.0)
    seconds = median_seconds({"neighbour list": graph_only, **{k: job for k, (job, _) in jobs.items()}}, repeats)
    per_atom = {name: 1e6 * value / len(atoms) for name, value in seconds.items()}
    counts = {name: count for name, (_, count) in jobs.items()}
    slowest = per_atom.get(f"python-ace {RIVALS[-1]}")
    ratios = {} if slowest is None else {name: slowest / value for name, value in per_atom.items()}
    return {"atoms": len(atoms), "functions": counts, "microseconds_per_atom": per_atom, "rival_over_ours": ratios}


def growth(n_atoms: int, repeats: int) -> dict[str, Any]:
    """Cost against each size alone, full and reduced."""
    base = {"n_radial": 3, "max_rank": 3, "max_degree": 3}
    axes = {"n_radial": (1, 2, 3, 4, 6), "max_rank": (1, 2, 3, 4, 5), "max_degree": (1, 2, 3, 4), "elements": (1, 2, 3)}
    found: dict[str, Any] = {}
    for axis, values in axes.items():
        jobs, counts = {}, {}
        for value in values:
            species = (29, 47, 79)[: value if axis == "elements" else 1]
            settings = base if axis == "elements" else {**base, axis: value}
            atoms = crystal(n_atoms, species)
            for kind in ("full", "reduced"):
                name = f"{kind} {value}"
                jobs[name], counts[name] = ours(atoms, species, **settings, basis=kind)
        seconds = median_seconds(jobs, repeats)
        per_atom = {name: 1e6 * value / n_atoms for name, value in seconds.items()}
        found[axis] = {"microseconds_per_atom": per_atom, "functions": counts}
    return found


def draw(found: dict[str, Any], path: Path) -> None:
    """One panel per axis: cost per atom of full and reduced sets."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(found), 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (axis, data) in enumerate(found.items()):
        axes = figure.add_subplot(1, len(found), place + 1)
        for kind in ("full", "reduced"):
            points = [(int(k.split()[1]), v) for k, v in data["microseconds_per_atom"].items() if k.startswith(kind)]
            axes.plot(*zip(*points, strict=True), "o-", label=kind)
        axes.set(xlabel=axis, ylabel="us per atom", yscale="log")
        axes.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file; a figure goes beside it")
    parser.add_argument("--smoke", action="store_true", help="32 atoms, one repeat")
    settings = parser.parse_args()
    if settings.smoke:
        settings.atoms, settings.repeats = 32, 1
    torch.set_num_threads(1)
    found = growth(settings.atoms, settings.repeats) if settings.growth else compare(settings.atoms, settings.repeats)
    if settings.growth and settings.out:
        draw(found, settings.out.with_suffix(".png"))
    save({"growth": found} if settings.growth else found, settings.out)
    if settings.out:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
