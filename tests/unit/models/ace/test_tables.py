"""Tables of functions say what the network itself says: energies, forces and strain derivative."""

import numpy as np
import pytest
import torch
from ase.build import bulk

import invarion as inv
from invarion.models.ace.tables import Tabulator


def crystal():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.2, seed=1)
    atoms.numbers[::3] = 29
    return atoms


@pytest.fixture(scope="module")
def potential():
    config = inv.ace(4.0, n_radial=2, max_rank=2, max_degree=4, readout="mlp", hidden=(5,))
    torch.manual_seed(0)
    found = inv.Potential(config, [14, 29]).double().eval()
    graph = inv.graph(crystal(), 4.0)
    found.network.calibrate(graph, found.species_index(graph.species))
    for parameter in found.network.readouts.parameters():
        torch.nn.init.normal_(parameter)
    return found


def test_tables_give_energy_forces_and_strain(potential):
    graph = inv.graph(crystal(), 4.0)
    tables = Tabulator(potential.network.descriptor)(graph, potential.species_index(graph.species))
    energy, forces, strain = 0.0, torch.zeros(8, 3), torch.zeros(3, 3)
    for table, readout in zip(tables, potential.network.readouts, strict=True):
        invariants = table.invariants.requires_grad_()
        found = readout(invariants).sum()
        (slopes,) = torch.autograd.grad(found, invariants)
        pulled, strained = table.pull(slopes.float(), 8)
        energy, forces, strain = energy + float(found.detach()), forces + pulled, strain + strained
    expected = potential(graph, stress=True)
    assert energy == pytest.approx(float(expected.energy[0]), abs=1e-9)
    size = float(expected.forces.abs().max())
    np.testing.assert_allclose(forces, expected.forces, atol=1e-5 * size)
    strained = expected.stress[0] * graph.volume[0]
    np.testing.assert_allclose(strain, strained, atol=1e-5 * float(strained.abs().max()))


def test_rows_are_pulls_of_one_function_each(potential):
    graph = inv.graph(crystal(), 4.0)
    table = Tabulator(potential.network.descriptor)(graph, potential.species_index(graph.species))[0]
    forces, strain = table.rows(8)
    for k in (0, 7):
        slopes = torch.zeros(table.invariants.shape)
        slopes[:, k] = 1.0
        one, other = table.pull(slopes, 8)
        torch.testing.assert_close(forces[:, :, k], one)
        torch.testing.assert_close(strain[:, :, k], other)


def test_atoms_without_neighbours_have_tables():
    config = inv.ace(3.0, n_radial=2, max_rank=1, max_degree=2)
    network = inv.Potential(config, [14]).double().network
    graph = inv.graph(bulk("Si", a=20.0), 3.0)
    (table,) = Tabulator(network.descriptor)(graph, torch.zeros(2, dtype=torch.int64))
    forces, strain = table.pull(torch.ones(table.invariants.shape), 2)
    assert not forces.any()
    assert not strain.any()
