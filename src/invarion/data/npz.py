"""Structures from numpy archives (.npz) in the layouts of rMD17 and of sGDML."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from invarion.exceptions import DataError


class Layout(NamedTuple):
    """Names of the arrays of an archive, and its units where the layout fixes them."""

    name: str
    numbers: str
    positions: str
    energy: str
    forces: str
    units: Mapping[str, str]


_KCAL: Mapping[str, str] = MappingProxyType({"energy": "kcal/mol", "length": "A", "forces": "kcal/mol/A"})
RMD17 = Layout("rMD17", "nuclear_charges", "coords", "energies", "forces", _KCAL)
SGDML = Layout("sGDML", "z", "R", "E", "F", MappingProxyType({}))


class Archive(NamedTuple):
    """What an archive holds: structures with raw labels as `REF_energy` and `REF_forces`, and the units of both."""

    frames: list[Atoms]
    units: Mapping[str, str]


def read_npz(path: Path) -> Archive:
    """The structures of an archive, with their labels as stored.

    rMD17's layout is in kcal/mol and Angstrom; sGDML's states its units in `e_unit` and `r_unit`. Numbers of atoms may
    differ where rows are padded with atomic number 0.

    Args:
        path: the .npz file.

    Returns:
        Archive; its units are empty where the file does not say them.

    Raises:
        DataError: no archive, another layout, or arrays that do not fit each other.
    """
    arrays = _load(path)
    layout = next((each for each in (RMD17, SGDML) if {each.numbers, each.positions} <= arrays.keys()), None)
    if layout is None:
        raise DataError(
            f"{path}: holds the arrays {', '.join(sorted(arrays))}; understood are rMD17's (nuclear_charges, coords, "
            "energies, forces) and sGDML's (z, R, E, F)"
        )
    _check_shapes(path, arrays, layout)
    return Archive(list(_frames(arrays, layout)), layout.units or _stated_units(arrays))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # zipfile, zlib and numpy each have their own errors for a damaged archive
        raise DataError(f"{path}: not a readable .npz archive ({type(error).__name__}: {error})") from error


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]], layout: Layout) -> None:
    positions, numbers = arrays[layout.positions], arrays[layout.numbers]
    if positions.ndim != 3 or positions.shape[2] != 3 or len(positions) == 0:
        raise DataError(f"{path}: {layout.positions} has shape {positions.shape}; needed is (frames, atoms, 3)")
    n_frames, n_atoms, _ = positions.shape
    if numbers.shape not in ((n_atoms,), (n_frames, n_atoms)):
        raise DataError(f"{path}: {layout.numbers} has shape {numbers.shape}; needed is ({n_atoms},)")
    forces = arrays.get(layout.forces)
    if forces is not None and forces.shape != positions.shape:
        raise DataError(f"{path}: {layout.forces} has shape {forces.shape}; needed is {positions.shape}")
    energy = arrays.get(layout.energy)
    if energy is not None and energy.size != n_frames:
        raise DataError(f"{path}: {layout.energy} has shape {energy.shape}; needed is ({n_frames},)")


def _frames(arrays: Mapping[str, NDArray[Any]], layout: Layout) -> Iterator[Atoms]:
    positions = arrays[layout.positions]
    numbers = np.broadcast_to(arrays[layout.numbers], positions.shape[:2])
    energy = None if layout.energy not in arrays else arrays[layout.energy].reshape(-1)
    forces = arrays.get(layout.forces)
    for i in range(len(positions)):
        real = numbers[i] > 0
        structure = Atoms(numbers=numbers[i][real], positions=positions[i][real])
        if energy is not None:
            structure.info["REF_energy"] = float(energy[i])
        if forces is not None:
            structure.set_array("REF_forces", forces[i][real], float, (3,))
        yield structure


def _stated_units(arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """sGDML's own statement of its units, empty where absent."""
    if not {"e_unit", "r_unit"} <= arrays.keys():
        return {}
    energy, length = str(arrays["e_unit"]), str(arrays["r_unit"])
    return {"energy": energy, "length": length, "forces": f"{energy}/{length}"}
