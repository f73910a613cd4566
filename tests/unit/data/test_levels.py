"""Sets of several levels of theory: their zeros differ, their structures need not."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from invarion.data.levels import level_shifts
from invarion.data.options import DataOptions, read_sets
from invarion.exceptions import DataError

ZEROS = {"low": {"H": -13.0, "C": -1000.0, "O": -2000.0}, "high": {"H": -14.5, "C": -1030.0, "O": -2041.0}}
MOLECULES = ("H2O", "CH4", "CO2", "CH3OH", "H2", "C2H6")


def labelled(name, level, wiggle=0.0):
    atoms = molecule(name)
    energy = sum(ZEROS[level][symbol] for symbol in atoms.get_chemical_symbols()) + wiggle
    atoms.info.update(REF_energy=energy, level=level, wiggle=wiggle)
    return atoms


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten structures of one level and six of another in one file, and one each to test on."""
    wiggles = np.random.default_rng(0).normal(0.0, 1e-3, 6)
    low = [labelled(name, "low", w) for name, w in zip(MOLECULES, wiggles, strict=True)] + [labelled("H2O", "low")] * 4
    high = [labelled(name, "high", w) for name, w in zip(MOLECULES, wiggles, strict=True)]
    ase.io.write(tmp_path / "train.extxyz", [*low, *high])
    ase.io.write(tmp_path / "test.extxyz", [labelled("C2H6", "low"), labelled("C2H6", "high")])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def excess(atoms, level):
    """Energy above the sum of a level's zeros."""
    return atoms.get_potential_energy() - sum(ZEROS[level][symbol] for symbol in atoms.get_chemical_symbols())


@pytest.mark.parametrize(("levels", "zero"), [("level", "low"), ({"key": "level", "zero": "high"}, "high")])
def test_all_energies_come_to_one_zero(folder, levels, zero):
    sets = read_sets(DataOptions(train="train.extxyz", test="test.extxyz", levels=levels, split=(15, 1)))
    for atoms in [*sets.train, *sets.test]:
        assert excess(atoms, zero) == pytest.approx(atoms.info["wiggle"], abs=2e-2)
        assert atoms.info["REF_energy"] == atoms.get_potential_energy()
    kept = [a for a in sets.train if a.info["level"] == zero]
    assert all(excess(a, zero) == pytest.approx(a.info["wiggle"], abs=1e-10) for a in kept)


def test_one_composition_is_enough(folder):
    """A level that has one molecule only is shifted as that molecule needs."""
    frames = [labelled(name, "low") for name in MOLECULES] + [labelled("CH3OH", "high", w) for w in (-0.2, 0.2)]
    shifts = level_shifts(frames, "level", "low")
    shifts.apply(frames)
    assert [a.info["REF_energy"] for a in frames[-2:]] == pytest.approx(
        [frames[3].info["REF_energy"] - 0.2, frames[3].info["REF_energy"] + 0.2]
    )


def test_levels_that_cannot_be_aligned(folder):
    frames = [labelled("H2O", "low"), labelled("H2O", "high")]
    with pytest.raises(DataError, match="none of the levels"):
        level_shifts(frames, "level", "higher")
    with pytest.raises(DataError, match="no info"):
        level_shifts([*frames, molecule("H2O")], "level")
    with pytest.raises(DataError, match="no structure of level 'dark'"):
        level_shifts([*frames, Atoms("H", info={"level": "dark"})], "level")
    with pytest.raises(DataError, match="its level is 'other'"):
        level_shifts(frames, "level").apply([Atoms("H", info={"level": "other"})])
