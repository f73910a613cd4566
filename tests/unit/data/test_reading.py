"""Files in: formats, globs, units, and one clear error for every way a file can be broken."""

import bz2
import gzip
import logging
import re
from contextlib import suppress
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree, kcal, mol
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from invarion.data import read, read_labelled
from invarion.exceptions import DataError

ETHANOL = Path(__file__).parents[3] / "examples" / "ethanol"
SMALL = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def frames():
    """Four labelled ethanol frames as ASE reads them."""
    return ase.io.read(ETHANOL / "valid.extxyz", ":4")


@pytest.fixture
def xyz(tmp_path, frames):
    ase.io.write(tmp_path / "four.extxyz", frames)
    return tmp_path / "four.extxyz"


class TestFormats:
    @pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.traj", "a.json", "a.db"])
    def test_any_that_ase_reads(self, tmp_path, frames, name):
        ase.io.write(tmp_path / name, frames)
        again = read(tmp_path / name)
        assert len(again) == 4
        for new, old in zip(again, frames, strict=True):
            assert new.info["REF_energy"] == pytest.approx(old.get_potential_energy(), abs=1e-8)
            assert np.allclose(new.arrays["REF_forces"], old.get_forces(), atol=1e-8)
            assert np.allclose(new.positions, old.positions, atol=1e-8)

    @pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
    def test_compressed(self, xyz, suffix, compress):
        packed = Path(f"{xyz}{suffix}")
        packed.write_bytes(compress(xyz.read_bytes()))
        assert [a.info["REF_energy"] for a in read(packed)] == [a.info["REF_energy"] for a in read(xyz)]

    def test_a_name_that_does_not_tell(self, xyz):
        odd = xyz.rename(xyz.with_suffix(".dat"))
        assert len(read(odd, format="extxyz")) == 4

    def test_stress_and_crystals(self):
        reading = read_labelled(SMALL / "crystals_with_stress.extxyz")
        assert reading.table.targets() == ("energy", "forces", "stress")
        for new, old in zip(reading.atoms, ase.io.read(SMALL / "crystals_with_stress.extxyz", ":"), strict=True):
            assert np.allclose(new.info["REF_stress"], old.get_stress(voigt=False), atol=1e-9)

    def test_what_is_written_is_read_the_same(self, tmp_path):
        """read -> ase.io.write -> read changes nothing, stress and weights included."""
        first = read(SMALL / "crystals_with_stress.extxyz")
        first[0].info["weight"] = 3.0
        ase.io.write(tmp_path / "again.extxyz", first)
        second = read(tmp_path / "again.extxyz")
        for a, b in zip(first, second, strict=True):
            assert a.info["REF_energy"] == b.info["REF_energy"]
            assert np.allclose(a.arrays["REF_forces"], b.arrays["REF_forces"], atol=1e-8)
            assert np.allclose(a.info["REF_stress"], b.info["REF_stress"], atol=1e-14)
        assert second[0].info["weight"] == 3.0


class TestPaths:
    def test_several_files_in_order(self, tmp_path, frames):
        for name, part in (("b.extxyz", frames[:1]), ("a.extxyz", frames[1:])):
            ase.io.write(tmp_path / name, part)
        energies = [a.get_potential_energy() for a in frames]
        got = [a.info["REF_energy"] for a in read([tmp_path / "b.extxyz", str(tmp_path / "a.extxyz")])]
        assert np.allclose(got, energies)
        globbed = [a.info["REF_energy"] for a in read(str(tmp_path / "*.extxyz"))]
        assert np.allclose(globbed, energies[1:] + energies[:1])

    def test_a_file_named_twice_is_read_once(self, xyz):
        assert len(read([xyz, str(xyz.parent / "*.extxyz")])) == 4

    def test_parts_of_files(self, xyz):
        assert [len(read(f"{xyz}@{part}")) for part in (":", "1:3", "::2", "-1")] == [4, 2, 2, 1]
        assert len(read(xyz, index=":2")) == 2

    def test_origin_is_noted(self, xyz):
        assert read(xyz)[2].info["origin"] == f"{xyz}, frame 2"

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("valid.extxz", "does not exist; did you mean valid.extxyz"),
            ("*.cif", "no file matches"),
            (".", "is a folder"),
            ("no/such/place.xyz", "there is no folder"),
        ],
    )
    def test_absent(self, path, message):
        with pytest.raises(DataError, match=message):
            read(ETHANOL / path)

    def test_none_at_all(self):
        with pytest.raises(DataError, match="no file was given"):
            read([])


