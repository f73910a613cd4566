"""Two atoms on a line: what a potential says of distances that its training data never showed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from ase.data import chemical_symbols, covalent_radii

from invarion.data.statistics import pair_name
from invarion.graphs import Graph
from invarion.potential import Potential

_FEW = 12  # elements, up to which every pair is scanned


@dataclass(frozen=True)
class DimerScan:
    """Energy of two atoms against their distance.

    Attributes:
        pair: symbols, for instance ("C", "H").
        distances: (P,) Angstrom, ascending.
        energies: (P,) eV, with that of the two atoms apart subtracted.
        smallest: smallest distance of this pair in the training data in Angstrom; None if not known or never seen.
    """

    pair: tuple[str, str]
    distances: np.ndarray
    energies: np.ndarray
    smallest: float | None

    @property
    def name(self) -> str:
        """The pair as it stands in tables and model files, for instance "C-H"."""
        return "-".join(self.pair)

    @property
    def depth(self) -> float | None:
        """How far the energy falls, in eV, when the atoms come closer than the training data ever saw them.

        0 where they are pushed apart all the way; a large value warns of a collapse. None if the pair was never seen.
        """
        if self.smallest is None:
            return None
        inside = self.energies[self.distances <= self.smallest]
        return float(inside[-1] - inside.min()) if len(inside) else None


def scan_dimers(
    potential: Potential, smallest: Mapping[str, float] | None = None, points: int = 200
) -> tuple[DimerScan, ...]:
    """Scan every pair of elements from half the smallest known distance to the cutoff.

    Of a potential for many elements only the pairs that the training data holds are scanned.

    Args:
        potential: any potential.
        smallest: smallest distance in the training data by pair ("C-H"), as `smallest_distances` finds them.
        points: distances per pair, >= 2.

    Returns:
        One scan per pair, in the order of the potential's species.
    """
    known = smallest or {}
    pairs = combinations_with_replacement(potential.species, 2)
    few = len(potential.species) <= _FEW
    return tuple(_scan(potential, a, b, known, points) for a, b in pairs if few or pair_name(a, b) in known)


def _scan(potential: Potential, z1: int, z2: int, known: Mapping[str, float], points: int) -> DimerScan:
    smallest = known.get(pair_name(z1, z2))
    # an unknown pair is scanned from half the sum of the covalent radii, where atoms of a real substance never are
    start = 0.5 * (smallest or float(covalent_radii[z1] + covalent_radii[z2]))
    distances = np.linspace(min(start, 0.9 * potential.cutoff), potential.cutoff, points)
    training = potential.training
    try:
        energies = potential.eval()(_dimers(z1, z2, distances, potential), forces=False).energy.cpu().numpy()
    finally:
        potential.train(training)
    # at the cutoff nothing is left of the interaction: the last point is the two atoms apart
    low, high = sorted((z1, z2))
    symbols = (chemical_symbols[low], chemical_symbols[high])
    return DimerScan(symbols, distances, energies - energies[-1], smallest)


def _dimers(z1: int, z2: int, distances: np.ndarray, potential: Potential) -> Graph:
    """One batch of all dimers."""
    count = len(distances)
    first = 2 * torch.arange(count)
    vectors = torch.zeros(count, 2, 3, dtype=torch.float64)
    vectors[:, 0, 2], vectors[:, 1, 2] = torch.from_numpy(distances), -torch.from_numpy(distances)
    batch = Graph(
        species=torch.tensor([z1, z2]).repeat(count),
        vectors=vectors.reshape(-1, 3),
        centers=torch.arange(2 * count),
        neighbors=torch.stack([first + 1, first], dim=1).flatten(),
        system=torch.arange(count).repeat_interleave(2),
        volume=torch.full((count,), torch.nan, dtype=torch.float64),
    )
    return batch.to(potential.dtype).to(potential.device)
