"""The ASE calculator: ASE's contract, and numbers that a reused neighbour list never changes."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.stress import voigt_6_to_full_3x3_stress

import invarion as inv
from invarion.committees import spread
from invarion.exceptions import DataError
from invarion.potential import Potential


def make_potential(dtype: torch.dtype = torch.float64) -> Potential:
    config = inv.hip_hop_nn(cutoff=3.5, n_features=8, n_interactions=2, n_atom_layers=1, n_sensitivities=6)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        potential = Potential(config, (1, 6, 8), [-13.6, -1028.3, -2041.7], scale=0.5)
    return potential.to(dtype).eval()


def crystal() -> Atoms:
    atoms = bulk("C", "diamond", a=3.6).repeat((2, 2, 1))
    atoms.rattle(0.05, seed=2)
    return atoms


def test_properties_are_those_of_the_potential():
    potential, atoms = make_potential(), molecule("CH3CH2OH")
    prediction = potential.predict([atoms])
    atoms.calc = inv.Calculator(potential)
    assert atoms.get_potential_energy() == prediction.energy[0]
    assert atoms.get_potential_energy(force_consistent=True) == prediction.energy[0]
    np.testing.assert_array_equal(atoms.get_forces(), prediction.forces)
    np.testing.assert_array_equal(atoms.get_potential_energies(), prediction.energies)
    assert atoms.get_potential_energies().sum() == pytest.approx(prediction.energy[0], abs=1e-9)


def test_stress_is_in_the_order_and_with_the_sign_of_ase():
    atoms = crystal()
    atoms.calc = inv.Calculator(make_potential())
    stress, numerical = atoms.get_stress(), np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            energies = [_strained(atoms, a, b, step).get_potential_energy() for step in (1e-5, -1e-5)]
            numerical[a, b] = (energies[0] - energies[1]) / 2e-5 / atoms.get_volume()
    assert np.abs(numerical).max() > 1e-4
    np.testing.assert_allclose(voigt_6_to_full_3x3_stress(stress), (numerical + numerical.T) / 2, atol=1e-8)


def _strained(atoms: Atoms, a: int, b: int, step: float) -> Atoms:
    strain = np.eye(3)
    strain[a, b] += step
    deformed = atoms.copy()
    deformed.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    deformed.calc = atoms.calc
    return deformed


@pytest.mark.parametrize("pbc", [[False] * 3, [True, True, False]])
def test_stress_needs_a_three_dimensional_cell(pbc):
    atoms = crystal()
    atoms.pbc = pbc
    atoms.calc = inv.Calculator(make_potential())
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match="three directions"):
        atoms.get_stress()


def test_unknown_element_is_named():
    atoms = molecule("SiH4")
    atoms.calc = inv.Calculator(make_potential())
    with pytest.raises(DataError, match=r"does not know Si; it knows H, C, O"):
        atoms.get_potential_energy()


def test_dynamics_with_a_skin_is_bit_identical_to_dynamics_without():
    trajectories = []
    for skin in (0.0, 0.6):
        atoms = crystal()
        atoms.calc = inv.Calculator(make_potential(), skin=skin)
        atoms.set_momenta(np.random.default_rng(0).normal(scale=3.0, size=(len(atoms), 3)))
        VelocityVerlet(atoms, 1.0 * units.fs).run(40)
        trajectories.append(atoms)
    assert np.abs(trajectories[0].positions - crystal().positions).max() > 0.3
    np.testing.assert_array_equal(trajectories[0].positions, trajectories[1].positions)
    np.testing.assert_array_equal(trajectories[0].get_forces(), trajectories[1].get_forces())


def test_list_is_searched_only_when_an_atom_has_left_its_skin(monkeypatch):
    from invarion.engines import ase as engine

    searches = []
    search = engine.pair_list
    monkeypatch.setattr(engine, "pair_list", lambda *args: searches.append(1) or search(*args))
    atoms = crystal()
    atoms.calc = inv.Calculator(make_potential(), skin=1.0)
    for shift in (0.0, 0.2, 0.2, 0.2, 0.2):
        atoms.positions[0, 0] += shift
        atoms.get_forces()
    assert len(searches) == 2
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    atoms.get_forces()
    assert len(searches) == 3


def test_one_calculator_serves_different_structures():
    potential = make_potential()
    calculator = inv.Calculator(potential)
    for atoms in (molecule("H2O"), crystal(), molecule("CH4"), molecule("H2O")):
        expected = potential.predict([atoms]).forces
        atoms.calc = calculator
        np.testing.assert_array_equal(atoms.get_forces(), expected)


def test_model_file_dtype_and_mode(tmp_path):
    potential = make_potential(torch.float32).train()
    inv.save(potential, tmp_path / "model.inv")
    atoms = molecule("CH4")
    found = []
    for calculator in (
        inv.Calculator(tmp_path / "model.inv"),
        inv.Calculator(str(tmp_path / "model.inv"), dtype=torch.float64),
        inv.Calculator(potential),
        inv.Calculator(potential, dtype=torch.float64),
    ):
        atoms.calc = calculator
        found.append(atoms.get_forces())
        assert not calculator.potential.training
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert 0 < np.abs(found[0] - found[1]).max() < 1e-4
    assert potential.training
    assert potential.dtype == torch.float32


def test_isolated_atom_and_negative_skin():
    atoms = Atoms("O")
    atoms.calc = inv.Calculator(make_potential())
    assert np.isfinite(atoms.get_potential_energy())
    np.testing.assert_array_equal(atoms.get_forces(), np.zeros((1, 3)))
    with pytest.raises(DataError, match="skin is -1"):
        inv.Calculator(make_potential(), skin=-1.0)


def test_results_are_kept_until_something_changes():
    atoms = crystal()
    calculator = inv.Calculator(make_potential())
    atoms.calc = calculator
    atoms.get_forces()
    for change, name in (
        (lambda: atoms.positions.__setitem__((0, 0), atoms.positions[0, 0] + 1e-12), "positions"),
        (lambda: atoms.numbers.__setitem__(0, 8), "numbers"),
        (lambda: atoms.set_cell(atoms.cell.array * 1.01), "cell"),
        (lambda: atoms.set_pbc([True, True, False]), "pbc"),
    ):
        assert not calculator.calculation_required(atoms, ["forces"])
        change()
        assert calculator.check_state(atoms) == [name]
        atoms.get_forces()
    atoms.set_initial_charges([1.0] * len(atoms))
    assert not calculator.calculation_required(atoms, ["forces"])


@pytest.mark.parametrize("given", ["potential", "path"])
def test_type_and_device_by_name_or_a_word_of_advice(given, tmp_path):
    potential = make_potential()
    inv.save(potential, tmp_path / "model.inv")
    source = potential if given == "potential" else tmp_path / "model.inv"
    assert inv.Calculator(source, dtype="float32").potential.dtype == torch.float32
    with pytest.raises(inv.InvarionError, match="runs in float32 or float64"):
        inv.Calculator(source, dtype=torch.float16)
    with pytest.raises(inv.InvarionError, match="device is tpu9, which cannot be used here"):
        inv.Calculator(source, device="tpu9")


def test_later_changes_of_a_potential_do_not_reach_its_calculator():
    potential, atoms = make_potential(), molecule("H2O")
    atoms.calc = inv.Calculator(potential)
    before = atoms.get_potential_energy()
    potential.references += 1.0
    assert atoms.get_potential_energy() == before
    atoms.rattle(1e-9, seed=0)
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_committee_says_how_far_its_members_lie_apart(dtype):
    members = [make_potential(dtype) for _ in range(3)]
    for number, member in enumerate(members):
        member.scale *= 1.0 + number
        member.references += number
    joint, atoms = inv.committee(members), crystal()
    atoms.calc, loose = inv.Calculator(joint), 1e-12 if dtype == torch.float64 else 1e-5
    together, (energy, forces) = joint.predict(atoms), spread(joint, atoms)[0]
    assert atoms.get_potential_energy() == pytest.approx(together.energy[0], rel=loose)
    np.testing.assert_allclose(atoms.get_potential_energies(), together.energies, rtol=loose)
    np.testing.assert_allclose(atoms.get_forces(), together.forces, atol=loose)
    np.testing.assert_allclose(voigt_6_to_full_3x3_stress(atoms.get_stress()), together.stress[0], atol=loose)
    assert atoms.calc.get_property("energy_spread", atoms) == pytest.approx(energy, rel=loose)
    np.testing.assert_allclose(atoms.calc.get_property("forces_spread", atoms), forces, atol=loose)
    assert energy > 1.0
    with pytest.raises(PropertyNotImplementedError):
        inv.Calculator(members[0]).get_property("forces_spread", atoms)