class TestUnits:
    def test_everything_in_atomic_units(self, tmp_path):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=1)
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        raw = Atoms(atoms.symbols, atoms.positions / Bohr, cell=atoms.cell.array / Bohr, pbc=True)
        raw.info = {"e": energy / Hartree, "v": -stress * atoms.get_volume() / Hartree}
        raw.set_array("f", forces / (Hartree / Bohr))
        ase.io.write(tmp_path / "cu.extxyz", raw)
        (new,) = read(
            tmp_path / "cu.extxyz",
            keys={"energy": "e", "forces": "f", "virial": "v"},
            units={"energy": "Hartree", "forces": "Hartree/Bohr", "length": "Bohr"},
        )
        assert np.allclose(new.positions, atoms.positions, atol=1e-7)
        assert np.allclose(new.cell.array, atoms.cell.array, atol=1e-7)
        assert new.info["REF_energy"] == pytest.approx(energy)
        assert np.allclose(new.arrays["REF_forces"], forces, atol=1e-6)
        assert np.allclose(new.info["REF_stress"], stress, atol=1e-7)

    def test_results_of_a_calculator_survive_another_length(self, tmp_path):
        atoms = molecule("H2O")
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0)
        ase.io.write(tmp_path / "w.extxyz", atoms)
        (new,) = read(tmp_path / "w.extxyz", units={"length": "nm", "energy": "eV"})
        assert np.allclose(new.positions, 10 * atoms.positions, atol=1e-6)
        assert new.get_potential_energy() == -10.0


