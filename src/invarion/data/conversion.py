"""From a raw label, as a file has it, to a checked value in eV and Angstrom of the right shape."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from invarion.exceptions import DataError
from invarion.neighbors import volume
from invarion.units import INTERNAL, factor

Kind = Literal["energy", "forces", "stress", "virial"]
"""What a raw label is; a virial is turned into a stress."""

_LARGEST: Mapping[Kind, float] = MappingProxyType({"energy": 1e7, "forces": 1e6, "stress": 1e3, "virial": 1e3})
"""eV per atom, eV/A, eV/A^3: beyond anything that electrons and nuclei do, so a wrong unit or a broken file."""
_VOIGT = ((0, 5, 4), (5, 1, 3), (4, 3, 2))


def convert(raw: Any, kind: Kind, unit: str, atoms: Atoms, name: str) -> NDArray[np.float64]:
    """A raw label as a checked float64 array in eV and Angstrom; a virial becomes a stress by -1/V.

    Args:
        raw: what the file or calculator holds.
        kind: what it is.
        unit: what it is measured in.
        atoms: the structure that it belongs to.
        name: how messages call it, for instance "water.xyz, frame 3: REF_forces".

    Returns:
        () eV, (N, 3) eV/A or (3, 3) eV/A^3; NaN stands for no label.

    Raises:
        DataError: not a number, of the wrong shape, not symmetric, infinite or absurdly large.

    Example:
        >>> cell = Atoms("H", cell=[2, 2, 2], pbc=True)
        >>> convert([8, 8, 8, 0, 0, 0], "virial", "eV", cell, "virial").diagonal().round(6).tolist()
        [-1.0, -1.0, -1.0]
    """
    try:
        number = np.array("true" if isinstance(raw, bool) else raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} is {str(raw)[:60]!r}, not a number; repair the file or name another key") from None
    value = _shaped(number, kind, len(atoms), name) * factor(unit, kind)
    if kind == "virial":
        value = -value / volume(atoms)
    if kind in ("stress", "virial"):
        value = _symmetric(value, name)
    _refuse_absurd(value, kind, len(atoms), name, unit)
    return value


def check_agreement(stress: NDArray[np.float64], virial: NDArray[np.float64], where: str) -> None:
    """Refuse a stress and a virial of one structure that do not say the same.

    Args:
        stress: (3, 3), eV/A^3.
        virial: (3, 3), the stress that the virial stands for, -virial / V, eV/A^3.
        where: how the message names the structure.

    Raises:
        DataError: they differ by more than 1 % of the larger component.
    """
    gap = _largest(stress - virial)
    if gap > 1e-5 + 1e-2 * _largest(stress):
        raise DataError(
            f"{where}: stress and -virial/V differ by {gap:.3g} eV/A^3 ({stress.tolist()} and {virial.tolist()}). "
            "Signs are ASE's: stress = +(1/V) dE/dstrain, virial = -V stress. "
            "Choose one with keys={'stress': ...} or keys={'virial': ...}, and declare its unit"
        )


def _shaped(value: NDArray[np.float64], kind: Kind, n_atoms: int, name: str) -> NDArray[np.float64]:
    """The value in its own shape: (), (N, 3) or (3, 3)."""
    if kind == "energy":
        if value.size != 1:
            raise DataError(f"{name} has shape {value.shape}; an energy is one number for the whole structure")
        return value.reshape(())
    if kind == "forces":
        if value.shape != (n_atoms, 3):
            raise DataError(f"{name} has shape {value.shape}; forces of this structure have shape ({n_atoms}, 3)")
        return value
    if value.shape == (6,):
        return value[np.array(_VOIGT)]
    if value.shape not in ((9,), (3, 3)):
        raise DataError(f"{name} has shape {value.shape}; allowed are (6,) as xx yy zz yz xz xy, (9,) and (3, 3)")
    return value.reshape(3, 3)


def _symmetric(stress: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if _largest(stress - stress.T) > 1e-5 + 1e-2 * _largest(stress):
        raise DataError(f"{name} is not symmetric: {stress.tolist()} eV/A^3; a stress must be")
    return 0.5 * (stress + stress.T)


def _refuse_absurd(value: NDArray[np.float64], kind: Kind, n_atoms: int, name: str, unit: str) -> None:
    if np.isinf(value).any():
        raise DataError(f"{name} is infinite; write NaN for a missing label, or remove the structure")
    size = _largest(value) / (n_atoms if kind == "energy" else 1)
    if size > _LARGEST[kind]:
        per = {"energy": "eV per atom", "virial": "eV/A^3"}.get(kind, INTERNAL[kind])
        raise DataError(
            f"{name} reaches {size:.3g} {per} when read in {unit}, which no matter does; "
            f"is its unit right? Declare it with units={{'{kind}': ...}}"
        )


def _largest(value: NDArray[np.float64]) -> float:
    """Largest magnitude that is not NaN; 0 where there is none."""
    return float(np.fmax.reduce(np.abs(value), axis=None, initial=0.0))
