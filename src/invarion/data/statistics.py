"""Numbers that a potential takes from its training data: reference energies, scale, closest distances."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from invarion.data.labels import structure_labels
from invarion.exceptions import DataError
from invarion.graphs import Graph
from invarion.neighbors import graph as build_graph
from invarion.neighbors import place

Method = str | Mapping[str, float] | Mapping[int, float]
"""How reference energies are found: "least_squares", "isolated", "zero", or element -> eV."""

_TOGETHER = 64  # structures whose neighbours are searched at once


class ReferenceEnergies(NamedTuple):
    """Energy of each element that is subtracted before learning and added back after.

    Attributes:
        species: atomic numbers of all structures, ascending.
        energies: eV per atom of each species.
        method: `least_squares`, `isolated`, `zero` or `given`.
        rank: number of independent compositions that the fit rests on; the number of species where nothing was fitted.
    """

    species: tuple[int, ...]
    energies: tuple[float, ...]
    method: str
    rank: int

    @property
    def deficiency(self) -> int:
        """Number of combinations of reference energies that the compositions leave open; the least norm was chosen."""
        return len(self.species) - self.rank

    def of(self, numbers: NDArray[np.integer]) -> float:
        """Sum over the atoms of a structure in eV.

        Args:
            numbers: (N,) atomic numbers, all among `species`.
        """
        return float(np.asarray(self.energies)[np.searchsorted(self.species, numbers)].sum())


class Explained(NamedTuple):
    """What is known of labels before a network learns, in the order of the structures.

    Attributes:
        energy: (S,) eV.
        forces: (N, 3) eV/Angstrom.
    """

    energy: NDArray[np.float64]
    forces: NDArray[np.float64]


def reference_energies(atoms: Sequence[Atoms], method: Method = "least_squares") -> ReferenceEnergies:
    r"""Energies per element, :math:`E \approx \sum_Z n_Z E^0_Z` with :math:`n_Z` the number of atoms of element Z.

    Least squares over compositions takes the solution of least norm where the compositions leave combinations open (all
    frames of one molecule, say), and says so in the log: energies of other compositions then mean nothing. A one-atom
    periodic cell is a crystal and not an isolated atom.

    Args:
        atoms: labelled structures.
        method: "least_squares", "isolated" (frames of one atom without periodicity; the lowest energy counts), "zero",
            or a dict from symbol or atomic number to eV.

    Returns:
        ReferenceEnergies.

    Raises:
        DataError: no structure, no energy to fit, an element without an isolated atom or without an entry.

    Example:
        >>> water = [Atoms("H2", info={"REF_energy": -30.0}), Atoms("H2O", info={"REF_energy": -470.0})]
        >>> [round(e, 6) for e in reference_energies(water).energies]
        [-15.0, -440.0]
    """
    if isinstance(atoms, Atoms) or not all(isinstance(structure, Atoms) for structure in atoms):
        raise DataError("the structures must be a list of ase.Atoms; put a single one into a list")
    if not atoms:
        raise DataError("there are no structures to take reference energies from")
    species = tuple(sorted({int(z) for structure in atoms for z in structure.numbers}))
    if isinstance(method, Mapping):
        return ReferenceEnergies(species, _given(method, species), "given", len(species))
    if method == "zero":
        return ReferenceEnergies(species, (0.0,) * len(species), "zero", len(species))
    if method in ("isolated", "isolated_atoms"):
        return ReferenceEnergies(species, _isolated(atoms, species), "isolated", len(species))
    if method == "least_squares":
        return _least_squares(atoms, species)
    raise DataError(f"references: {method!r}; allowed are 'least_squares', 'isolated', 'zero' or a dict element -> eV")


def less_explained(
    references: ReferenceEnergies, atoms: Sequence[Atoms], energy: NDArray[np.float64]
) -> ReferenceEnergies:
    """The reference energies where a part of every energy is accounted for; those that were not fitted stay.

    Args:
        references: fitted to whole energies.
        atoms: the labelled structures.
        energy: (S,) eV, the part.
    """
    if references.method != "least_squares":
        return references
    known = np.isfinite([structure_labels(each, where=place(each, i)).energy for i, each in enumerate(atoms)])
    shifts = np.linalg.lstsq(_compositions(atoms, references.species)[known], energy[known], rcond=None)[0]
    return references._replace(energies=tuple((np.asarray(references.energies) - shifts).tolist()))


def energy_scale(atoms: Sequence[Atoms], references: ReferenceEnergies, explained: Explained | None = None) -> float:
    """eV per unit of network output: the size of the forces times 1 Angstrom, else the spread of energies per atom.

    Force components beyond the largest 1 % are clipped, so that one broken structure does not set the scale.

    Args:
        atoms: labelled structures.
        references: their reference energies.
        explained: what of their labels is known beside these.

    Returns:
        A number > 0; 1 where there is nothing to go by.
    """
    labels = [structure_labels(structure, where=place(structure, i)) for i, structure in enumerate(atoms)]
    zeros = Explained(np.zeros(len(atoms)), np.zeros((sum(map(len, atoms)), 3)))
    known = zeros if explained is None else explained
    known_forces = np.split(known.forces, np.cumsum([len(structure) for structure in atoms])[:-1])
    forces = [(own.forces - f).ravel() for own, f in zip(labels, known_forces, strict=True) if own.forces is not None]
    if forces:
        size = _clipped_rms(np.concatenate(forces))
    else:
        residual = [
            (each.energy - share - references.of(structure.numbers)) / len(structure)
            for structure, each, share in zip(atoms, labels, known.energy, strict=True)
        ]
        finite = np.array(residual)[np.isfinite(residual)]
        size = _clipped_rms(finite - finite.mean()) if len(finite) else 0.0
    return size if size > 1e-8 else 1.0


def closest_distances(graph: Graph) -> dict[tuple[int, int], float]:
    """Shortest distance of every pair of elements.

    Args:
        graph: structures with edges up to some cutoff.

    Returns:
        (Z, Z') with Z <= Z' -> Angstrom, for pairs that are neighbours at all.

    Example:
        >>> from invarion.neighbors import graph
        >>> closest_distances(graph(Atoms("HF", [(0, 0, 0), (0, 0, 0.5)]), cutoff=2))
        {(1, 9): 0.5}
    """
    ends = torch.stack([graph.species[graph.centers], graph.species[graph.neighbors]])
    pairs, which = torch.unique(ends.sort(dim=0).values, dim=1, return_inverse=True)
    lengths = torch.linalg.vector_norm(graph.vectors.double(), dim=1)
    least = torch.full((pairs.shape[1],), float("inf"), dtype=torch.float64, device=lengths.device)
    least = least.scatter_reduce(0, which, lengths, "amin")
    return {(int(a), int(b)): float(d) for (a, b), d in zip(pairs.T.tolist(), least.tolist(), strict=True)}


def is_isolated(atoms: Atoms) -> bool:
    """Whether a structure is a single atom that has no periodic images.

    Args:
        atoms: the structure.
    """
    return len(atoms) == 1 and not atoms.pbc.any()


def smallest_distances(atoms: Sequence[Atoms], cutoff: float) -> dict[str, float]:
    """Smallest distance in Angstrom of every pair of elements that comes closer than the cutoff.

    Args:
        atoms: structures.
        cutoff: Angstrom.

    Returns:
        Mapping such as {"C-H": 1.02}, lighter element first.

    Example:
        >>> smallest_distances([Atoms("OH", [(0, 0, 0), (0, 0, 0.97)])], cutoff=3.0)
        {'H-O': 0.97}
    """
    found: dict[str, float] = {}
    for start in range(0, len(atoms), _TOGETHER):
        for (z1, z2), distance in closest_distances(build_graph(atoms[start : start + _TOGETHER], cutoff)).items():
            name = pair_name(z1, z2)
            found[name] = min(distance, found.get(name, distance))
    return dict(sorted(found.items()))


def pair_name(z1: int, z2: int) -> str:
    """How tables and files call a pair of elements: the lighter one first.

    >>> pair_name(6, 1)
    'H-C'
    """
    low, high = sorted((z1, z2))
    return f"{chemical_symbols[low]}-{chemical_symbols[high]}"


def _least_squares(atoms: Sequence[Atoms], species: tuple[int, ...]) -> ReferenceEnergies:
    energies = np.array([structure_labels(each, where=place(each, i)).energy for i, each in enumerate(atoms)])
    known = np.isfinite(energies)
    if not known.any():
        raise DataError(
            f"none of the {len(atoms)} structures ({place(atoms[0], 0)}, ...) carries an energy, so reference energies "
            "cannot be fitted; name the key of the energies with keys=, or give references='zero' or a dict"
        )
    solution, _, rank, _ = np.linalg.lstsq(_compositions(atoms, species)[known], energies[known], rcond=None)
    found = ReferenceEnergies(species, tuple(solution.tolist()), "least_squares", int(rank))
    if found.deficiency:
        logging.getLogger(__name__).warning(
            "reference energies: compositions of rank %d for %d elements (%s); the least-norm solution is taken. "
            "Energies of other compositions will mean nothing: add isolated atoms, or give references as a dict",
            rank, len(species), ", ".join(chemical_symbols[z] for z in species),
        )  # fmt: skip
    return found


def _compositions(atoms: Sequence[Atoms], species: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array([[np.count_nonzero(each.numbers == z) for z in species] for each in atoms], dtype=np.float64)


def _isolated(atoms: Sequence[Atoms], species: tuple[int, ...]) -> tuple[float, ...]:
    lowest: dict[int, float] = {}
    for i, structure in enumerate(atoms):
        if is_isolated(structure):
            energy = structure_labels(structure, where=place(structure, i)).energy
            z = int(structure.numbers[0])
            lowest[z] = float(np.fmin(energy, lowest.get(z, np.nan)))
    lacking = [chemical_symbols[z] for z in species if not np.isfinite(lowest.get(z, np.nan))]
    if lacking:
        crystals = sum(len(structure) == 1 and bool(structure.pbc.any()) for structure in atoms)
        hint = f" ({crystals} one-atom frames are periodic, so crystals; set pbc to false if not)" if crystals else ""
        raise DataError(
            f"no isolated atom with an energy for {', '.join(lacking)}{hint}; add one-atom frames without periodicity, "
            "or use references='least_squares' or a dict"
        )
    return tuple(lowest[z] for z in species)


def _given(energies: Mapping[str, float] | Mapping[int, float], species: tuple[int, ...]) -> tuple[float, ...]:
    by_number = {_number(element): float(energy) for element, energy in energies.items()}
    lacking = [chemical_symbols[z] for z in species if not np.isfinite(by_number.get(z, np.nan))]
    if lacking:
        raise DataError(f"references: no energy given for {', '.join(lacking)}; add it, in eV per atom")
    return tuple(by_number[z] for z in species)


def _number(element: str | int) -> int:
    """Atomic number of a symbol or number (YAML keys may be either, and numbers may come as text)."""
    number = atomic_numbers.get(element) if isinstance(element, str) and not element.isdigit() else int(element)
    if number is None or not 1 <= number <= 118:
        raise DataError(f"references: {element!r} is no element; give symbols or atomic numbers from 1 to 118")
    return number


def _clipped_rms(values: NDArray[np.float64]) -> float:
    """Root mean square with magnitudes above the 99th percentile set to it."""
    size = np.abs(values[np.isfinite(values)])
    return float(np.sqrt(np.mean(np.minimum(size, np.quantile(size, 0.99)) ** 2))) if len(size) else 0.0
