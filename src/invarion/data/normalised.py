"""The one form of a labelled structure inside invarion: `REF_energy`, `REF_forces`, `REF_stress` in eV and Angstrom."""

from collections.abc import Mapping
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from invarion.data.labels import TARGETS, WEIGHTS, StructureLabels, fresh_results
from invarion.units import INTERNAL


def normalise(atoms: Atoms, labels: StructureLabels) -> Atoms:
    """A copy whose labels stand under their `REF_*` keys, and in a calculator that returns them.

    The keys that the labels came from are removed, so that no label is read, or converted, twice.

    Args:
        atoms: the structure.
        labels: what `structure_labels` found in it.

    Returns:
        Atoms with the labels that are there; a missing one has no key.
    """
    fresh = atoms.copy()
    for source in _outdated(labels):
        fresh.info.pop(source.key, None)
        if source.key not in ("numbers", "positions"):
            fresh.arrays.pop(source.key, None)
    _put_labels(fresh, labels)
    _put_weights(fresh, labels)
    fresh.calc = _calculator(fresh, labels, fresh_results(atoms))
    return fresh


def _outdated(labels: StructureLabels) -> list[Any]:
    """Sources that must not be read again: those used, and all stresses and virials, whose units may differ."""
    used = [found[0] for found in labels.found.values() if found]
    return [*used, *labels.found["stress"]]


def _put_labels(atoms: Atoms, labels: StructureLabels) -> None:
    for kind in ("energy", "forces", "stress", "virial"):
        for key in (f"{kind}_unit", f"{kind}_units"):
            if key in atoms.info:
                atoms.info[key] = INTERNAL[kind]
    if labels.has("energy"):
        atoms.info["REF_energy"] = labels.energy
    if labels.has("forces"):
        atoms.set_array("REF_forces", labels.forces, float, (3,))
    if labels.has("stress"):
        atoms.info["REF_stress"] = labels.stress


def _put_weights(atoms: Atoms, labels: StructureLabels) -> None:
    for name, value in zip(WEIGHTS, labels.weights, strict=True):
        stated = atoms.info.pop(name, None) is not None
        stated |= atoms.info.pop(f"config_{name}", None) is not None
        if stated or value != 1.0:
            atoms.info[name] = value


def _calculator(atoms: Atoms, labels: StructureLabels, results: Mapping[str, Any]) -> SinglePointCalculator | None:
    """A calculator that returns the labels, and whatever else the structure's own one held (magnetic moments, ...)."""
    replaced = {"energy", "free_energy", "energies", "forces", "stress", "stresses"}
    kept = {key: value for key, value in results.items() if key not in replaced}
    kept |= {target: getattr(labels, target) for target in TARGETS if labels.has(target)}
    if "stress" in kept:
        kept["stress"] = full_3x3_to_voigt_6_stress(kept["stress"])
    return SinglePointCalculator(atoms, **kept) if kept else None
