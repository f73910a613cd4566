"""Raw labels: shapes, signs, order, units and refusals."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.units import GPa, Hartree
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from invarion.data.conversion import check_agreement, convert
from invarion.exceptions import DataError

CELL = Atoms("H2", [(0, 0, 0), (0, 0, 1)], cell=[2, 3, 4], pbc=True)
STRESS = np.array([[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]])


def test_voigt_order_is_that_of_ase():
    assert np.array_equal(convert([1, 2, 3, 0.4, 0.5, 0.6], "stress", "eV/A^3", CELL, "s"), STRESS)


@pytest.mark.parametrize("raw", [STRESS, STRESS.ravel(), STRESS.tolist()])
def test_stress_from_nine_numbers(raw):
    assert np.array_equal(convert(raw, "stress", "eV/A^3", CELL, "s"), STRESS)


@pytest.mark.parametrize("cell", [[2, 3, 4], [[0, 3, 0], [2, 0, 0], [0, 0, 4]]], ids=["right", "left-handed"])
def test_virial_is_minus_volume_times_stress(cell):
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 1)], cell=cell, pbc=True)
    assert np.allclose(convert(-24.0 * STRESS, "virial", "eV", atoms, "v"), STRESS, rtol=1e-14)


def test_stress_of_a_compressed_crystal_is_negative_as_in_ase():
    """The sign convention checked against a calculator: a squeezed crystal has dE/dstrain < 0."""
    atoms = bulk("Cu", a=3.4)
    atoms.calc = EMT()
    squeezed = convert(atoms.get_stress(), "stress", "eV/A^3", atoms, "s")
    wider = bulk("Cu", a=3.4 * 1.001)
    wider.calc = EMT()
    slope = (wider.get_potential_energy() - atoms.get_potential_energy()) / (0.003 * atoms.get_volume())
    assert np.trace(squeezed) / 3 == pytest.approx(slope, rel=0.02)
    assert slope < 0


def test_units_are_applied():
    assert convert(-0.5, "energy", "Hartree", CELL, "e") == pytest.approx(-0.5 * Hartree)
    assert np.allclose(convert(STRESS, "stress", "GPa", CELL, "s"), STRESS * GPa)


@pytest.mark.parametrize("raw", [-1.5, np.float64(-1.5), [-1.5], np.array([[-1.5]]), "-1.5"])
def test_an_energy_is_one_number(raw):
    assert convert(raw, "energy", "eV", CELL, "e") == -1.5


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        ("abc", "energy", "not a number"),
        (True, "energy", "not a number"),
        ([1.0, 2.0], "energy", "one number"),
        (np.inf, "energy", "infinite"),
        (1e9, "energy", "no matter does"),
        (np.zeros((3, 3)), "forces", r"\(2, 3\)"),
        (np.zeros((2, 2)), "forces", r"\(2, 3\)"),
        (np.zeros(6), "forces", r"\(2, 3\)"),
        (np.full((2, 3), 1e7), "forces", "no matter does"),
        ([[1.0], [1.0, 2.0]], "forces", "not a number"),
        (np.zeros(5), "stress", "xx yy zz yz xz xy"),
        (np.arange(9.0), "stress", "not symmetric"),
        (np.full(6, 1e4), "stress", "no matter does"),
    ],
)
def test_labels_that_cannot_be_used(raw, kind, message):
    with pytest.raises(DataError, match=f"^a.xyz, frame 1: key.*{message}"):
        convert(raw, kind, {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3"}[kind], CELL, "a.xyz, frame 1: key")


def test_nan_passes_as_no_label():
    assert np.isnan(convert(np.nan, "energy", "eV", CELL, "e"))
    assert np.isnan(convert(np.full((2, 3), np.nan), "forces", "eV/A", CELL, "f")).all()


@given(arrays(np.float64, (3, 3), elements=st.floats(-1, 1)))
def test_agreement_needs_the_sign(stress):
    symmetric = stress + stress.T
    check_agreement(symmetric, symmetric, "x")
    if np.abs(symmetric).max() > 1e-3:
        with pytest.raises(DataError, match="virial = -V stress"):
            check_agreement(symmetric, -symmetric, "x")
