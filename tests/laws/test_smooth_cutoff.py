"""Energy, force and the force's slope fade to zero where a neighbour leaves through the cutoff."""

import numpy as np
import torch
from ase import Atoms

from conftest import MODELS, random_potential

CLUSTER = np.array([(0, 0, 0), (1.1, 0, 0), (0, 1.3, 0), (0.2, 0.3, 1.2)])


def leaving_force(potential, symbols, cluster, distances) -> np.ndarray:
    """Force along the way of an atom that leaves a cluster, at each distance from its nearest member."""
    forces = []
    for distance in distances:
        atoms = Atoms(symbols, [*cluster, cluster[1] + [distance, 0.0, 0.0]])
        forces.append(potential.predict(atoms).forces[-1, 0])
    return np.array(forces)


def dimer_force(potential, distances) -> np.ndarray:
    """Force along the bond of OH at each distance."""
    return np.array([potential.predict(Atoms("HO", [(0, 0, 0), (r, 0, 0)])).forces[-1, 0] for r in distances])


def test_dimer_is_c2_at_the_cutoff(smooth_potential):
    h = 1e-3
    inside = smooth_potential.cutoff - h * np.arange(1, 6)
    force = dimer_force(smooth_potential, inside)
    slope = np.diff(force) / h
    assert np.abs(force[0]) < 1e-3
    # distances of the two slopes from the cutoff are 1.5 h and 4.5 h: their ratio is 1/3 where the force's slope falls
    # linearly to zero, as (r_c - r)^3 has it, 1/9 or less where it is smoother, and 1 where it jumps at the cutoff
    assert np.abs(slope[0]) < 0.4 * max(np.abs(slope[-1]), 1e-2)


def test_force_fades_when_an_atom_leaves_a_cluster(smooth_potential):
    cutoff = smooth_potential.cutoff
    distances = np.linspace(cutoff - 0.5, cutoff + 0.05, 111)
    force = leaving_force(smooth_potential, "CHOHH", CLUSTER, distances)
    typical = np.abs(force).max()
    assert np.abs(force[distances > cutoff]).max() == 0.0
    assert np.abs(np.diff(force)).max() < 0.1 * typical + 1e-6
    assert np.abs(force[-12]) < 1e-2 * typical + 1e-6


def test_the_published_network_breaks_this_law():
    """The group norm blows the last trace of a neighbour up to full size; ours does not (same weights otherwise)."""
    published = random_potential(MODELS["hip_hop_nn_published"](), torch.float64)
    smooth = random_potential(MODELS["hip_hop_nn"](), torch.float64)
    near = published.cutoff - np.array([1e-3, 1e-4])
    blown, faded = (np.abs(dimer_force(potential, near)) for potential in (published, smooth))
    assert blown.max() > 100 * faded.max()
