"""Features of atoms: those that the energies are made of, and invariant."""

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

import invarion as inv
from invarion.evaluation.features import describe_atoms
from invarion.models import parts
from invarion.potential import Potential


@pytest.fixture(scope="module")
def potential() -> Potential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = inv.hip_nn(cutoff=3.5, n_features=(6, 4), n_atom_layers=1, n_sensitivities=5)
        return Potential(config, (1, 6, 8), [0.0] * 3).double().eval()


def test_features_are_what_the_readout_turns_into_energies(potential):
    structures = [molecule("CH4"), molecule("H2O")]
    features = describe_atoms(potential, structures)
    assert features.values.shape == (8, 10)
    assert features.names[0] == "block1.0"
    assert features.names[-1] == "block2.3"
    assert features.system.tolist() == [0] * 5 + [1] * 3
    weights = [readout.weight.detach().numpy()[0] for readout in potential.network.readouts[1:]]
    biases = [readout.bias.item() for readout in potential.network.readouts[1:]]
    energies = features.values @ np.concatenate(weights) + sum(biases)
    terms = potential.predict(structures).terms
    np.testing.assert_allclose(energies, terms[:, 1:].sum(1), atol=1e-12)


@pytest.mark.parametrize("n_interactions", [1, 2])
def test_systems_taken_in_parts_have_the_same_features(n_interactions, monkeypatch):
    torch.manual_seed(0)
    potential = Potential(inv.hip_nn(cutoff=4.0, n_features=16, n_interactions=n_interactions), (29,)).eval()
    crystal = bulk("Cu", cubic=True) * (3, 3, 3)
    crystal.rattle(0.1, seed=0)
    whole = describe_atoms(potential, [crystal]).values
    monkeypatch.setattr(parts, "_WHOLE", 0)
    monkeypatch.setattr(parts, "_PART", 3000)
    np.testing.assert_allclose(describe_atoms(potential, [crystal]).values, whole, atol=1e-6)


def test_rows_of_structures_are_sums_of_rows_of_atoms(potential):
    features = describe_atoms(potential, [molecule("CH4"), molecule("H2O")])
    whole = features.per_structure()
    np.testing.assert_allclose(whole.values[1], features.values[5:].sum(0), atol=1e-12)
    assert whole.values.shape == (2, 10)


def test_features_do_not_change_with_rotation(potential):
    turned = molecule("CH3CH2OH")
    turned.rotate(37, (1, 2, 3))
    before = describe_atoms(potential, [molecule("CH3CH2OH")]).values
    np.testing.assert_allclose(describe_atoms(potential, [turned]).values, before, atol=1e-10)
