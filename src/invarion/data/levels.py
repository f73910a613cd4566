"""Structures computed at several levels of theory: their energies brought to the zero of one of them."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from invarion.data.labels import structure_labels
from invarion.exceptions import DataError
from invarion.neighbors import place


class Shifts(NamedTuple):
    """What is added to the energies of each level.

    Attributes:
        key: of `atoms.info`, under which structures say their level.
        zero: the level whose energies stay as they are.
        species: atomic numbers, ascending.
        energies: level -> eV per atom of each species; zeros for the level `zero`.
    """

    key: str
    zero: str
    species: tuple[int, ...]
    energies: dict[str, tuple[float, ...]]

    def apply(self, atoms: Sequence[Atoms]) -> None:
        """Shift the energies of structures, as `invarion.read` returns them, in place.

        Args:
            atoms: structures of the levels and species that the shifts are known of.

        Raises:
            DataError: a structure without a level, or of one that no training structure has.
        """
        for i, structure in enumerate(atoms):
            level = _level(structure, self.key, i)
            if level not in self.energies:
                known = ", ".join(self.energies)
                raise DataError(
                    f"{place(structure, i)}: its level is {level!r}, and training structures have {known}; the zero of "
                    "its energy is unknown: add some to the training set, or drop it"
                )
            by_species = dict(zip(self.species, self.energies[level], strict=True))
            shift = sum(by_species.get(int(z), 0.0) for z in structure.numbers)
            if "REF_energy" in structure.info:
                structure.info["REF_energy"] += shift
            if structure.calc is not None and "energy" in structure.calc.results:
                structure.calc.results["energy"] += shift


def level_shifts(atoms: Sequence[Atoms], key: str, zero: str | None = None) -> Shifts:
    r"""Energies per element that bring every level's energies to the zero of one.

    Levels of theory differ most by a constant per atom of each element. With :math:`E_s \approx \sum_Z n_{sZ}
    E^{(level)}_Z` in least squares of least norm for each level, the shift of a level is
    :math:`E^{(zero)}_Z - E^{(level)}_Z`. What
    is left are differences of structure that a level has from another, and that is for the model to make the best of.

    Args:
        atoms: training structures as `invarion.read` returns them.
        key: of `atoms.info`, whose value names the level of a structure.
        zero: the level whose energies stay as they are; that of most structures if not given.

    Raises:
        DataError: a structure without the key, a level without energies, or `zero` is none of the levels.

    >>> low = [Atoms("H2", info={"REF_energy": -30.0, "level": "low"})]
    >>> high = [Atoms("H2", info={"REF_energy": -32.0, "level": "high"})]
    >>> shifts = level_shifts([*low, *high], "level", zero="high")
    >>> [round(e, 6) for e in shifts.energies["low"]]
    [-1.0]
    """
    levels = [_level(structure, key, i) for i, structure in enumerate(atoms)]
    if zero is None:
        zero = Counter(levels).most_common(1)[0][0]
    if zero not in levels:
        raise DataError(f"{zero!r} is none of the levels under {key!r}; there are {', '.join(sorted(set(levels)))}")
    species = tuple(sorted({int(z) for structure in atoms for z in structure.numbers}))
    fitted = {}
    for level in dict.fromkeys(levels):
        fitted[level] = _per_element([a for a, named in zip(atoms, levels, strict=True) if named == level], species)
        if fitted[level] is None:
            raise DataError(f"no structure of level {level!r} has an energy, so its zero is unknown")
    shifts = {level: tuple((fitted[zero] - found).tolist()) for level, found in fitted.items()}
    for level, found in shifts.items():
        if level != zero:
            text = ", ".join(f"{chemical_symbols[z]} {e:+.4f}" for z, e in zip(species, found, strict=True))
            message = "energies of level %s are shifted to the zero of %s: %s eV per atom"
            logging.getLogger(__name__).info(message, level, zero, text)
    return Shifts(key, zero, species, shifts)


def _level(structure: Atoms, key: str, number: int) -> str:
    if key not in structure.info:
        raise DataError(
            f"{place(structure, number)} has no info[{key!r}] that names its level; add it, or leave levels out"
        )
    return str(structure.info[key])


def _per_element(atoms: Sequence[Atoms], species: tuple[int, ...]) -> Any:
    """(species,) eV per atom, least squares of least norm; None without energies."""
    energies = np.array([structure_labels(each, where=place(each, i)).energy for i, each in enumerate(atoms)])
    known = np.isfinite(energies)
    if not known.any():
        return None
    counts = np.array([[np.count_nonzero(each.numbers == z) for z in species] for each in atoms], dtype=float)
    return np.linalg.lstsq(counts[known], energies[known], rcond=None)[0]
