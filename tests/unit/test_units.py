"""Units: factors against ase.units, algebra of unit texts, and refusals."""

import pytest
from ase import units
from hypothesis import given
from hypothesis import strategies as st

from invarion.exceptions import DataError
from invarion.units import INTERNAL, factor, parse

KNOWN = [
    ("eV", "energy", 1.0),
    ("meV", "energy", 1e-3),
    ("Hartree", "energy", units.Hartree),
    ("Ha", "energy", units.Hartree),
    ("Ry", "energy", units.Rydberg),
    ("kcal/mol", "energy", units.kcal / units.mol),
    ("kJ/mol", "energy", units.kJ / units.mol),
    ("Bohr", "length", units.Bohr),
    ("nm", "length", 10.0),
    ("pm", "length", 0.01),
    ("kcal/mol/A", "forces", units.kcal / units.mol),
    ("Hartree/Bohr", "forces", units.Hartree / units.Bohr),
    ("Ry/a0", "forces", units.Rydberg / units.Bohr),
    ("GPa", "stress", units.GPa),
    ("kbar", "stress", 0.1 * units.GPa),
    ("bar", "stress", units.bar),
    ("Pa", "stress", units.Pascal),
    ("Hartree/Bohr^3", "stress", units.Hartree / units.Bohr**3),
    ("kJ/mol", "virial", units.kJ / units.mol),
]


@pytest.mark.parametrize(("text", "quantity", "expected"), KNOWN)
def test_factor_is_that_of_ase(text, quantity, expected):
    assert factor(text, quantity) == pytest.approx(expected, rel=1e-14)


def test_published_values():
    """Numbers from CODATA, so that a change of ase.units would be noticed."""
    assert factor("Hartree", "energy") == pytest.approx(27.211386, rel=1e-6)
    assert factor("kcal/mol", "energy") == pytest.approx(0.0433641, rel=1e-6)
    assert factor("Bohr", "length") == pytest.approx(0.52917721, rel=1e-7)
    assert factor("GPa", "stress") == pytest.approx(1 / 160.21766, rel=1e-7)


@pytest.mark.parametrize(
    "texts",
    [
        ("eV/A^3", "eV/A**3", "eV/A3", "eV/Å³", "eV A^-3", "eV * A^-3", "eV/Ang^3"),
        ("kJ/mol", "kJ mol^-1", "kJ·mol⁻¹", " kJ / mol "),
    ],
)
def test_spellings_of_one_unit(texts):
    assert {parse(text) for text in texts} == {parse(texts[0])}


@given(
    st.sampled_from(["eV", "Hartree", "Ry", "kcal"]),
    st.sampled_from(["A", "Bohr", "nm"]),
    st.integers(-3, 3),
    st.integers(-3, 3),
)
def test_powers_multiply(energy, length, a, b):
    unit = parse(f"{energy}^{a}*{length}^{b}")
    assert (unit.energy, unit.length) == (a, b)
    assert unit.factor == pytest.approx(parse(energy).factor ** a * parse(length).factor ** b, rel=1e-12)


def test_internal_units_are_one():
    assert all(factor(unit, quantity) == 1.0 for quantity, unit in INTERNAL.items())


@pytest.mark.parametrize(
    ("text", "quantity", "message"),
    [
        ("hartre", "energy", "did you mean 'hartree'"),
        ("parsec", "length", "unknown unit 'parsec'"),
        ("eV", "forces", "not a unit of forces"),
        ("eV/A", "energy", "not a unit of energy"),
        ("kcal", "energy", "/mol"),
        ("eV/", "energy", "unknown unit"),
        ("", "energy", "unknown unit"),
        ("eV/atom", "energy", "unknown unit 'atom'"),
    ],
)
def test_wrong_units_are_refused(text, quantity, message):
    with pytest.raises(DataError, match=message):
        factor(text, quantity)


def test_unknown_quantity_is_refused():
    with pytest.raises(DataError, match="no quantity 'dipole'"):
        factor("eV", "dipole")
