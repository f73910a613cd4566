"""Errors of a potential on labelled structures: over all, by element, by group, and the worst structures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from invarion.data.labels import TARGETS, StructureLabels, structure_labels
from invarion.exceptions import DataError
from invarion.neighbors import ORIGIN, place
from invarion.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

_GROUP_KEYS = ("group", "config_type")
_MEV = 1000.0


@dataclass(frozen=True)
class Comparison:
    """Labels beside predictions for S structures with N atoms; NaN where a structure carries no label.

    Attributes:
        n_atoms: (S,) number of atoms of each structure.
        numbers: (N,) atomic numbers.
        energy: (S,) labels, eV.
        predicted_energy: (S,) eV.
        forces: (N, 3) labels, eV/Angstrom.
        predicted_forces: (N, 3) eV/Angstrom.
        stress: (S, 3, 3) labels, eV/Angstrom^3.
        predicted_stress: (S, 3, 3) eV/Angstrom^3.
        groups: S names, the structures' `group` or `config_type`; empty where they have none.
        origins: S names of file and frame; empty where they are not known.
    """

    n_atoms: np.ndarray
    numbers: np.ndarray
    energy: np.ndarray
    predicted_energy: np.ndarray
    forces: np.ndarray
    predicted_forces: np.ndarray
    stress: np.ndarray
    predicted_stress: np.ndarray
    groups: tuple[str, ...]
    origins: tuple[str, ...]

    @property
    def system(self) -> np.ndarray:
        """(N,) structure that each atom belongs to."""
        return np.repeat(np.arange(len(self.n_atoms)), self.n_atoms)

    @property
    def energy_errors(self) -> np.ndarray:
        """(S,) predicted - label, meV/atom."""
        return _MEV * (self.predicted_energy - self.energy) / self.n_atoms

    @property
    def forces_errors(self) -> np.ndarray:
        """(N, 3) predicted - label, meV/Angstrom."""
        return _MEV * (self.predicted_forces - self.forces)

    @property
    def stress_errors(self) -> np.ndarray:
        """(S, 3, 3) predicted - label, meV/Angstrom^3."""
        return _MEV * (self.predicted_stress - self.stress)

    def part(self, structures: np.ndarray) -> "Comparison":
        """The comparison of some of the structures.

        Args:
            structures: (S,) bool.
        """
        atoms = structures[self.system]
        return Comparison(
            self.n_atoms[structures],
            self.numbers[atoms],
            self.energy[structures],
            self.predicted_energy[structures],
            self.forces[atoms],
            self.predicted_forces[atoms],
            self.stress[structures],
            self.predicted_stress[structures],
            tuple(name for name, kept in zip(self.groups, structures, strict=True) if kept),
            tuple(name for name, kept in zip(self.origins, structures, strict=True) if kept),
        )


def compare(potential: Potential, atoms: "Sequence[Atoms]") -> Comparison:
    """Predict labelled structures and lay labels and predictions side by side.

    Args:
        potential: any potential.
        atoms: structures; labels are found as `invarion.read` finds them, NaN or absent means no label.

    Raises:
        DataError: no structure, no label at all, or an element that the potential does not know.
    """
    labels = comparable(potential, atoms)
    prediction = potential.predict(list(atoms), stress=True)
    return Comparison(
        n_atoms=np.array([len(structure) for structure in atoms]),
        numbers=np.concatenate([structure.numbers for structure in atoms]),
        energy=np.array([label.energy for label in labels]),
        predicted_energy=prediction.energy,
        forces=np.concatenate([_or_nan(k.forces, (len(a), 3)) for k, a in zip(labels, atoms, strict=True)]),
        predicted_forces=prediction.forces,
        stress=np.array([_or_nan(label.stress, (3, 3)) for label in labels]),
        predicted_stress=prediction.stress,
        groups=tuple(_group(structure) for structure in atoms),
        origins=tuple(str(structure.info.get(ORIGIN, "")) for structure in atoms),
    )


def comparable(potential: Potential, atoms: "Sequence[Atoms]") -> list[StructureLabels]:
    """The labels of structures that a potential can be compared with.

    Args:
        potential: any potential.
        atoms: structures.

    Raises:
        DataError: no structure, no label at all, or an element that the potential does not know.
    """
    if len(atoms) == 0:
        raise DataError("there is no structure to evaluate on; check the path and the selection")
    labels = [structure_labels(structure, where=place(structure, s)) for s, structure in enumerate(atoms)]
    if not any(label.has(target) for label in labels for target in TARGETS):
        raise DataError(
            "the structures carry neither energies nor forces nor stress, so there is nothing to compare with; "
            "name their keys, for instance keys={'energy': 'E_dft', 'forces': 'F_dft'}"
        )
    for where, structure in enumerate(atoms):
        potential.refuse_unknown(structure, place(structure, where))
    return labels


def metrics(comparison: Comparison) -> dict[str, Any]:
    """Mean absolute and root mean square errors, coefficients of determination, and what they are made of.

    Energies count per atom, forces by component, stresses by all nine components (so that the root mean square does
    not depend on the axes); R2 = 1 - sum (error^2) / sum (label - mean label)^2.

    Args:
        comparison: labels and predictions.

    Returns:
        Mapping of numbers in meV/atom, meV/Angstrom and meV/Angstrom^3; None where there is no such label; with
        `per_element`, `per_group` and `worst`.
    """
    return {
        **_overall(comparison),
        "per_element": per_element(comparison),
        "per_group": per_group(comparison),
        "worst": worst(comparison),
    }


def per_element(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Force errors by element: mean absolute and root mean square in meV/Angstrom, and the number of atoms."""
    rows = {}
    for number in np.unique(comparison.numbers):
        errors = _finite(comparison.forces_errors[comparison.numbers == number])
        rows[chemical_symbols[number]] = {
            "forces_mae_mev_per_angstrom": _mae(errors),
            "forces_rmse_mev_per_angstrom": _rmse(errors),
            "n_atoms": int((comparison.numbers == number).sum()),
        }
    return rows


