"""Is a trained potential physical? Dimers, conservation of energy, vibrations, and its worst predictions.

Every check is made of the models that it suits: vibrations of those that know H, C and O and were trained on ethanol
at the level of rMD17; the rest of all.

    python benchmarks/sanity.py runs/demo/model.inv --structure examples/ethanol/test.extxyz --vibrations
    python benchmarks/sanity.py methane.inv --structure ch4.extxyz --worst ch4_test_energy.extxyz
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from ase.optimize import BFGS
from ase.units import kcal, mol
from ase.vibrations import VibrationsData

import invarion as inv
from invarion.checkpoint import read_header
from invarion.engines.dynamics import run_dynamics
from invarion.evaluation.dimers import scan_dimers
from measure import save

REFERENCE = Path(__file__).parent / "references" / "ethanol_pbe.json"
STEP = 0.005  # Angstrom, of the finite differences of forces


def hessian(potential: inv.Potential, atoms: Atoms) -> np.ndarray:
    """Second derivatives (3N, 3N) in eV/A^2 by central differences of the forces."""
    moved = []
    for place in np.ndindex(len(atoms), 3):
        for sign in (1.0, -1.0):
            copy = atoms.copy()
            copy.positions[place] += sign * STEP
            moved.append(copy)
    forces = potential.predict(moved, stress=False).forces.reshape(-1, 2, 3 * len(atoms))
    matrix = (forces[:, 1] - forces[:, 0]) / (2.0 * STEP)
    return 0.5 * (matrix + matrix.T)


def wavenumbers(atoms: Atoms, matrix: np.ndarray) -> np.ndarray:
    """The 3N - 6 vibrations in 1/cm, ascending; imaginary ones are negative."""
    found = VibrationsData.from_2d(atoms, matrix).get_frequencies()
    signed = np.where(found.imag > found.real, -found.imag, found.real)
    slowest = np.argsort(np.abs(signed))[:6]  # translations and rotations
    return np.sort(np.delete(signed, slowest))


def vibrations(potential: inv.Potential) -> dict[str, Any]:
    """Ethanol relaxed with the potential, against geometry and Hessian of the data's level of theory."""
    known = json.loads(REFERENCE.read_text())
    atoms = Atoms(known["numbers"], known["positions_A"])
    expected = wavenumbers(atoms, np.array(known["hessian_eV_per_A2"]))
    at_reference = np.abs(potential.predict(atoms, stress=False).forces).max()
    relaxed = atoms.copy()
    relaxed.calc = inv.Calculator(potential)
    BFGS(relaxed, logfile=None).run(fmax=1e-3, steps=500)
    found = wavenumbers(relaxed, hessian(potential, relaxed))
    apart = relaxed.get_all_distances() - atoms.get_all_distances()
    return {
        "level": known["level"],
        "force_at_reference_minimum_meV_per_A": 1e3 * float(at_reference),
        "largest_change_of_a_distance_A": float(np.abs(apart).max()),
        "wavenumbers_per_cm": found.round(1).tolist(),
        "reference_per_cm": expected.round(1).tolist(),
        "mae_per_cm": float(np.abs(found - expected).mean()),
        "largest_per_cm": float(np.abs(found - expected).max()),
    }


def conservation(potential: inv.Potential, atoms: Atoms, steps: int, timestep: float) -> dict[str, Any]:
    """Microcanonical dynamics at 300 K from a structure."""
    moving = atoms.copy()
    moving.calc = inv.Calculator(potential)
    report = run_dynamics(moving, steps, temperature=300.0, timestep=timestep)
    return {
        "picoseconds": report.picoseconds,
        "drift_meV_per_atom_per_ps": report.drift,
        "error": report.drift_error,
        "fluctuation_meV_per_atom": report.fluctuation,
        "verdict": report.verdict,
    }


def dimers(potential: inv.Potential, header: dict[str, Any]) -> dict[str, Any]:
    """How far each pair's energy falls inside the smallest distance of the training data, in eV; 0 is right."""
    smallest = header.get("provenance", {}).get("training", {}).get("smallest_distances", {})
    return {scan.name: scan.depth for scan in scan_dimers(potential, smallest)}


def worst(potential: inv.Potential, frames: Sequence[Atoms], count: int = 10) -> dict[str, Any]:
    """The largest errors of energies among many structures, in kcal/mol, beside the typical one."""
    wrong = np.array(potential.predict(frames, stress=False).energy) - [a.info["REF_energy"] for a in frames]
    wrong /= kcal / mol
    order = np.argsort(-np.abs(wrong))[:count]
    shortest = [_shortest(frames[i]) for i in order]
    return {
        "n": len(frames),
        "rmse_kcal_per_mol": float(np.sqrt(np.mean(wrong**2))),
        "median_kcal_per_mol": float(np.median(np.abs(wrong))),
        "largest": [
            {"frame": int(i), "error_kcal_per_mol": float(wrong[i]), "shortest_distance_A": s}
            for i, s in zip(order, shortest, strict=True)
        ],
    }


def _shortest(atoms: Atoms) -> float:
    return float(atoms.get_all_distances()[np.triu_indices(len(atoms), 1)].min())


def main() -> int:
    """Check the models that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--structure", type=Path, help="where dynamics starts: the first frame of this file")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--vibrations", action="store_true", help="compare ethanol with PBE / def2-SVP")
    parser.add_argument("--worst", type=Path, help="labelled structures whose ten worst energies are shown")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    results = {}
    for path in chosen.models:
        potential = inv.load(path)
        found: dict[str, Any] = {"dimers_eV": dimers(potential, read_header(path))}
        if chosen.vibrations:
            found["vibrations"] = vibrations(potential)
        if chosen.structure:
            found["dynamics"] = conservation(potential, read(chosen.structure, 0), chosen.steps, chosen.timestep)
        if chosen.worst:
            found["worst"] = worst(potential, inv.read(chosen.worst))
        results[str(path)] = found
        print(f"{path}: done", file=sys.stderr)
    save(results, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
