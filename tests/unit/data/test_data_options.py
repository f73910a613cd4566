"""The data section: which files become which part."""

import ase.io
import pytest
from ase import Atoms
from ase.build import molecule

from invarion.data.options import DataOptions, read_sets
from invarion.exceptions import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files with 20, 3 and 2 structures that know their file and place."""
    for name, n in (("train", 20), ("valid", 3), ("test", 2)):
        frames = [molecule("H2O", info={"energy": -float(i), "i": i, "file": name, "part": "train"}) for i in range(n)]
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sizes(**options):
    sets = read_sets(DataOptions(**options))
    return len(sets.train), len(sets.valid), len(sets.test)


def test_every_part_has_files(folder):
    sets = read_sets(DataOptions(train="train.extxyz", valid="valid.extxyz", test="test.extxyz"))
    assert [{a.info["file"] for a in part} for part in sets[:3]] == [{"train"}, {"valid"}, {"test"}]
    assert {part: table.n_structures for part, table in sets.tables.items()} == {"train": 20, "valid": 3, "test": 2}


def test_parts_are_split_off(folder):
    assert sizes(train="train.extxyz") == (18, 2, 0)
    assert sizes(train="train.extxyz", split=[0.5, 0.25, 0.25]) == (10, 5, 5)
    assert sizes(train="train.extxyz", split=[12, 4]) == (12, 4, 0)
    assert sizes(train="train.extxyz", test="test.extxyz") == (18, 2, 2)
    assert sizes(train="train.extxyz", split={"part_key": "part"}) == (20, 0, 0)


def test_globs_and_lists(folder):
    assert sum(sizes(train="*.extxyz")) == 25
    assert sum(sizes(train=["train.extxyz@:10", "valid.extxyz"])) == 13


def test_the_seed_counts(folder):
    def validated(seed):
        return [a.info["i"] for a in read_sets(DataOptions(train="train.extxyz", split={"seed": seed})).valid]

    assert validated(1) == validated(1)
    assert validated(1) != validated(2)


def test_isolated_atoms_stay_in_training(folder):
    ase.io.write(folder / "atoms.extxyz", [Atoms("H", info={"energy": -13.0}), Atoms("O", info={"energy": -2000.0})])
    for seed in range(10):
        options = DataOptions(train=["train.extxyz", "atoms.extxyz"], references="isolated", split={"seed": seed})
        assert sum(len(a) == 1 for a in read_sets(options).train) == 2


def test_a_missing_file_is_named(folder):
    with pytest.raises(DataError, match=r"did you mean train\.extxyz"):
        read_sets(DataOptions(train="trainn.extxyz"))
