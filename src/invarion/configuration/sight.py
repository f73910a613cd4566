"""What a config has to know of data: sizes, elements, periodicity, distances, labels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from invarion.data.label_table import LabelTable
from invarion.data.statistics import closest_distances, is_isolated
from invarion.graphs import Graph
from invarion.neighbors import graph

_CUTOFFS = (5.5, 5.0, 4.5, 4.0)
_NEIGHBOURS = 60
_LOOKED_AT = 64


class Sight(NamedTuple):
    """What was seen in the data.

    Attributes:
        n_structures: their number.
        sizes: smallest and largest number of atoms.
        species: atomic numbers, ascending.
        periodic: number of structures that are periodic in three directions, in one or two, in none.
        n_compositions: number of linearly independent compositions.
        cutoff: the one proposed, in Angstrom.
        neighbours: per atom within it, on the average.
        closest: shortest distance of every pair of elements, in Angstrom.
        isolated: elements of which there is an isolated atom.
        table: the label table.
    """

    n_structures: int
    sizes: tuple[int, int]
    species: tuple[int, ...]
    periodic: tuple[int, int, int]
    n_compositions: int
    cutoff: float
    neighbours: float
    closest: Mapping[tuple[int, int], float]
    isolated: tuple[int, ...]
    table: LabelTable


def look_at(atoms: Sequence[Atoms], table: LabelTable) -> Sight:
    """What a draft needs to know of structures; neighbours are counted in some of them only.

    Args:
        atoms: structures.
        table: their label table.
    """
    sizes = [len(structure) for structure in atoms]
    n_periodic = [int(np.count_nonzero(structure.pbc)) for structure in atoms]
    species = tuple(sorted({int(z) for structure in atoms for z in structure.numbers}))
    compositions = {tuple(np.count_nonzero(structure.numbers == z) for z in species) for structure in atoms}
    wide = graph(list(atoms[:: max(1, len(atoms) // _LOOKED_AT)]), _CUTOFFS[0])
    cutoff, neighbours = _choose_cutoff(wide)
    return Sight(
        n_structures=len(atoms),
        sizes=(min(sizes), max(sizes)),
        species=species,
        periodic=(n_periodic.count(3), n_periodic.count(1) + n_periodic.count(2), n_periodic.count(0)),
        n_compositions=int(np.linalg.matrix_rank(np.array(list(compositions)))),
        cutoff=cutoff,
        neighbours=neighbours,
        closest=closest_distances(wide),
        isolated=tuple(sorted({int(structure.numbers[0]) for structure in atoms if is_isolated(structure)})),
        table=table,
    )


def _choose_cutoff(wide: Graph) -> tuple[float, float]:
    """The largest cutoff with at most so many neighbours per atom, and their number."""
    lengths = np.linalg.norm(wide.vectors.numpy(), axis=1)
    counted = [(cutoff, np.count_nonzero(lengths <= cutoff) / wide.n_atoms) for cutoff in _CUTOFFS]
    return next((each for each in counted if each[1] <= _NEIGHBOURS), counted[-1])
