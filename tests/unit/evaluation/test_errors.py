"""Errors against numbers worked out by hand, and against labels that are known to be off by a known amount."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

import invarion as inv
from invarion.evaluation.errors import Comparison, compare, metrics, per_element, worst
from invarion.exceptions import DataError
from invarion.potential import Potential


@pytest.fixture(scope="module")
def potential() -> Potential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = inv.hip_nn(cutoff=3.5, n_features=6, n_interactions=1, n_atom_layers=1, n_sensitivities=5)
        return Potential(config, (1, 6, 8), [-13.0, -1000.0, -2000.0], scale=0.5).double().eval()


def by_hand() -> Comparison:
    """Two structures, of one and of two atoms; the first has no forces, the second no stress and no group."""
    nan = np.nan
    return Comparison(
        n_atoms=np.array([1, 2]),
        numbers=np.array([8, 1, 8]),
        energy=np.array([-5.0, -8.0]),
        predicted_energy=np.array([-4.999, -8.006]),
        forces=np.array([[nan] * 3, [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]),
        predicted_forces=np.array([[0.0] * 3, [1.03, 0.0, 0.04], [-1.0, 0.0, 0.0]]),
        stress=np.array([np.eye(3), np.full((3, 3), nan)]),
        predicted_stress=np.array([1.002 * np.eye(3), np.full((3, 3), nan)]),
        groups=("bulk", ""),
        origins=("a.xyz, frame 0", "a.xyz, frame 1"),
    )


def test_stress_alone_is_compared(potential):
    atoms = Atoms("CO", [(0, 0, 0), (0, 0, 1.2)], cell=[3, 3, 3], pbc=True)
    atoms.info["REF_stress"] = potential.predict(atoms).stress[0] + 0.002
    found = metrics(compare(potential, [atoms]))
    assert found["stress_mae_mev_per_angstrom3"] == pytest.approx(2.0)
    assert found["energy_mae_mev_per_atom"] is None
    assert found["forces_mae_mev_per_angstrom"] is None


def test_figures_worked_out_by_hand():
    found = metrics(by_hand())
    assert found["energy_mae_mev_per_atom"] == pytest.approx((1.0 + 3.0) / 2)
    assert found["energy_rmse_mev_per_atom"] == pytest.approx(np.sqrt((1.0 + 9.0) / 2))
    assert found["energy_max_mev_per_atom"] == pytest.approx(3.0)
    assert found["energy_r2"] == pytest.approx(1.0 - 10.0 / (2 * 500.0**2))
    assert found["forces_mae_mev_per_angstrom"] == pytest.approx(70.0 / 6)
    assert found["forces_rmse_mev_per_angstrom"] == pytest.approx(np.sqrt(2500.0 / 6))
    assert found["forces_r2"] == pytest.approx(1.0 - 2500.0 / 2e6)
    assert found["stress_mae_mev_per_angstrom3"] == pytest.approx(6.0 / 9)
    assert found["n_structures"] == 2
    assert found["n_atoms"] == 3
    assert (found["n_energies"], found["n_force_components"], found["n_stress_components"]) == (2, 6, 9)


def test_elements_and_groups_split_the_whole():
    found = metrics(by_hand())
    assert found["per_element"]["H"]["forces_mae_mev_per_angstrom"] == pytest.approx(70.0 / 3)
    assert found["per_element"]["O"]["forces_mae_mev_per_angstrom"] == 0.0
    assert found["per_element"]["O"]["n_atoms"] == 2
    assert list(found["per_group"]) == ["bulk"]
    assert found["per_group"]["bulk"]["energy_mae_mev_per_atom"] == pytest.approx(1.0)
    assert found["per_group"]["bulk"]["forces_mae_mev_per_angstrom"] is None


def test_worst_structures_come_first():
    rows = worst(by_hand())
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[0]["largest_force_error_mev_per_angstrom"] == pytest.approx(50.0)
    assert rows[0]["formula"] == "HO"
    assert rows[0]["origin"] == "a.xyz, frame 1"
    assert rows[1]["largest_force_error_mev_per_angstrom"] is None
    assert len(worst(by_hand(), count=1)) == 1


def labelled(potential: Potential, energy_off: float = 0.0, forces_off: float = 0.0) -> list[Atoms]:
    crystal = bulk("C", "diamond", a=3.6)
    crystal.rattle(0.05, seed=1)
    structures = [molecule("CH4"), molecule("H2O"), crystal]
    for structure in structures:
        prediction = potential.predict([structure])
        structure.info["REF_energy"] = prediction.energy[0] + energy_off * len(structure)
        structure.arrays["REF_forces"] = prediction.forces + forces_off
        if structure.pbc.all():
            structure.info["REF_stress"] = prediction.stress[0]
    return structures


def test_labels_that_are_the_predictions_leave_no_error(potential):
    found = metrics(compare(potential, labelled(potential)))
    assert found["energy_mae_mev_per_atom"] < 1e-9
    assert found["forces_rmse_mev_per_angstrom"] < 1e-9
    assert found["stress_mae_mev_per_angstrom3"] < 1e-9
    assert found["n_stress_components"] == 9
    assert found["forces_r2"] == pytest.approx(1.0)


def test_known_offsets_are_found(potential):
    found = metrics(compare(potential, labelled(potential, energy_off=0.002, forces_off=-0.05)))
    for kind in ("mae", "rmse", "max"):
        assert found[f"energy_{kind}_mev_per_atom"] == pytest.approx(2.0)
        assert found[f"forces_{kind}_mev_per_angstrom"] == pytest.approx(50.0)


def test_missing_labels_are_left_out(potential):
    structures = labelled(potential, energy_off=0.002, forces_off=0.01)
    structures[0].info["REF_energy"] = np.nan
    structures[1].arrays["REF_forces"][0] = np.nan
    del structures[2].arrays["REF_forces"]
    found = metrics(compare(potential, structures))
    assert found["n_energies"] == 2
    assert found["n_force_components"] == 3 * (5 + 2)
    assert found["energy_mae_mev_per_atom"] == pytest.approx(2.0)
    assert found["forces_mae_mev_per_angstrom"] == pytest.approx(10.0)
    assert per_element(compare(potential, structures))["O"]["forces_mae_mev_per_angstrom"] is None


def test_quantities_without_labels_are_null(potential):
    structure = molecule("CH4")
    structure.info["energy"] = -1000.0
    found = metrics(compare(potential, [structure]))
    assert found["forces_mae_mev_per_angstrom"] is None
    assert found["stress_mae_mev_per_angstrom3"] is None
    assert found["energy_r2"] is None
    assert found["energy_mae_mev_per_atom"] > 0


@pytest.mark.parametrize(
    ("structures", "message"),
    [([], "no structure to evaluate"), ([molecule("CH4")], "neither energies nor forces")],
)
def test_nothing_to_compare_is_an_error(potential, structures, message):
    with pytest.raises(DataError, match=message):
        compare(potential, structures)


def test_unknown_element_is_an_error(potential):
    structure = molecule("SiH4")
    structure.info["energy"] = -1.0
    with pytest.raises(DataError, match="does not know Si"):
        compare(potential, [structure])
