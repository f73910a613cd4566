"""Neighbour lists: the one wrapper around vesin, from ASE structures to a flat Graph."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invarion.exceptions import DataError
from invarion.graphs import Graph, concatenate

if TYPE_CHECKING:
    from ase import Atoms

COINCIDENT = 1e-3
"""Angstrom; two atoms closer than this are taken for a mistake in the file, not for physics."""

ORIGIN = "origin"
"""Key of `atoms.info` under which reading notes file and frame of a structure."""


def place(atoms: "Atoms", index: int) -> str:
    """How a message names a structure: file and frame where reading noted them, else its place in the list.

    Args:
        atoms: the structure.
        index: its place in the list it came in.
    """
    return str(atoms.info.get(ORIGIN, f"structure {index}"))


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


class PairList(NamedTuple):
    """The pairs of one structure up to cutoff + skin, good until an atom has moved by half the skin (Verlet's list).

    Attributes:
        cutoff: Angstrom.
        skin: Angstrom; 0 makes a list for one structure only.
        positions: (N, 3) at which the list was made, Angstrom.
        cell: (3, 3) Angstrom.
        pbc: (3,) bool.
        numbers: (N,) atomic numbers.
        centers: (E,) int64.
        neighbors: (E,) int64.
        offsets: (E, 3) float64, lattice vectors to add to the neighbour, Angstrom.
    """

    cutoff: float
    skin: float
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    numbers: np.ndarray
    centers: Tensor
    neighbors: Tensor
    offsets: Tensor

    def covers(self, atoms: "Atoms") -> bool:
        """Whether every pair of this structure within the cutoff is in the list."""
        same = (
            len(atoms) == len(self.numbers)
            and np.array_equal(atoms.numbers, self.numbers)
            and np.array_equal(atoms.pbc, self.pbc)
            and np.array_equal(atoms.cell.array, self.cell)
        )
        if not same:
            return False
        moved = ((atoms.positions - self.positions) ** 2).sum(1).max(initial=0.0)
        return bool(moved <= (0.5 * self.skin) ** 2)

    def graph(self, atoms: "Atoms", dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Graph:
        """The graph of a structure that the list covers: the same, bit for bit, as `graph(atoms, cutoff)`.

        Args:
            atoms: the structure.
            dtype: floating type of the vectors; they are computed in float64 and rounded once.
            device: where the tensors go.

        Raises:
            DataError: two atoms on one spot.
        """
        positions = torch.from_numpy(np.ascontiguousarray(atoms.positions, dtype=np.float64))
        vectors = positions.index_select(0, self.neighbors) - positions.index_select(0, self.centers) + self.offsets
        kept = ((vectors * vectors).sum(1) < self.cutoff**2).nonzero().squeeze(1)
        centers, neighbors, vectors = (t.index_select(0, kept) for t in (self.centers, self.neighbors, vectors))
        _refuse_coincident(vectors, centers, neighbors, place(atoms, 0))
        return _assemble(atoms, vectors, centers, neighbors).to(dtype).to(device)


def pair_list(atoms: "Atoms", cutoff: float, skin: float = 1.0) -> PairList:
    """A neighbour list to use again while the atoms move little, as in molecular dynamics.

    Args:
        atoms: one structure.
        cutoff: Angstrom, > 0.
        skin: Angstrom, >= 0; the list holds pairs up to cutoff + skin and is good for moves up to skin / 2.

    Raises:
        DataError: positions or cell that no list can be made of.

    >>> from ase import Atoms
    >>> atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)])
    >>> found = pair_list(atoms, cutoff=2.0)
    >>> atoms.positions[1, 2] = 0.9
    >>> found.covers(atoms), found.graph(atoms).vectors[0].tolist()
    (True, [0.0, 0.0, 0.9])
    """
    check_geometry(atoms, place(atoms, 0))
    centers, neighbors, shifts = pairs(atoms, cutoff + skin)
    offsets = _lattice_sum(shifts, torch.from_numpy(_box(atoms)))
    copies = (atoms.positions.copy(), atoms.cell.array.copy(), atoms.pbc.copy(), atoms.numbers.copy())
    return PairList(cutoff, skin, *copies, centers, neighbors, offsets)


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
    vectors = positions.index_select(0, neighbors) - positions.index_select(0, centers)
    return vectors + _lattice_sum(shifts.to(cell.dtype), cell)


def pairs(atoms: "Atoms", cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """Centers (E,), neighbors (E,) and cell shifts (E, 3) of all directed pairs within the cutoff.

    Sorted by center, then neighbor, then shift: the order depends on the pairs alone, so that sums over them come out
    the same bit for bit whichever way the list was found.

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
    return _in_order(_int64(i), _int64(j), _int64(shifts))


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
    name = place(atoms, where)
    check_geometry(atoms, name)
    centers, neighbors, shifts = pairs(atoms, cutoff)
    positions = torch.from_numpy(np.ascontiguousarray(atoms.positions, dtype=np.float64))
    vectors = displacements(positions, torch.from_numpy(_box(atoms)), shifts, centers, neighbors)
    _refuse_coincident(vectors, centers, neighbors, name)
    return _assemble(atoms, vectors, centers, neighbors)


def _assemble(atoms: "Atoms", vectors: Tensor, centers: Tensor, neighbors: Tensor) -> Graph:
    """A batch of one structure from its edges."""
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


def _in_order(centers: Tensor, neighbors: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs sorted by center, neighbor and shift, by one integer key per pair."""
    if len(centers) == 0:
        return centers, neighbors, shifts.double()
    n, width = int(neighbors.max()) + 1, 2 * int(shifts.abs().max()) + 1
    if n * n * width**3 < 2**63:
        key = centers * n + neighbors
        for direction in shifts.unbind(1):
            key = key * width + direction + width // 2
        order = key.argsort()
    else:  # atoms that have travelled through very many cells: the key does not fit into 64 bits
        order = torch.from_numpy(np.lexsort((*shifts.numpy().T[::-1], neighbors.numpy(), centers.numpy())))
    return centers[order], neighbors[order], shifts[order].double()


def _lattice_sum(shifts: Tensor, cell: Tensor) -> Tensor:
    """shifts . cell term by term: a matrix product rounds a row differently with the number of rows around it."""
    return shifts[:, 0:1] * cell[0] + shifts[:, 1:2] * cell[1] + shifts[:, 2:3] * cell[2]


def _box(atoms: "Atoms") -> np.ndarray:
    """The cell with zero rows in directions that are not periodic, as vesin and the shifts need it."""
    box = np.zeros((3, 3))
    box[atoms.pbc] = atoms.cell.array[atoms.pbc]
    return box


def _int64(index: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(index).astype(np.int64))
