"""Neighbour lists: the one wrapper around vesin, from ASE structures to a flat Graph."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from invarion.exceptions import DataError
from invarion.graphs import Graph, concatenate

if TYPE_CHECKING:
    from ase import Atoms

COINCIDENT = 1e-3
"""Angstrom; two atoms closer than this are taken for a mistake in the file, not for physics."""


def graph(
    atoms: "Atoms | Sequence[Atoms]",
    cutoff: float,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Graph:
    """One flat batch of all structures, with every pair closer than the cutoff, periodic images included.

    Positions may lie outside the cell, the cell may be skewed, left-handed or smaller than the cutoff, and each
    direction may be periodic or not. An atom can be its own neighbour through a periodic image.

    Args:
        atoms: one structure or several (positions in Angstrom).
        cutoff: largest distance in Angstrom, > 0.
        dtype: floating type of the vectors; they are computed in float64 and rounded once.
        device: where the tensors go.

    Returns:
        Graph with E directed edges (both i -> j and j -> i), sorted by center.

    Raises:
        DataError: positions that are not finite, a periodic direction without volume, or two atoms on one spot; the
            message names the structure.

    >>> from ase import Atoms
    >>> g = graph(Atoms("H2", [(0, 0, 0), (0, 0, 0.74)]), cutoff=2.0)
    >>> g.centers.tolist(), g.neighbors.tolist(), g.vectors[0].tolist()
    ([0, 1], [1, 0], [0.0, 0.0, 0.74])
    """
    structures = atoms if isinstance(atoms, Sequence) else [atoms]
    if not structures:
        raise DataError("graph() got an empty list of structures; give at least one")
    if not cutoff > 0:
        raise DataError(f"cutoff is {cutoff}; it must be a positive distance in Angstrom")
    single = [_single(structure, cutoff, where) for where, structure in enumerate(structures)]
    return concatenate(single).to(dtype).to(device)


def displacements(positions: Tensor, cell: Tensor, shifts: Tensor, centers: Tensor, neighbors: Tensor) -> Tensor:
    """Edge vectors r_neighbor - r_center + shift . cell, differentiable in positions and cell.

    Args:
        positions: (N, 3) in Angstrom.
        cell: (3, 3), rows are the lattice vectors, in Angstrom.
        shifts: (E, 3), whole lattice vectors to add to the neighbour.
        centers: (E,) int64.
        neighbors: (E,) int64.

    Returns:
        (E, 3) vectors in Angstrom.
    """
    return positions[neighbors] - positions[centers] + shifts.to(cell.dtype) @ cell


def pairs(atoms: "Atoms", cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """Centers (E,), neighbors (E,) and cell shifts (E, 3) of all directed pairs within the cutoff, sorted by center.

    Args:
        atoms: one structure that has passed `check_geometry`.
        cutoff: largest distance in Angstrom.
    """
    from vesin import NeighborList

    if len(atoms) == 0:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)
    finder = NeighborList(cutoff=float(cutoff), full_list=True, sorted=True, n_threads=torch.get_num_threads())
    i, j, shifts = finder.compute(
        points=np.ascontiguousarray(atoms.positions, dtype=np.float64),
        box=_box(atoms),
        periodic=np.asarray(atoms.pbc, dtype=bool),
        quantities="ijS",
    )
    return _int64(i), _int64(j), torch.from_numpy(np.asarray(shifts, dtype=np.float64))


def check_geometry(atoms: "Atoms", where: str) -> None:
    """Refuse positions or cells that no neighbour list can be made of.

    Args:
        atoms: the structure.
        where: how the message names it, for instance "water.xyz, frame 3".

    Raises:
        DataError: positions or cell not finite, or periodic directions that span no volume.
    """
    if not np.isfinite(atoms.positions).all():
        first = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise DataError(f"{where}: the position of atom {first} is not finite; remove or repair this structure")
    if not np.isfinite(atoms.cell.array).all():
        raise DataError(f"{where}: the cell is not finite; remove or repair this structure")
    if not atoms.pbc.any():
        return
    periodic = atoms.cell.array[atoms.pbc]
    spanned = np.sqrt(max(np.linalg.det(periodic @ periodic.T), 0.0))
    if spanned <= 1e-6 * np.prod(np.linalg.norm(periodic, axis=1), initial=1.0) or spanned == 0.0:
        raise DataError(
            f"{where}: the cell {atoms.cell.array.tolist()} has no volume in its periodic directions "
            f"(pbc {atoms.pbc.tolist()}); give a cell, or set pbc to false"
        )


def volume(atoms: "Atoms") -> float:
    """Cell volume in Angstrom^3, NaN unless the structure is periodic in three directions."""
    return abs(float(np.linalg.det(atoms.cell.array))) if atoms.pbc.all() else float("nan")


def _single(atoms: "Atoms", cutoff: float, where: int) -> Graph:
    """The graph of one structure in float64; `where` is its place in the list, for messages."""
    name = f"structure {where}"
    check_geometry(atoms, name)
    centers, neighbors, shifts = pairs(atoms, cutoff)
    positions = torch.from_numpy(np.ascontiguousarray(atoms.positions, dtype=np.float64))
    vectors = displacements(positions, torch.from_numpy(_box(atoms)), shifts, centers, neighbors)
    _refuse_coincident(vectors, centers, neighbors, name)
    return Graph(
        species=torch.from_numpy(np.asarray(atoms.numbers, dtype=np.int64)),
        vectors=vectors,
        centers=centers,
        neighbors=neighbors,
        system=torch.zeros(len(atoms), dtype=torch.int64),
        volume=torch.tensor([volume(atoms)], dtype=torch.float64),
    )


def _refuse_coincident(vectors: Tensor, centers: Tensor, neighbors: Tensor, name: str) -> None:
    near = torch.linalg.vector_norm(vectors, dim=1) < COINCIDENT
    if bool(near.any()):
        e = int(near.nonzero()[0])
        raise DataError(
            f"{name}: atoms {int(centers[e])} and {int(neighbors[e])} are on one spot "
            f"(closer than {COINCIDENT} A); remove one of them or repair the file"
        )


def _box(atoms: "Atoms") -> np.ndarray:
    """The cell with zero rows in directions that are not periodic, as vesin and the shifts need it."""
    box = np.zeros((3, 3))
    box[atoms.pbc] = atoms.cell.array[atoms.pbc]
    return box


def _int64(index: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(index).astype(np.int64))
