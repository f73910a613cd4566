"""Dimer scans against single predictions, and the warning of a collapse."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

import invarion as inv
from invarion.data.statistics import smallest_distances
from invarion.evaluation.dimers import DimerScan, scan_dimers
from invarion.potential import Potential


@pytest.fixture(scope="module")
def potential() -> Potential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = inv.hip_nn(cutoff=3.5, n_features=6, n_interactions=1, n_atom_layers=1, n_sensitivities=5)
        return Potential(config, (1, 8), [-13.0, -2000.0], scale=0.5).double().eval()


def test_scan_is_the_energy_of_two_atoms_less_that_of_the_atoms(potential):
    scans = scan_dimers(potential, {"H-O": 0.9}, points=7)
    assert [scan.name for scan in scans] == ["H-H", "H-O", "O-O"]
    oh = scans[1]
    assert oh.distances[0] == pytest.approx(0.45)
    assert oh.distances[-1] == pytest.approx(3.5)
    for distance, energy in zip(oh.distances, oh.energies, strict=True):
        pair = potential.predict([Atoms("OH", [(0, 0, 0), (0, 0, distance)])]).energy[0]
        alone = potential.predict([Atoms("O"), Atoms("H")]).energy.sum()
        assert energy == pytest.approx(pair - alone, abs=1e-9)


def test_mode_of_the_potential_is_left_as_it_was(potential):
    potential.train()
    scan_dimers(potential, points=3)
    assert potential.training
    potential.eval()


def test_smallest_distances_see_periodic_images():
    structures = [molecule("H2O"), Atoms("O", cell=[2.0, 9.0, 9.0], pbc=True), bulk("Cu")]
    found = smallest_distances(structures, cutoff=3.0)
    assert list(found) == ["Cu-Cu", "H-H", "H-O", "O-O"]
    assert found["O-O"] == pytest.approx(2.0)
    assert found["H-O"] == pytest.approx(molecule("H2O").get_distance(0, 1))
    assert smallest_distances([Atoms("H")], cutoff=3.0) == {}


@pytest.mark.parametrize(
    ("energies", "depth"),
    [
        ([9.0, 5.0, 2.0, 0.5, 0.0], 0.0),  # repulsive all the way
        ([-3.0, -1.0, 2.0, 0.5, 0.0], 5.0),  # falls from the closest distance seen inwards
        ([4.0, 0.5, 2.0, 0.5, 0.0], 1.5),  # a pocket before the wall
    ],
)
def test_depth_is_the_fall_below_the_closest_distance_seen(energies, depth):
    scan = DimerScan(("C", "H"), np.array([0.5, 0.75, 1.0, 2.0, 3.0]), np.array(energies), smallest=1.0)
    assert scan.depth == pytest.approx(depth)


def test_pair_that_was_never_seen_has_no_depth():
    scan = DimerScan(("C", "H"), np.array([1.0, 2.0]), np.array([1.0, 0.0]), smallest=None)
    assert scan.depth is None
