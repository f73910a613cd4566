"""Checks of a structure before anything is made of it."""

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from invarion.exceptions import DataError
from invarion.neighbors import COINCIDENT, check_geometry


def check_structure(atoms: Atoms, where: str) -> None:
    """Refuse what no energy can be computed of.

    A left-handed cell is sound (its volume is the absolute value of the determinant), and so is a dummy or zero cell
    along directions that are not periodic; periodic directions that span no volume are not.

    Args:
        atoms: positions and cell in Angstrom.
        where: how the message names the structure.

    Raises:
        DataError: no atoms, an atom without an element, positions or cell not finite, periodic directions without
            volume, or two atoms on one spot.
    """
    if len(atoms) == 0:
        raise DataError(f"{where}: the structure has no atoms; remove it")
    numbers = np.asarray(atoms.numbers)
    if (numbers < 1).any() or (numbers > 118).any():
        atom = int(np.flatnonzero((numbers < 1) | (numbers > 118))[0])
        raise DataError(f"{where}: atom {atom} has atomic number {numbers[atom]}; allowed are 1 to 118")
    check_geometry(atoms, where)
    pair = coincident(atoms)
    if pair is not None:
        raise DataError(
            f"{where}: atoms {pair[0]} and {pair[1]} are on one spot (closer than {COINCIDENT} A); "
            "remove one of them or repair the file"
        )


def coincident(atoms: Atoms, distance: float = COINCIDENT) -> tuple[int, int] | None:
    """Two atoms closer than `distance`, periodic images included, or None.

    Faster than a neighbour list, whose cells become tiny with the cutoff: a tree over fractional coordinates gives the
    candidates, the Cartesian distance decides.

    Args:
        atoms: structure with a sound cell.
        distance: in Angstrom, far below half of every periodic lattice vector.

    Returns:
        The indices of the first pair (a < b).

    Example:
        >>> coincident(Atoms("H3", [(0, 0, 0), (1, 0, 0), (5, 0, 0)], cell=[5, 5, 5], pbc=True))
        (0, 2)
    """
    from scipy.spatial import KDTree  # a third of a second, which a first prediction need not wait for

    pbc = np.asarray(atoms.pbc, dtype=bool)
    box = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0))
    inverse = np.linalg.inv(box)
    fractional = atoms.positions @ inverse
    fractional[:, pbc] %= 1.0
    fractional[:, pbc] %= 1.0  # twice: -1e-17 % 1 rounds up to 1, which the tree refuses
    reach = distance * float(np.linalg.norm(inverse, axis=0).max())
    candidates = KDTree(fractional, boxsize=pbc.astype(float)).query_pairs(reach, p=np.inf, output_type="ndarray")
    between = fractional[candidates[:, 0]] - fractional[candidates[:, 1]]
    between -= np.round(between) * pbc
    near = candidates[np.linalg.norm(between @ box, axis=1) < distance]
    return (int(near[0, 0]), int(near[0, 1])) if len(near) else None
