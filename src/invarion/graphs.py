"""Graph: a flat batch of atomic structures as atoms and edges, with no padding and no cell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Graph(NamedTuple):
    """A batch of S structures with N atoms and E directed edges, sorted by center; one structure is a batch of one.

    Attributes:
        species: (N,) int64, atomic numbers.
        vectors: (E, 3) float, r_neighbor - r_center in Angstrom, periodic images resolved.
        centers: (E,) int64, index of each edge's center, non-decreasing.
        neighbors: (E,) int64, index of each edge's neighbor.
        system: (N,) int64, structure that each atom belongs to, non-decreasing.
        volume: (S,) float, cell volume in Angstrom^3, NaN where the structure is not periodic in three directions.
    """

    species: Tensor
    vectors: Tensor
    centers: Tensor
    neighbors: Tensor
    system: Tensor
    volume: Tensor

    @property
    def n_atoms(self) -> int:
        """Number of atoms N."""
        return self.species.shape[0]

    @property
    def n_systems(self) -> int:
        """Number of structures S."""
        return self.volume.shape[0]

    def to(self, target: Any) -> "Graph":
        """The same batch in another floating-point dtype or on another device.

        Args:
            target: a floating torch.dtype, or whatever `torch.Tensor.to` takes as a device.
        """
        if isinstance(target, torch.dtype):
            return self._replace(vectors=self.vectors.to(target), volume=self.volume.to(target))
        return Graph(*(field.to(target) for field in self))


def concatenate(graphs: Sequence[Graph]) -> Graph:
    """One batch of several, in their order; atom and structure indices are shifted.

    Args:
        graphs: at least one batch, all of one dtype and device.
    """
    atoms = _offsets([g.n_atoms for g in graphs])
    systems = _offsets([g.n_systems for g in graphs])
    return Graph(
        species=torch.cat([g.species for g in graphs]),
        vectors=torch.cat([g.vectors for g in graphs]),
        centers=torch.cat([g.centers + n for g, n in zip(graphs, atoms, strict=True)]),
        neighbors=torch.cat([g.neighbors + n for g, n in zip(graphs, atoms, strict=True)]),
        system=torch.cat([g.system + s for g, s in zip(graphs, systems, strict=True)]),
        volume=torch.cat([g.volume for g in graphs]),
    )


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Where each part begins when parts of these sizes are laid end to end."""
    starts = [0]
    for size in sizes[:-1]:
        starts.append(starts[-1] + size)
    return starts
