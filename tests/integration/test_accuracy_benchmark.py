"""The accuracy benchmark trains, predicts, goes on where it stopped, and collects, at its smallest size."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

import invarion as inv

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from accuracy_data import benchmarks, composition_energies  # noqa: E402 - from the path above
from accuracy_errors import errors  # noqa: E402 - likewise


def run(*arguments, script="accuracy.py"):
    command = [sys.executable, BENCHMARKS / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_contestants_train_and_results_are_collected(tmp_path):
    pytest.importorskip("hippynn", reason="a peer to run: pip install invarion[peers]")
    folder = tmp_path / "results"
    arguments = ["ethanol_200", "--smoke", "--results", folder, "--contestants", "invarion", "hippynn:ts1"]
    done = run(*arguments, "--table", tmp_path / "table.md", "--plot", tmp_path)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in folder.glob("ethanol_200/*.json")]
    assert {r["contestant"] for r in results} == {"invarion", "hippynn:ts1"}
    for result in results:
        assert result["epochs"] == len(result["curve"]) >= 1
        assert result["test"]["test"]["n_structures"] == 4
        assert 0 < result["test"]["test"]["forces_mae_mev_per_angstrom"] < 1e5
    table = (tmp_path / "table.md").read_text()
    assert re.search(r"\| invarion \| 0.1 \| 1 x [^|]+ \| 1 \|", table)
    assert (tmp_path / "time.png").stat().st_size > 5_000
    again = run(*arguments)
    assert again.stderr.count("is there\n") == 2
    result = folder / "ethanol_200" / "invarion_0.1min_seed0.json"
    result.write_text(result.read_text().replace('"learning_rate": 0.001', '"learning_rate": 0.5'))
    refused = run(*arguments)
    assert "FAILED: is there with learning_rate 0.5, not 0.001" in refused.stderr


def test_a_result_of_other_settings_is_not_taken_for_this_one(tmp_path):
    (tmp_path / "x.yaml").write_text("model: {kind: no_such_kind}\n")
    arguments = ("ethanol_200", "--smoke", "--results", tmp_path, "--contestants", f"invarion@{tmp_path}/x.yaml")
    stored = {"threads": 1, "asked": {"model": {"kind": "hip_nn"}}, "n_train": 8, "test": {"test": {"n_structures": 4}}}
    (tmp_path / "ethanol_200").mkdir()
    (tmp_path / "ethanol_200" / "invarion@x_0.1min_seed0.json").write_text(json.dumps(stored))
    done = run(*arguments)
    assert done.returncode == 1
    assert "FAILED: is there with asked {'model': {'kind': 'hip_nn'}}, not {'model': {'kind': 'no_such_k" in done.stderr


def test_nothing_of_a_training_that_was_stopped_is_used(tmp_path):
    (tmp_path / "x.yaml").write_text("model: {kind: no_such_kind}\n")
    stale = tmp_path / "ethanol_200" / "invarion@x_0.1min_seed0" / "facts.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    done = run("ethanol_200", "--smoke", "--results", tmp_path, "--contestants", f"invarion@{tmp_path}/x.yaml")
    assert done.returncode == 1
    assert not stale.exists()


def test_members_of_a_committee_share_the_time(tmp_path):
    (tmp_path / "two.yaml").write_text("model: {n_features: 8, message_rank: 1}\ncommittee: 2\n")
    contestant = f"invarion@{tmp_path}/two.yaml"
    done = run("ethanol_200", "--smoke", "--results", tmp_path, "--contestants", contestant)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "ethanol_200" / "invarion@two_0.1min_seed0.json").read_text())
    assert result["settings"]["committee"] == 2
    assert 0.0 < result["settings"]["training"]["max_minutes"] < 0.05  # reading takes some of it
    assert result["epochs"] == len(result["curve"]) >= 2


def test_a_folder_of_settings_stands_for_its_files(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text("model: {kind: no_such_kind}\n")
    done = run("ethanol_200", "--smoke", "--results", tmp_path, "--contestants", f"invarion@{tmp_path}")
    assert done.returncode == 1
    assert re.findall(r"/(\w+).yaml 0.1 0 FAILED", done.stderr) == ["a", "b"]


def test_fine_tuning_is_compared_with_training_from_scratch(shared, tmp_path):
    done = run("--data", shared / "data", "--smoke", "--json", tmp_path / "found.json", script="fine_tuning.py")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["errors"]
    assert {number: list(ways) for number, ways in found.items()} == {
        "0": ["as it is"],
        "10": ["from scratch", "fine-tuned"],
    }
    assert done.stdout.count("\n") >= 5


def test_a_student_learns_from_what_a_teacher_labels(tmp_path):
    frames = read(BENCHMARKS.parent / "examples" / "ethanol" / "valid.extxyz", ":")
    inv.save(inv.Potential.from_data(inv.hip_nn(4.0, n_features=4), frames), tmp_path / "teacher.inv")
    settings = ("--size", "small", "--frames", "70", "--minutes", "0.05", "--json", tmp_path / "found.json")
    done = run(tmp_path / "teacher.inv", *settings, script="distillation.py")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found["errors"]) == ["teacher", "labels alone", "student"]
    assert found["labels alone against the teacher on its frames"]["n_structures"] == 70


def test_unknown_names_are_refused():
    assert "no benchmark ethanol;" in run("ethanol").stderr
    assert "no contestant schnet" in run("ethanol_200", "--contestants", "schnet").stderr
    assert "--data DIR" in run("qm7", "--contestants", "invarion", "--results", "/nonexistent").stderr


def test_errors_are_those_of_the_labels():
    frames = [Atoms("H2", [(0, 0, 0), (0, 0, d)], info={"REF_energy": float(d), "curve": "a"}) for d in (1, 2)]
    for atoms in frames:
        atoms.arrays["REF_forces"] = np.zeros((2, 3))
    found = errors(frames, np.array([1.1, 2.3]), np.full((4, 3), 0.002))
    assert found["energy_mae_mev"] == pytest.approx(200)
    assert found["energy_rmse_mev_per_atom"] == pytest.approx(50 * np.sqrt(5))
    assert found["energy_mae_kcal_per_mol"] == pytest.approx(0.2 * 23.0605, rel=1e-5)
    assert found["forces_mae_mev_per_angstrom"] == found["forces_rmse_mev_per_angstrom"] == pytest.approx(2)
    assert found["relative_energy_mae_kcal_per_mol"] == pytest.approx(0.1 * 23.0605, rel=1e-5)
    with pytest.raises(ValueError, match="finite"):
        errors(frames, np.array([np.nan, 0]), np.zeros((4, 3)))


def test_composition_energies_reproduce_what_is_additive():
    frames = [Atoms(name, info={"REF_energy": energy}) for name, energy in (("CH4", 18.0), ("C2H2", 24.0))]
    assert composition_energies(frames) == pytest.approx({1: 2.0, 6: 10.0})


SIZES = {
    "methane_1k": (810, 90),
    "methane_3k5": (3093, 343),
    "3bpa": (450, 50),
    "qm7": (5159, 573),
    "s66x8": (873, 96),
}


@pytest.mark.parametrize("name", [*SIZES, "zuo_Li", "aspirin_200"])
def test_no_test_structure_is_trained_on(name, shared):
    data = benchmarks()[name].load(shared / "data")
    if name in SIZES:
        assert (len(data.train), len(data.valid)) == SIZES[name]
    known = {(len(atoms), atoms.positions.tobytes()) for atoms in data.train + data.valid}
    assert len(known) == len(data.train) + len(data.valid)
    tested = [(len(atoms), atoms.positions.tobytes()) for frames in data.tests.values() for atoms in frames]
    assert not known.intersection(tested)
