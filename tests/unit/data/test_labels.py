"""Where labels are searched, in which order, and what becomes of them."""

from io import StringIO

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree

from invarion.data import Search, label_table, search_for, structure_labels
from invarion.data.normalised import normalise
from invarion.exceptions import DataError


def water(info=None, arrays=None, results=None, cell=None):
    positions = [(0, 0, 0), (0, 0.76, 0.59), (0, -0.76, 0.59)]
    atoms = Atoms("OH2", positions, info=info or {}, cell=cell, pbc=cell is not None)
    for key, value in (arrays or {}).items():
        atoms.set_array(key, np.asarray(value, dtype=float))
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


FORCES = np.arange(9.0).reshape(3, 3)
STRESS = np.array([[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]])


class TestOrder:
    """The user's key, REF_*, the calculator, aliases."""

    def test_reference_keys_come_before_the_calculator(self):
        atoms = water({"REF_energy": -1.0}, {"REF_forces": FORCES}, {"energy": -2.0, "forces": 2 * FORCES})
        labels = structure_labels(atoms)
        assert labels.energy == -1.0
        assert np.array_equal(labels.forces, FORCES)

    def test_the_calculator_comes_before_aliases(self):
        atoms = water({"dft_energy": -3.0}, {"dft_forces": 3 * FORCES}, {"energy": -2.0, "forces": FORCES})
        labels = structure_labels(atoms)
        assert labels.energy == -2.0
        assert np.array_equal(labels.forces, FORCES)

    @pytest.mark.parametrize("key", ["energy", "Energy", "dft_energy", "DFT_energy", "total_energy"])
    def test_aliases_of_the_energy(self, key):
        assert structure_labels(water({key: -4.0})).energy == -4.0

    @pytest.mark.parametrize("key", ["forces", "force", "dft_forces", "DFT_force"])
    def test_aliases_of_forces(self, key):
        assert np.array_equal(structure_labels(water(arrays={key: FORCES})).forces, FORCES)

    def test_a_given_key_beats_all_others(self):
        atoms = water({"mine": -5.0, "REF_energy": -1.0}, results={"energy": -2.0})
        assert structure_labels(atoms, search_for({"energy": "mine"})).energy == -5.0

    def test_a_given_key_is_not_replaced_by_another(self):
        """Two levels of theory must not mix because one frame lacks the key that the user named."""
        assert np.isnan(structure_labels(water({"REF_energy": -1.0}), search_for({"energy": "mine"})).energy)

    def test_given_keys_in_order(self):
        search = search_for({"energy": ["first", "second"]})
        assert structure_labels(water({"second": -2.0}), search).energy == -2.0
        assert structure_labels(water({"second": -2.0, "first": -1.0}), search).energy == -1.0

    def test_a_given_key_may_be_a_calculators_result(self):
        atoms = water(results={"energy": -2.0, "free_energy": -2.5})
        assert structure_labels(atoms, search_for({"energy": "free_energy"})).energy == -2.5

    def test_ambiguous_keys_are_not_read(self):
        atoms = water({"virial_stress_raw": np.zeros(6), "energy_recomputed": -1.0, "my_energy": -2.0}, cell=[9, 9, 9])
        labels = structure_labels(atoms)
        assert not any(labels.has(target) for target in ("energy", "forces", "stress"))


class TestMissing:
    def test_nothing(self):
        labels = structure_labels(water())
        assert np.isnan(labels.energy)
        assert labels.forces is None
        assert labels.stress is None

    def test_nan_under_the_first_key_ends_the_search(self):
        assert np.isnan(structure_labels(water({"REF_energy": np.nan}, results={"energy": -2.0})).energy)

    def test_forces_of_some_atoms(self):
        forces = FORCES.copy()
        forces[1] = np.nan
        labels = structure_labels(water(arrays={"REF_forces": forces}))
        assert np.array_equal(labels.forces, forces, equal_nan=True)
        assert labels.has("forces")

    def test_forces_of_no_atom(self):
        assert structure_labels(water(arrays={"REF_forces": np.full((3, 3), np.nan)})).forces is None

    def test_results_of_a_structure_that_has_moved_since_are_stale(self):
        atoms = water(results={"energy": -2.0})
        atoms.rattle(0.1, seed=0)
        assert np.isnan(structure_labels(atoms).energy)

    def test_a_calculator_without_results_is_not_run(self):
        class Untouchable:
            results: dict = {}  # noqa: RUF012 - ASE's form

            def get_potential_energy(self, *_):
                raise AssertionError

        atoms = water()
        atoms.calc = Untouchable()
        assert np.isnan(structure_labels(atoms).energy)


