"""A potential that is trained further takes over the zero of energy of its new data, and nothing else."""

import numpy as np
import pytest
import torch
from ase.build import molecule

import invarion as inv
from invarion.exceptions import DataError
from invarion.training.transfer import shift_references

SHIFTS = {1: -3.0, 6: 40.0}


@pytest.fixture
def potential():
    torch.manual_seed(0)
    return inv.Potential(inv.hip_nn(cutoff=3.0, n_features=4, n_interactions=1), [1, 6], [1.0, 2.0])


def shifted(potential, names):
    """Molecules with the potential's own energies, shifted by a constant per element."""
    found = [molecule(name) for name in names]
    for atoms, energy in zip(found, potential.predict(found).energy, strict=True):
        atoms.info["REF_energy"] = energy + sum(SHIFTS[z] for z in atoms.numbers)
    return found


def test_shifts_per_element_are_found(potential):
    forces = potential.predict([molecule("CH4")]).forces
    shift_references(potential, shifted(potential, ["CH4", "C2H2", "C2H6"]))
    assert potential.references.tolist() == pytest.approx([-2.0, 42.0], abs=1e-6)
    assert np.array_equal(potential.predict([molecule("CH4")]).forces, forces)


def test_compositions_that_cannot_be_told_apart_are_shifted_as_little_as_possible(potential):
    atoms = shifted(potential, ["CH4"])
    shift_references(potential, atoms)
    assert potential.predict(atoms).energy[0] == pytest.approx(atoms[0].info["REF_energy"], abs=1e-6)
    change = potential.references - torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert change[0] / 4 == pytest.approx(change[1].item())  # along the counts (4, 1)


def test_structures_without_energies_are_refused(potential):
    with pytest.raises(DataError, match="no structure has an energy"):
        shift_references(potential, [molecule("CH4")])