class TestArchives:
    def arrays(self, frames, scale=mol / kcal):
        return {
            "nuclear_charges": frames[0].numbers,
            "coords": np.array([a.positions for a in frames]),
            "energies": np.array([a.get_potential_energy() for a in frames]) * scale,
            "forces": np.array([a.get_forces() for a in frames]) * scale,
        }

    def test_rmd17_is_in_kcal(self, tmp_path, frames):
        np.savez(tmp_path / "rmd17_ethanol.npz", **self.arrays(frames))
        for new, old in zip(read(tmp_path / "rmd17_ethanol.npz"), frames, strict=True):
            assert new.info["REF_energy"] == pytest.approx(old.get_potential_energy(), abs=1e-9)
            assert np.allclose(new.arrays["REF_forces"], old.get_forces(), atol=1e-12)
            assert new.get_chemical_formula() == "C2H6O"
        assert len(read(f"{tmp_path}/rmd17_ethanol.npz@1:3")) == 2

    def test_declared_units_win(self, tmp_path, frames):
        np.savez(tmp_path / "x.npz", **self.arrays(frames, scale=1.0))
        new = read(tmp_path / "x.npz", units={"energy": "eV", "forces": "eV/A"})
        assert new[0].info["REF_energy"] == pytest.approx(frames[0].get_potential_energy())

    def test_sgdml_needs_units_unless_it_says_them(self, tmp_path, frames):
        names = dict(zip(("z", "R", "E", "F"), self.arrays(frames).values(), strict=True))
        np.savez(tmp_path / "x.npz", **names)
        with pytest.raises(DataError, match="does not say its units"):
            read(tmp_path / "x.npz")
        np.savez(tmp_path / "x.npz", **names, e_unit="kcal/mol", r_unit="Ang")
        assert read(tmp_path / "x.npz")[1].info["REF_energy"] == pytest.approx(frames[1].get_potential_energy())

    def test_padded_rows(self, tmp_path):
        np.savez(tmp_path / "x.npz", nuclear_charges=[[1, 1, 0], [8, 1, 1]], coords=np.arange(18.0).reshape(2, 3, 3))
        assert [str(a.symbols) for a in read(tmp_path / "x.npz")] == ["H2", "OH2"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"coords": np.zeros((4, 9, 2))}, r"coords has shape \(4, 9, 2\)"),
            ({"energies": np.zeros(3)}, r"energies has shape \(3,\)"),
            ({"forces": np.zeros((4, 8, 3))}, r"forces has shape"),
            ({"nuclear_charges": np.ones(8, int)}, "nuclear_charges has shape"),
        ],
    )
    def test_arrays_that_do_not_fit(self, tmp_path, frames, change, message):
        np.savez(tmp_path / "x.npz", **{**self.arrays(frames), **change})
        with pytest.raises(DataError, match=message):
            read(tmp_path / "x.npz")

    def test_other_archives(self, tmp_path):
        np.savez(tmp_path / "x.npz", foo=np.zeros(3))
        with pytest.raises(DataError, match="holds the arrays foo"):
            read(tmp_path / "x.npz")
        np.savez(tmp_path / "x.npz", nuclear_charges=np.array([None]), coords=np.zeros((1, 1, 3)))
        with pytest.raises(DataError, match="not a readable"):  # a pickle inside is not loaded
            read(tmp_path / "x.npz")
        (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut short")
        with pytest.raises(DataError, match="not a readable"):
            read(tmp_path / "x.npz")


HEAD = "1\nProperties=species:S:1:pos:R:3"
BROKEN = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n", "frame 0|holds no structure"),
    "not xyz": ("hello\nworld\n", "frame 0: cannot be read"),
    "forces of two columns": (f"{HEAD}:forces:R:2 energy=-1\nH 0 0 0 1 2\n", r"frame 0: .*shape \(1, 2\)"),
    "energy is a word": (f"{HEAD} energy=high\nH 0 0 0\n", "frame 0: .*not a number"),
    "two energies": (f'{HEAD} energy="1 2"\nH 0 0 0\n', "frame 0: .*one number"),
    "infinite energy": (f"{HEAD} energy=inf\nH 0 0 0\n", "frame 0: .*infinite"),
    "no such element": (f"{HEAD}\nXx 0 0 0\n", "frame 0: cannot be read"),
    "dummy atom": (f"{HEAD}\nX 0 0 0\n", "frame 0: .*atomic number 0"),
    "NaN position": (f"{HEAD}\nH nan 0 0\n", "frame 0: .*not finite"),
    "infinite position": (f"{HEAD}\nH inf 0 0\n", "frame 0: .*not finite"),
    "no volume": ('1\nLattice="3 0 0 0 3 0 0 0 0" Properties=species:S:1:pos:R:3 pbc="T T T"\nH 0 0 0\n', "no volume"),
    "one spot": ("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 0\n", "atoms 0 and 1 are on one spot"),
    "no atoms": ("0\nProperties=species:S:1:pos:R:3\n", "no atoms"),
    "absurd energy": (f"{HEAD} energy=-1e12\nH 0 0 0\n", "is its unit right"),
}