class TestStress:
    def test_without_a_cell_there_is_none(self):
        assert structure_labels(water({"REF_stress": STRESS})).stress is None

    def test_virial_alone(self):
        labels = structure_labels(water({"virials": -8.0 * STRESS}, cell=[2, 2, 2]))
        assert np.allclose(labels.stress, STRESS)

    def test_both_and_consistent(self):
        atoms = water({"virial": -8.0 * STRESS}, results={"stress": [1, 2, 3, 0.4, 0.5, 0.6]}, cell=[2, 2, 2])
        assert np.array_equal(structure_labels(atoms).stress, STRESS)

    @pytest.mark.parametrize("wrong", [8.0, -1.0])
    def test_both_and_contradictory(self, wrong):
        atoms = water({"virial": wrong * STRESS, "REF_stress": STRESS}, cell=[2, 2, 2])
        with pytest.raises(DataError, match="differ by"):
            structure_labels(atoms)
        assert np.array_equal(structure_labels(atoms, search_for({"stress": "REF_stress"})).stress, STRESS)

    def test_a_virial_is_in_the_unit_of_energy(self):
        labels = structure_labels(water({"virial": -8.0 * STRESS}, cell=[2, 2, 2]), search_for(units={"energy": "Ha"}))
        assert np.allclose(labels.stress, STRESS * Hartree)


class TestUnits:
    def test_declared(self):
        search = search_for(units={"energy": "Hartree", "forces": "Hartree/Bohr"})
        labels = structure_labels(water({"REF_energy": -1.0}, {"REF_forces": FORCES}), search)
        assert labels.energy == pytest.approx(-Hartree)
        assert np.allclose(labels.forces, FORCES * Hartree / Bohr)

    def test_forces_are_not_guessed_from_the_energy(self):
        atoms = water({"REF_energy": -1.0}, {"REF_forces": FORCES})
        with pytest.raises(DataError, match="no unit for forces"):
            structure_labels(atoms, search_for(units={"energy": "Hartree"}))

    def test_as_the_file_says(self):
        assert structure_labels(water({"energy": -1.0, "energy_unit": "Hartree"})).energy == pytest.approx(-Hartree)

    def test_the_users_word_counts_more_than_the_files(self):
        labels = structure_labels(water({"energy": -1.0, "energy_unit": "Hartree"}), search_for(units={"energy": "eV"}))
        assert labels.energy == -1.0

    def test_wrong_names_are_refused(self):
        with pytest.raises(DataError, match="did you mean 'energy'"):
            search_for(units={"enrgy": "eV"})
        with pytest.raises(DataError, match="did you mean 'forces'"):
            search_for(keys={"force": "f"})
        with pytest.raises(DataError, match="unknown unit 'Hartee'"):
            search_for(units={"energy": "Hartee"})


class TestWeights:
    def test_default_is_one(self):
        assert structure_labels(water()).weights == (1.0, 1.0, 1.0, 1.0)

    def test_names(self):
        atoms = water({"weight": 2.0, "config_energy_weight": 0.5, "forces_weight": 0, "stress_weight": 3})
        assert structure_labels(atoms).weights == (2.0, 0.5, 0.0, 3.0)

    def test_a_given_key(self):
        assert structure_labels(water({"w": 7.0, "weight": 1.0}), search_for({"weight": "w"})).weights[0] == 7.0

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, "heavy"])
    def test_refused(self, bad):
        with pytest.raises(DataError, match=rf"weight is {bad!r}; a weight is a finite number >= 0"):
            structure_labels(water({"weight": bad}))
        if isinstance(bad, float):  # as numpy reads it from a file
            with pytest.raises(DataError, match=rf"weight is {bad!r}; a weight"):
                structure_labels(water({"weight": np.float64(bad)}))


