"""A tiny network and labelled structures for tests of training: steps of a millisecond, and something to learn."""

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from invarion.graphs import Graph
from invarion.potential import Potential


class SpringNetwork(nn.Module):
    """Two terms per atom from sums over neighbours of smooth radial functions."""

    def __init__(self, n_species: int, cutoff: float, width: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("centers", torch.linspace(0.5, cutoff, width))
        self.charges = nn.Embedding(n_species, width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, 2)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        r = graph.vectors.norm(dim=1, keepdim=True)
        smooth = (1.0 - (r / self.cutoff).square()).clamp(min=0.0) ** 3
        radial = torch.exp(-10.0 * (r - self.centers).square()) * smooth * self.charges(index)[graph.neighbors]
        density = radial.new_zeros(len(index), radial.shape[1]).index_add(0, graph.centers, radial)
        return self.outer(torch.tanh(self.inner(density)))


@dataclass(frozen=True)
class Springs:
    """Settings of a `SpringNetwork`."""

    cutoff: float = 3.0
    width: int = 8
    kind: str = "springs"

    def network(self, species: tuple[int, ...]) -> SpringNetwork:
        return SpringNetwork(len(species), self.cutoff, self.width)


def molecules(n: int, seed: int = 0) -> list[Atoms]:
    """Distorted water molecules with springs for bonds: energies in eV, forces in eV/Angstrom."""
    rng = np.random.default_rng(seed)
    shape = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    return [_sprung(Atoms("OH2", shape + rng.normal(0.0, 0.08, (3, 3)))) for _ in range(n)]


def crystals(n: int, seed: int = 0) -> list[Atoms]:
    """Distorted periodic cells of two atoms with energy, forces and stress of a potential with random weights."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        teacher = Potential(Springs(), (14,), scale=0.1).double()
    found = []
    for _ in range(n):
        cell = 2.4 * np.eye(3) + rng.normal(0.0, 0.05, (3, 3))
        positions = np.array([[0.0, 0.0, 0.0], [1.2, 1.2, 1.2]]) + rng.normal(0.0, 0.05, (2, 3))
        atoms = Atoms("Si2", positions, cell=cell, pbc=True)
        said = teacher.predict([atoms])
        atoms.info["REF_energy"], atoms.info["REF_stress"] = float(said.energy[0]), said.stress[0]
        atoms.arrays["REF_forces"] = said.forces
        found.append(atoms)
    return found


def _sprung(atoms: Atoms) -> Atoms:
    energy, forces = -500.0, np.zeros((3, 3))
    for i, j, length in ((0, 1, 0.96), (0, 2, 0.96), (1, 2, 1.5)):
        d = atoms.positions[i] - atoms.positions[j]
        stretch = np.linalg.norm(d) - length
        pull = 4.0 * stretch * d / np.linalg.norm(d)
        energy += 2.0 * stretch**2
        forces[i] -= pull
        forces[j] += pull
    atoms.info["REF_energy"], atoms.arrays["REF_forces"] = energy, forces
    return atoms
