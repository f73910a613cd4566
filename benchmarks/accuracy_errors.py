"""Errors of predictions on test structures: the same function for every contestant."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.units import kcal, mol
from numpy.typing import NDArray


def errors(frames: Sequence[Atoms], energies: NDArray, forces: NDArray) -> dict[str, float | int]:
    """Mean absolute and root mean square errors.

    Args:
        frames: structures with labels `REF_energy` and perhaps `REF_forces`; where `info["curve"]` names the curve
            that a structure is a point of, energies relative to the mean of each curve are compared, too.
        energies: (S,), eV.
        forces: (N, 3) of all structures one after the other, eV/A.

    Raises:
        ValueError: predictions of another shape, or that are not finite.
    """
    n_atoms = np.array([len(atoms) for atoms in frames])
    if np.shape(energies) != (len(frames),) or np.shape(forces) != (n_atoms.sum(), 3):
        raise ValueError(f"predictions of shapes {np.shape(energies)}, {np.shape(forces)} for {len(frames)} structures")
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise ValueError("predictions are not all finite")
    wrong = energies - np.array([atoms.info["REF_energy"] for atoms in frames])
    found = {
        "n_structures": len(frames),
        **_both("energy", wrong * 1e3, "mev"),
        **_both("energy", wrong * mol / kcal, "kcal_per_mol"),
        **_both("energy", 1e3 * wrong / n_atoms, "mev_per_atom"),
    }
    if all("REF_forces" in atoms.arrays for atoms in frames):
        labels = np.concatenate([atoms.arrays["REF_forces"] for atoms in frames])
        found |= _both("forces", 1e3 * (forces - labels), "mev_per_angstrom")
    if all("curve" in atoms.info for atoms in frames):
        _, curve = np.unique([atoms.info["curve"] for atoms in frames], return_inverse=True)
        means = np.bincount(curve, wrong) / np.bincount(curve)
        found |= _both("relative_energy", (wrong - means[curve]) * mol / kcal, "kcal_per_mol")
    return found


def _both(name: str, wrong: NDArray, unit: str) -> dict[str, float]:
    mean, root = np.abs(wrong).mean(), np.sqrt(np.square(wrong).mean())
    return {f"{name}_mae_{unit}": float(mean), f"{name}_rmse_{unit}": float(root)}