class TestNormalised:
    def frame(self):
        info = {"my_energy": -1.0, "my_virial": -8 * STRESS, "config_weight": 2.0, "group": "a"}
        info["energy_unit"] = "Hartree"
        return water(info, {"my_forces": FORCES}, {"energy": 9.0, "magmoms": np.ones(3)}, cell=[2, 2, 2])

    def search(self):
        keys = {"energy": "my_energy", "forces": "my_forces", "virial": "my_virial"}
        return search_for(keys, {"energy": "Hartree", "forces": "Hartree/Bohr", "virial": "Hartree"})

    def test_names_and_values(self):
        atoms = normalise(self.frame(), structure_labels(self.frame(), self.search()))
        assert atoms.info["REF_energy"] == pytest.approx(-Hartree)
        assert np.allclose(atoms.arrays["REF_forces"], FORCES * Hartree / Bohr)
        assert np.allclose(atoms.info["REF_stress"], STRESS * Hartree)
        assert atoms.info["weight"] == 2.0
        assert atoms.info["group"] == "a"
        assert not {"my_energy", "my_virial", "config_weight"} & atoms.info.keys()

    def test_the_calculator_says_the_same(self):
        atoms = normalise(self.frame(), structure_labels(self.frame(), self.search()))
        assert atoms.get_potential_energy() == atoms.info["REF_energy"]
        assert np.array_equal(atoms.get_forces(), atoms.arrays["REF_forces"])
        assert np.allclose(atoms.get_stress(voigt=False), atoms.info["REF_stress"])
        assert np.array_equal(atoms.get_magnetic_moments(), np.ones(3))

    def test_twice_is_once(self):
        """Default search in a normalised structure gives the same labels: nothing is converted a second time."""
        labels = structure_labels(self.frame(), self.search())
        again = structure_labels(normalise(self.frame(), labels), Search())
        assert again.energy == labels.energy
        assert np.array_equal(again.forces, labels.forces)
        assert np.array_equal(again.stress, labels.stress)
        assert again.weights == labels.weights

    def test_the_original_is_left_alone(self):
        atoms = self.frame()
        before = dict(atoms.info)
        normalise(atoms, structure_labels(atoms, self.search()))
        assert atoms.info.keys() == before.keys()
        assert "my_forces" in atoms.arrays

    def test_missing_labels_have_no_key(self):
        atoms = normalise(water(), structure_labels(water()))
        assert not [key for key in (*atoms.info, *atoms.arrays) if key.startswith("REF_")]
        assert atoms.calc is None


class TestTable:
    def frames(self):
        return [
            water({"REF_energy": -1.0, "my_energy": -2.0}, results={"energy": -1.5}),
            water(results={"energy": -1.5, "forces": FORCES}),
            water({"REF_energy": np.nan}),
            water({"weight": 0.5}),
        ]

    def test_counts(self):
        table = label_table(self.frames())
        rows = {(row.target, row.key): (row.found, row.used) for row in table.rows}
        assert rows == {
            ("energy", "REF_energy"): (2, 1),
            ("energy", "calculator: energy"): (2, 1),
            ("forces", "calculator: forces"): (1, 1),
        }
        assert [table.missing(target) for target in ("energy", "forces", "stress")] == [2, 3, 4]
        assert table.targets() == ("energy", "forces")
        assert table.unused == (("my_energy", 1),)
        assert table.n_weighted == 1

    def test_two_sources_are_remarked(self):
        assert "one level of theory?" in str(label_table(self.frames()))

    def test_it_prints_with_rich(self):
        from rich.console import Console

        console = Console(width=100, record=True, file=StringIO())
        console.print(label_table(self.frames()))
        text = console.export_text()
        assert "calculator: energy" in text
        assert "missing" in text

    def test_it_is_plain_data(self):
        import json

        data = json.loads(json.dumps(label_table(self.frames()).to_dict()))
        assert data["missing"] == {"energy": 2, "forces": 3, "stress": 4}

    def test_an_absent_target_is_refused(self):
        table = label_table(self.frames())
        table.require(("energy", "forces"))
        with pytest.raises(DataError, match="training on stress was asked for, but none of the 4 structures"):
            table.require(("energy", "stress"))
        with pytest.raises(DataError, match="my_energy"):
            label_table([water({"my_energy": 1.0})]).require(("energy",))
        with pytest.raises(DataError, match="only NaN"):
            label_table([water({"energy": np.nan})]).require(("energy",))
        with pytest.raises(DataError, match="unknown target 'force'"):
            table.require(("force",))

    def test_a_misspelt_key_is_refused(self):
        with pytest.raises(DataError, match="given for energy: my_enrgy; did you mean 'my_energy'"):
            label_table(self.frames(), {"energy": "my_enrgy"})
