"""Reference energies, scale, closest distances."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st

from invarion.data import closest_distances, energy_scale, reference_energies
from invarion.exceptions import DataError
from invarion.neighbors import graph

TRUE = {1: -13.6, 6: -1030.0, 8: -2042.0}


def labelled(atoms, energy=None, forces=None):
    atoms = atoms.copy()
    atoms.info["REF_energy"] = sum(TRUE[z] for z in atoms.numbers) if energy is None else energy
    if forces is not None:
        atoms.set_array("REF_forces", np.asarray(forces, dtype=float))
    return atoms


MOLECULES = [labelled(molecule(name)) for name in ("CH4", "H2O", "CO2", "CH3CH2OH", "C6H6")]


class TestLeastSquares:
    def test_additive_energies_are_found_exactly(self):
        found = reference_energies(MOLECULES)
        assert found.species == (1, 6, 8)
        assert found.energies == pytest.approx(tuple(TRUE.values()), abs=1e-8)
        assert (found.rank, found.deficiency, found.method) == (3, 0, "least_squares")

    @given(st.lists(st.floats(-5, 5), min_size=5, max_size=5))
    def test_residuals_are_orthogonal_to_compositions(self, noise):
        """The normal equations, the definition of a least-squares solution."""
        frames = [labelled(a, a.info["REF_energy"] + n) for a, n in zip(MOLECULES, noise, strict=True)]
        found = reference_energies(frames)
        residual = np.array([a.info["REF_energy"] - found.of(a.numbers) for a in frames])
        counts = np.array([[np.sum(a.numbers == z) for z in found.species] for a in frames])
        assert np.abs(counts.T @ residual).max() < 1e-7

    def test_one_composition_gives_the_least_norm_and_says_so(self, caplog):
        ethanol = labelled(molecule("CH3CH2OH"), -4209.0)
        with caplog.at_level(logging.WARNING):
            found = reference_energies([ethanol, ethanol])
        assert found.deficiency == 2
        assert "compositions of rank 1 for 3 elements (H, C, O)" in caplog.text
        assert found.of(ethanol.numbers) == pytest.approx(-4209.0)
        counts = np.array([6, 2, 1])
        assert found.energies == pytest.approx(-4209.0 * counts / (counts @ counts))

    def test_structures_without_energy_add_their_elements_only(self):
        found = reference_energies([*MOLECULES, labelled(molecule("SH2"), np.nan)])
        assert found.species == (1, 6, 8, 16)
        assert found.energies[:3] == pytest.approx(tuple(TRUE.values()), abs=1e-8)
        assert found.energies[3] == 0.0
        assert found.deficiency == 1

    def test_no_energy_at_all(self):
        with pytest.raises(DataError, match="none of the 1 structures"):
            reference_energies([molecule("H2O")])
        with pytest.raises(DataError, match="no structures"):
            reference_energies([])

    @pytest.mark.parametrize("wrong", [molecule("H2O"), [1], ["H2O"]])
    def test_no_list_of_structures(self, wrong):
        with pytest.raises(DataError, match=r"must be a list of ase\.Atoms; put a single one into a list"):
            reference_energies(wrong)


class TestIsolatedAtoms:
    def atoms(self):
        return [Atoms("H", info={"REF_energy": -13.6}), Atoms("O", info={"REF_energy": -2040.0})]

    def test_found(self):
        found = reference_energies([*self.atoms(), labelled(molecule("H2O"))], "isolated")
        assert found.energies == (-13.6, -2040.0)
        assert found.method == "isolated"

    def test_the_lowest_state_counts(self):
        excited = Atoms("O", info={"REF_energy": -2035.0})
        assert reference_energies([excited, *self.atoms(), excited], "isolated").energies[1] == -2040.0

    def test_a_box_without_periodicity_is_fine(self):
        atom = Atoms("H", cell=[50, 50, 50], info={"REF_energy": -13.6})
        assert reference_energies([atom], "isolated").energies == (-13.6,)

    def test_a_periodic_cell_of_one_atom_is_a_crystal(self):
        crystal = bulk("Cu")
        crystal.info["REF_energy"] = -3.7
        with pytest.raises(DataError, match=r"no isolated atom with an energy for Cu \(1 one-atom frames are periodic"):
            reference_energies([crystal], "isolated")

    def test_an_element_without_one(self):
        with pytest.raises(DataError, match="no isolated atom with an energy for C;"):
            reference_energies([*self.atoms(), labelled(molecule("CO2"))], "isolated")


class TestGiven:
    @pytest.mark.parametrize("keys", [("H", "O"), (1, 8), ("1", "8")])
    def test_by_symbol_or_number(self, keys):
        found = reference_energies([molecule("H2O")], dict(zip(keys, (-13.0, -2000.0), strict=True)))
        assert found.energies == (-13.0, -2000.0)

    def test_others_are_ignored(self):
        assert reference_energies([Atoms("H")], {"H": -13.0, "O": -2000.0}).energies == (-13.0,)

    @pytest.mark.parametrize(
        ("method", "message"),
        [
            ({"H": -13.0}, "no energy given for O"),
            ({"H": -13.0, "O": float("nan")}, "no energy given for O"),
            ({"H": -13.0, "Oxygen": -1.0}, "'Oxygen' is no element"),
            ({"H": -13.0, 0: -1.0}, "0 is no element"),
            ("average", "allowed are 'least_squares'"),
        ],
    )
    def test_refused(self, method, message):
        with pytest.raises(DataError, match=message):
            reference_energies([molecule("H2O")], method)

    def test_zero(self):
        assert reference_energies([molecule("H2O")], "zero").energies == (0.0, 0.0)


class TestScale:
    def test_forces_set_it(self):
        rng = np.random.default_rng(0)
        frames = [labelled(molecule("CH4"), forces=2.0 * rng.standard_normal((5, 3))) for _ in range(200)]
        assert energy_scale(frames, reference_energies(frames)) == pytest.approx(2.0, rel=0.05)

    def test_one_broken_structure_does_not(self):
        rng = np.random.default_rng(0)
        frames = [labelled(molecule("CH4"), forces=rng.standard_normal((5, 3))) for _ in range(200)]
        frames[7] = labelled(molecule("CH4"), forces=np.full((5, 3), 1e5))
        assert energy_scale(frames, reference_energies(frames)) == pytest.approx(1.0, rel=0.1)

    def test_energies_set_it_where_there_are_no_forces(self):
        rng = np.random.default_rng(0)
        frames = [labelled(molecule("CH4"), -1000 + 5 * 0.3 * rng.standard_normal()) for _ in range(500)]
        assert energy_scale(frames, reference_energies(frames)) == pytest.approx(0.3, rel=0.1)

    def test_nothing_to_go_by(self):
        frames = [labelled(molecule("H2O"), forces=np.zeros((3, 3)))]
        assert energy_scale(frames, reference_energies(frames)) == 1.0


def test_closest_distances_by_brute_force():
    atoms = molecule("CH3CH2OH")
    found = closest_distances(graph([atoms, molecule("H2O")], 6.0))
    distances = atoms.get_all_distances()
    for (a, b), shortest in found.items():
        block = distances[np.ix_(atoms.numbers == a, atoms.numbers == b)]
        water = molecule("H2O").get_all_distances()[np.ix_(molecule("H2O").numbers == a, molecule("H2O").numbers == b)]
        everything = np.concatenate([block[block > 0], water[water > 0]])
        assert shortest == pytest.approx(everything.min(), abs=1e-12)
    assert set(found) == {(1, 1), (1, 6), (1, 8), (6, 6), (6, 8)}


def test_closest_distances_of_nothing():
    assert closest_distances(graph(Atoms("H"), 3.0)) == {}
