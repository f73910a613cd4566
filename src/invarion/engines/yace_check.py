"""The self-check of an exported `.yace` file: our own reader against the potential, on random structures."""

import copy
import os

import numpy as np
import torch
from ase import Atoms

from invarion.engines.yace_reader import read_yace
from invarion.exceptions import InvarionError
from invarion.graphs import Graph
from invarion.neighbors import graph
from invarion.potential import Potential

_TOLERANCE = 1e-8


def check_file(potential: Potential, path: str | os.PathLike[str]) -> tuple[float, float]:
    """Compare a file with the potential it was written from, on random structures, repulsive core left out.

    Args:
        potential: of an `invarion.ace` config.
        path: a `.yace` file.

    Returns:
        Largest deviation of energies (eV) and of force components (eV/Angstrom).

    Raises:
        InvarionError: they deviate by more than rounding.
        ModelFileError: the file cannot be read.
    """
    file = read_yace(path)
    energies, forces = 0.0, 0.0
    for atoms in _random_structures(potential):
        g = graph(atoms, potential.cutoff)
        e, f = file.energy_and_forces(g)
        expected = _without_core(potential, g)
        energies = max(energies, abs(float(e - expected[0])))
        forces = max(forces, float((f - expected[1]).abs().max()))
        limit = _TOLERANCE * max(1.0, abs(float(e)), float(f.abs().max()))
        if not max(energies, forces) < limit:
            raise InvarionError(
                f"{path} deviates from the potential by {energies:.1e} eV and {forces:.1e} eV/A; please report this"
            )
    return energies, forces


def _without_core(potential: Potential, g: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Energy and forces in float64 of all but the repulsive core, by the plain path."""
    plain = copy.deepcopy(potential).double().train()
    plain.pairs = None
    prediction = plain(g)
    return prediction.energy.detach()[0], prediction.forces.detach()


def _random_structures(potential: Potential) -> list[Atoms]:
    """A molecule and a crystal of each mixture at bonding distances, and a pair."""
    rng = np.random.default_rng(0)
    found = []
    for n, periodic in ((2, False), (5, False), (4, True)):
        numbers = rng.choice(potential.species, n)
        size = 0.45 * potential.cutoff
        positions = _apart(rng, n, size * n ** (1 / 3))
        cell = np.diag([potential.cutoff * 0.9] * 3) + rng.normal(0, 0.2, (3, 3)) if periodic else None
        found.append(Atoms(numbers, positions, cell=cell, pbc=periodic))
    return found


def _apart(rng: np.random.Generator, n: int, size: float) -> np.ndarray:
    """n points in a cube, none closer than a quarter of its edge over n^(1/3)."""
    points = [rng.uniform(0, size, 3)]
    while len(points) < n:
        point = rng.uniform(0, size, 3)
        if min(np.linalg.norm(point - other) for other in points) > 0.5 * size / n ** (1 / 3):
            points.append(point)
    return np.array(points)
