"""`invarion init`: the first config is valid, says what was seen, and fits the data."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from invarion.configuration import draft_config, parse_config, read_sets
from invarion.configuration.sight import look_at
from invarion.configuration.text import parse_yaml
from invarion.data import label_table
from invarion.exceptions import DataError

ETHANOL = Path(__file__).parents[2] / "examples" / "ethanol"
SMALL = Path(__file__).parents[1] / "data"


def drafted(*args, **kwargs):
    text = draft_config(*args, **kwargs)
    return text, parse_config(parse_yaml(text))


def test_a_molecule():
    text, config = drafted(str(ETHANOL / "valid.extxyz"))
    assert "50 structures of 9 atoms, H C O; 50 not periodic" in text
    assert "calculator: energy            50       50       eV" in text
    assert "learned: energy, forces;" in text
    assert "rank 1 of the compositions for 3 elements" in text
    assert config.model.kind == "hip_hop_nn"
    assert config.model.cutoff == 5.5
    train, valid, test, _ = read_sets(config.data)
    assert (len(train), len(valid), len(test)) == (45, 5, 0)


def test_crystals_with_stress():
    text, config = drafted([SMALL / "crystals_with_stress.extxyz"])
    assert "6 crystals" in text
    assert "learned: energy, forces, stress;" in text
    assert "15 elements from Na to Pt" in text
    assert config.data.units == {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3"}


def test_data_without_energies_have_no_references(tmp_path):
    frames = [molecule("H2O") for _ in range(3)]
    for atoms in frames:
        atoms.arrays["REF_forces"] = np.ones((3, 3))
    ase.io.write(tmp_path / "forces.extxyz", frames)
    _, config = drafted(tmp_path / "forces.extxyz")
    assert config.data.references == "zero"


def test_one_structure_is_not_enough(tmp_path):
    ase.io.write(tmp_path / "one.extxyz", Atoms("H", info={"REF_energy": -1.0}))
    with pytest.raises(DataError, match="training needs two or more"):
        draft_config(tmp_path / "one.extxyz")


def test_keys_and_units_are_kept(tmp_path):
    frames = [molecule("H2O"), molecule("CO2"), Atoms("H"), Atoms("C"), Atoms("O")]
    for i, atoms in enumerate(frames):
        atoms.info["E_dft"] = -float(i)
    ase.io.write(tmp_path / "a: b.extxyz", frames)
    text, config = drafted(tmp_path / "a: b.extxyz", keys={"energy": "E_dft"}, units={"energy": "kcal/mol"})
    assert config.data.train == (str(tmp_path / "a: b.extxyz"),)
    assert config.data.keys == {"energy": "E_dft"}
    assert config.data.units == {"energy": "kcal/mol"}
    assert "there is an isolated atom of every element" in text
    assert "is the unit of length right" not in text


def test_a_wrong_unit_of_length_shows(tmp_path):
    atoms = molecule("CH3CH2OH", info={"energy": -1.0})
    atoms.positions /= 10
    ase.io.write(tmp_path / "nm.extxyz", [atoms, atoms])
    assert "is the unit of length right?" in draft_config(tmp_path / "nm.extxyz")


def test_without_labels_it_says_what_to_do(tmp_path):
    ase.io.write(tmp_path / "bare.extxyz", molecule("H2O", info={"E_dft_energy": -1.0}))
    with pytest.raises(DataError, match="present but not read: E_dft_energy"):
        draft_config(tmp_path / "bare.extxyz")


@pytest.mark.parametrize(("spacing", "most"), [(3.6, 60), (2.5, 60)])
def test_the_cutoff_keeps_neighbours_few(spacing, most):
    crystal = bulk("Cu", "fcc", a=spacing, cubic=True)
    seen = look_at([crystal], label_table([crystal]))
    assert 4.0 <= seen.cutoff <= 5.5
    assert seen.neighbours <= most or seen.cutoff == 4.0
    distances = np.sort(np.linalg.norm((np.indices((9, 9, 9)) - 4).reshape(3, -1), axis=0)) * spacing
    assert distances[1] > seen.closest[29, 29] > 0


def test_one_atom():
    seen = look_at([Atoms("H")], label_table([Atoms("H")]))
    assert seen.neighbours == 0
    assert seen.isolated == (1,)