class TestBroken:
    @pytest.mark.parametrize("name", BROKEN)
    def test_one_clear_error(self, tmp_path, name):
        text, message = BROKEN[name]
        path = tmp_path / "broken.extxyz"
        path.write_text(text)
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)

    def test_the_frame_is_named(self, xyz):
        lines = xyz.read_text().splitlines()
        lines[2 * 11 + 5] = "H nan 0 0 0 0 0"
        xyz.write_text("\n".join(lines))
        with pytest.raises(DataError, match=re.escape(f"{xyz}, frame 2: the position of atom 3")):
            read(xyz)

    @pytest.mark.parametrize("line", [12, 25, 30, 43])
    def test_truncated(self, xyz, line):
        xyz.write_text("\n".join(xyz.read_text().splitlines()[:line]) + "\n")
        with pytest.raises(DataError, match=f"frame {line // 11}: cannot be read"):
            read(xyz)

    def test_cut_within_the_last_number(self, xyz):
        xyz.write_text(xyz.read_text()[:-3])
        with pytest.raises(DataError, match="the last line ends before its last column"):
            read(xyz)
        assert len(read(f"{xyz}@0:2")) == 2

    def test_a_last_line_without_its_end_is_whole(self, xyz):
        xyz.write_text(xyz.read_text().rstrip("\n"))
        assert len(read(xyz)) > 2

    @pytest.mark.parametrize(("index", "message"), [("x", "'x' is no index"), ("1000", "no structure at index 1000")])
    def test_an_index_that_is_none_or_beyond_the_end(self, xyz, tmp_path, index, message):
        np.savez(tmp_path / "a.npz", nuclear_charges=[1, 1], coords=np.eye(3)[None, :2], energies=[0.0])
        for path in (xyz, tmp_path / "a.npz"):
            with pytest.raises(DataError, match=message):
                read(f"{path}@{index}")

    def test_frames_after_a_blank_line_are_not_lost_in_silence(self, xyz):
        lines = xyz.read_text().splitlines()
        xyz.write_text("\n".join([*lines[:22], "", *lines[22:]]))
        with pytest.raises(DataError, match=r"frame 2: .*2\d lines follow"):
            read(xyz)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(cut=st.integers(0, 2800), junk=st.binary(max_size=8))
    def test_damage_gives_a_data_error_or_whole_frames(self, xyz, frames, cut, junk):
        """Whatever happens to the end of a file: an error of ours, or exactly the frames that are whole."""
        whole = xyz.with_name("whole.extxyz")
        if not whole.exists():
            ase.io.write(whole, frames)
        xyz.write_bytes(whole.read_bytes()[:cut] + junk)
        with suppress(DataError):
            got = read(xyz)
            assert 1 <= len(got) <= 4
            assert all(len(a) == 9 for a in got)

    def test_a_left_handed_cell_is_sound(self, tmp_path):
        ase.io.write(tmp_path / "l.extxyz", Atoms("Cu", cell=[[0, 2, 2], [2, 2, 0], [2, 0, 2]], pbc=True))
        (atoms,) = read(tmp_path / "l.extxyz")
        assert np.linalg.det(atoms.cell.array) == pytest.approx(-16.0)

    def test_no_labels_is_a_warning_with_the_table(self, tmp_path, caplog):
        ase.io.write(tmp_path / "bare.extxyz", molecule("H2O"))
        with caplog.at_level(logging.WARNING):
            assert "REF_energy" not in read(tmp_path / "bare.extxyz")[0].info
        assert "missing" in caplog.text


@pytest.mark.parametrize(("index", "count"), [(3, 1), (-1, 1), (slice(2, 8, 2), 3), (slice(None), 50), ("40:", 10)])
def test_frames_by_number_slice_or_text(index, count):
    assert len(read(ETHANOL / "valid.extxyz", index=index)) == count


@pytest.mark.parametrize("name", ["keys", "units"])
def test_keys_and_units_are_mappings(name):
    with pytest.raises(DataError, match=f"{name} is 'energy'; give a mapping"):
        read(ETHANOL / "valid.extxyz", **{name: "energy"})


def test_shipped_data_is_what_its_readme_says():
    parts = {name: read(ETHANOL / f"{name}.extxyz") for name in ("train", "valid", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 950, "valid": 50, "test": 500}
    train, valid, test = (np.array([a.positions.ravel() for a in part]) for part in parts.values())
    assert cdist(test, np.vstack([train, valid])).min() > 0.05  # no frame is in two parts
    assert cdist(valid, train).min() > 0.05


@pytest.mark.parametrize("name", ["3bpa/train_300K.xyz", "zuo2020/Cu_test.extxyz", "mptrj/mptrj_1k.extxyz"])
def test_shared_sets_as_ase_reads_them(shared, name):
    ours, theirs = read(shared / "data" / name), ase.io.read(shared / "data" / name, ":")
    assert [a.info["REF_energy"] for a in ours] == [a.get_potential_energy() for a in theirs]
    assert all(np.array_equal(a.arrays["REF_forces"], b.get_forces()) for a, b in zip(ours, theirs, strict=True))
