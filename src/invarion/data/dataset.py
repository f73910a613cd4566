"""Samples: structures as graphs with their labels as tensors, and batches of them."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from invarion.data.checks import check_structure
from invarion.data.labels import StructureLabels, structure_labels
from invarion.exceptions import DataError
from invarion.graphs import Graph, concatenate
from invarion.neighbors import graph, place


class Labels(NamedTuple):
    """Labels of a batch of S structures with N atoms; NaN stands for "no label here".

    Attributes:
        energy: (S,) float64, eV.
        forces: (N, 3), eV/A.
        stress: (S, 3, 3), eV/A^3, +(1/V) dE/dstrain.
        weight: (S,), of the structure as a whole.
        energy_weight: (S,), of its energy.
        forces_weight: (S,), of its forces.
        stress_weight: (S,), of its stress.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
    weight: Tensor
    energy_weight: Tensor
    forces_weight: Tensor
    stress_weight: Tensor

    def less(self, energy: Tensor, forces: Tensor, stress: Tensor) -> "Labels":
        """These labels without a known part of them, in the same shapes and units; what is missing stays missing."""
        return self._replace(
            energy=self.energy - energy,
            forces=self.forces - forces.to(self.forces.dtype),
            stress=self.stress - stress.to(self.stress.dtype),
        )


class Sample(NamedTuple):
    """One structure (or batch): its graph and its labels."""

    graph: Graph
    labels: Labels


def samples(atoms: Sequence[Atoms], cutoff: float, dtype: torch.dtype = torch.float64) -> list[Sample]:
    """Structures with their neighbour lists and labels, each a batch of one; computed once, used in every epoch.

    All samples are views of one block of memory.

    Args:
        atoms: structures with labels where `labels.Search` finds them, from `read` or `ase.io.read`.
        cutoff: largest distance of neighbours in Angstrom, > 0.
        dtype: floating type of vectors, forces, stress and weights; energies are float64.

    Returns:
        One Sample per structure.

    Raises:
        DataError: a structure or label that cannot be used; names file and frame.

    Example:
        >>> frames = [Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], info={"REF_energy": -31.7})]
        >>> samples(frames, cutoff=2.0)[0].labels.energy
        tensor([-31.7000], dtype=torch.float64)
    """
    if not atoms:
        raise DataError("there are no structures to make samples of")
    for i, structure in enumerate(atoms):
        check_structure(structure, place(structure, i))
    graphs = _separate(graph(list(atoms), cutoff, dtype))
    labels = _separate_labels(atoms, dtype)
    return [Sample(*pair) for pair in zip(graphs, labels, strict=True)]


def collate(parts: Sequence[Sample]) -> Sample:
    """One batch of several, in their order.

    Args:
        parts: at least one, all of one dtype and device.

    Returns:
        Sample, that is a pair (Graph, Labels).

    Raises:
        DataError: nothing to collate.
    """
    if not parts:
        raise DataError("there is nothing to make a batch of")
    fields = zip(*(part.labels for part in parts), strict=True)
    return Sample(concatenate([part.graph for part in parts]), Labels(*(torch.cat(field) for field in fields)))


def chunks(parts: Sequence[Sample], edges: int) -> Iterator[Sample]:
    """Batches of consecutive samples with about so many edges each.

    Args:
        parts: all of one dtype and device.
        edges: after which a batch is closed.
    """
    ends = np.cumsum([len(part.graph.centers) for part in parts])
    for _, group in groupby(zip(ends // max(1, edges), parts, strict=True), key=itemgetter(0)):
        yield collate([part for _, part in group])


def _separate(whole: Graph) -> list[Graph]:
    """The structures of a batch as batches of one, each with its atoms counted from 0."""
    n_atoms = torch.bincount(whole.system, minlength=whole.n_systems)
    owner = whole.system[whole.centers]
    n_edges = torch.bincount(owner, minlength=whole.n_systems)
    first = (n_atoms.cumsum(0) - n_atoms)[owner]
    atoms, edges = n_atoms.tolist(), n_edges.tolist()
    parts = zip(
        whole.species.split(atoms),
        whole.vectors.split(edges),
        (whole.centers - first).split(edges),
        (whole.neighbors - first).split(edges),
        torch.zeros_like(whole.system).split(atoms),
        whole.volume.split(1),
        strict=True,
    )
    return [Graph(*part) for part in parts]


def _separate_labels(atoms: Sequence[Atoms], dtype: torch.dtype) -> list[Labels]:
    """Labels of every structure, as views of one block per field."""
    found = [structure_labels(structure, where=place(structure, i)) for i, structure in enumerate(atoms)]
    weights = torch.tensor([each.weights for each in found], dtype=dtype)
    parts = zip(
        torch.tensor([each.energy for each in found], dtype=torch.float64).split(1),
        torch.from_numpy(_forces(atoms, found)).to(dtype).split([len(structure) for structure in atoms]),
        torch.from_numpy(_stress(found)).to(dtype).split(1),
        *(column.split(1) for column in weights.T.contiguous()),
        strict=True,
    )
    return [Labels(*part) for part in parts]


def _forces(atoms: Sequence[Atoms], found: Sequence[StructureLabels]) -> np.ndarray:
    pairs = zip(atoms, found, strict=True)
    return np.concatenate([np.full((len(a), 3), np.nan) if each.forces is None else each.forces for a, each in pairs])


def _stress(found: Sequence[StructureLabels]) -> np.ndarray:
    return np.stack([np.full((3, 3), np.nan) if each.stress is None else each.stress for each in found])