def per_group(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """The overall errors for every group of structures; empty if the structures name no groups."""
    names = sorted({name for name in comparison.groups if name})
    groups = np.array(comparison.groups)
    return {name: _overall(comparison.part(groups == name)) for name in names}


def worst(comparison: Comparison, count: int = 10) -> list[dict[str, Any]]:
    """The structures with the largest errors, by forces where there are forces, else by energy.

    Args:
        comparison: labels and predictions.
        count: how many.

    Returns:
        Rows with index (0-based place in the data), origin (file and frame), formula, group, energy error and largest
        force error.
    """
    largest = _largest_force_errors(comparison)
    key = largest if np.isfinite(largest).any() else np.abs(comparison.energy_errors)
    order = np.argsort(-np.nan_to_num(key, nan=-1.0), kind="stable")[:count]
    starts = np.concatenate([[0], np.cumsum(comparison.n_atoms)])
    return [
        {
            "index": int(s),
            "origin": comparison.origins[s],
            "formula": _formula(comparison.numbers[starts[s] : starts[s + 1]]),
            "group": comparison.groups[s],
            "energy_error_mev_per_atom": _number(comparison.energy_errors[s]),
            "largest_force_error_mev_per_angstrom": _number(largest[s]),
        }
        for s in order
    ]


def _overall(comparison: Comparison) -> dict[str, Any]:
    energy = _finite(comparison.energy_errors)
    forces = _finite(comparison.forces_errors)
    stress = _finite(comparison.stress_errors)
    return {
        "energy_mae_mev_per_atom": _mae(energy),
        "energy_rmse_mev_per_atom": _rmse(energy),
        "energy_max_mev_per_atom": _max(energy),
        "energy_r2": _r2(comparison.energy_errors, _MEV * comparison.energy / comparison.n_atoms),
        "forces_mae_mev_per_angstrom": _mae(forces),
        "forces_rmse_mev_per_angstrom": _rmse(forces),
        "forces_max_mev_per_angstrom": _max(forces),
        "forces_r2": _r2(comparison.forces_errors, _MEV * comparison.forces),
        "stress_mae_mev_per_angstrom3": _mae(stress),
        "stress_rmse_mev_per_angstrom3": _rmse(stress),
        "stress_max_mev_per_angstrom3": _max(stress),
        "stress_r2": _r2(comparison.stress_errors, _MEV * comparison.stress),
        "n_structures": len(comparison.n_atoms),
        "n_atoms": int(comparison.n_atoms.sum()),
        "n_energies": len(energy),
        "n_force_components": len(forces),
        "n_stress_components": len(stress),
    }


def _largest_force_errors(comparison: Comparison) -> np.ndarray:
    """(S,) largest length of a force error in each structure, NaN without labels."""
    lengths = np.linalg.norm(comparison.forces_errors, axis=1)
    largest = np.full(len(comparison.n_atoms), -np.inf)
    np.maximum.at(largest, comparison.system, np.nan_to_num(lengths, nan=-np.inf))
    return np.where(np.isfinite(largest), largest, np.nan)


def _group(structure: "Atoms") -> str:
    return next((str(structure.info[key]) for key in _GROUP_KEYS if key in structure.info), "")


def _or_nan(values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan) if values is None else values


def _formula(numbers: np.ndarray) -> str:
    from ase.formula import Formula

    return Formula.from_list([chemical_symbols[z] for z in numbers]).format("hill") if len(numbers) else ""


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _mae(errors: np.ndarray) -> float | None:
    return float(np.abs(errors).mean()) if len(errors) else None


def _rmse(errors: np.ndarray) -> float | None:
    return float(np.sqrt((errors**2).mean())) if len(errors) else None


def _max(errors: np.ndarray) -> float | None:
    return float(np.abs(errors).max()) if len(errors) else None


def _r2(errors: np.ndarray, labels: np.ndarray) -> float | None:
    """None where the labels do not vary, so that there is nothing to explain."""
    known = np.isfinite(errors)
    spread = ((labels[known] - labels[known].mean()) ** 2).sum() if known.any() else 0.0
    return float(1.0 - (errors[known] ** 2).sum() / spread) if spread > 0 else None


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
