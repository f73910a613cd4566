"""The command line as a user meets it: results, exit statuses, one clear message for every mistake."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from typer.testing import CliRunner, Result

from invarion import committee, load, save
from invarion.cli import app

ETHANOL = Path(__file__).parents[2] / "examples" / "ethanol"
COMMANDS = (
    "init",
    "train",
    "fit",
    "committee",
    "evaluate",
    "info",
    "md",
    "basis",
    "describe",
    "degenerate",
    "convert",
    "export",
    "doctor",
)
CONFIG = f"""
data:
  train: {ETHANOL}/train.extxyz@:24
  valid: {ETHANOL}/valid.extxyz@:6
  test: {ETHANOL}/test.extxyz@:8
model:
  kind: hip_nn
  cutoff: 3.5
  n_features: 4
  n_interactions: 1
  n_atom_layers: 1
  n_sensitivities: 5
training: {{max_epochs: 2, progress: false}}
output: {{folder: runs/a}}
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def parsed(*arguments: object) -> dict:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    """The message of a user's mistake: status 2, nothing on stdout, no traceback."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    errors = [place for place, line in enumerate(lines) if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    return "\n".join(lines[errors[0] :])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder made by `invarion train`; the working folder is left as it was."""
    place = tmp_path_factory.mktemp("work")
    config = place / "config.yaml"
    config.write_text(CONFIG)
    result = call("train", config, "-o", f"output.folder={place / 'run'}")
    assert result.exit_code == 0, result.output
    (place / "out.txt").write_text(result.stdout)
    return place / "run"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name):
    result = call(name, "--help")
    assert result.exit_code == 0
    assert f"Example:  invarion {name} " in re.sub(r"\s+", " ", result.stdout).replace("Example: ", "Example:  ") + " "


HELP = """
import sys
from invarion.cli import app
try:
    app(["--help"])
except SystemExit as stop:
    status = stop.code
heavy = {"torch", "numpy", "ase", "lightning", "matplotlib", "scipy"} & set(sys.modules)
sys.exit(status or (f"imported {heavy}" if heavy else 0))
"""


def test_help_imports_nothing_heavy():
    ran = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert all(name in ran.stdout for name in COMMANDS)


@pytest.mark.parametrize(("rank", "degree", "count"), [(2, 4, 6), (3, 4, 13), (4, 5, 22)])
def test_basis_counts(rank, degree, count):
    found = parsed("basis", "--max-rank", rank, "--max-degree", degree)
    assert found["n_invariants"] == found["rank"] == count
    assert found["dimension"] - found["orbit_dimension"] == count
    assert found["complete"] is True
    assert found["independent"] is True
    assert len(found["invariants"]) == count
    assert {"name", "einsum", "degree", "parity", "cost"} <= set(found["invariants"][0])
    assert {"max_rank", "max_degree", "channels", "kind", "parity", "certificate"} <= set(found)


def test_degree_too_low_is_no_error_and_names_the_one_that_suffices():
    found = parsed("basis", "--max-rank", 3, "--max-degree", 3)
    assert found["complete"] is False
    assert found["n_invariants"] == 8
    result = call("basis", "--max-rank", 3, "--max-degree", 3)
    assert result.exit_code == 0
    assert "--max-degree 4 suffices" in result.stdout


def test_a_long_search_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr("invarion.cli.bases._PATIENCE", 0.0)
    result = call("basis", "--max-rank", 3, "--max-degree", 4, "--json")
    assert "degree 3: 8 of 13 independent" in result.stderr
    assert json.loads(result.stdout)["rank"] == 13


SLOW_SEARCH = """
import signal, time
from invarion.cli import app
from invarion.invariants.journal import Journal

signal.signal(signal.SIGINT, signal.default_int_handler)
write = Journal.write
Journal.write = lambda *arguments: (write(*arguments), time.sleep(60))
app()
"""


def test_a_search_is_stopped_by_ctrl_c_and_goes_on(tmp_path):
    journal = tmp_path / "search.jsonl"
    # the search rests after every finished stage, since it may be over before the signal arrives; and listens to the
    # signal also where these tests run in the background of a shell, which lets its children ignore it
    command = [sys.executable, "-c", SLOW_SEARCH, "basis", "--ranks", "6", "--json", "--resume", str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as search:
        while search.poll() is None and '"degree 1"' not in (journal.read_text() if journal.exists() else ""):
            time.sleep(0.01)
        search.send_signal(signal.SIGINT)
        out, err = search.communicate(timeout=50)
    assert (search.returncode, out) == (130, "")
    # a search that takes long says before how far it is
    assert err.endswith(f"Interrupted. The finished stages are in {journal}; the same command goes on from them.\n")
    went_on = parsed("basis", "--ranks", 6, "--resume", journal)
    assert went_on == parsed("basis", "--ranks", 6)
    assert "another search" in refused("basis", "--ranks", 3, "--resume", journal)
    assert "nothing to resume" in refused("basis", "--kind", "published", "--max-rank", 3, "--resume", journal)


def test_published_basis_strata_and_file(tmp_path):
    from invarion.invariants import InvariantBasis, published_basis

    path = tmp_path / "basis.json"
    result = call("basis", "--kind", "published", "--max-rank", 3, "--strata", "-o", path)
    assert result.exit_code == 0
    assert "13 invariants (published)" in result.stdout
    assert re.search(r"3 +5 +3 +no", result.stdout)  # ranks {3}: 5 needed, 3 there
    assert "multiplications" in result.stdout
    assert InvariantBasis.from_json(path.read_text()) == published_basis(3)


def test_run_folder_has_what_it_should(run):
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "log.csv", "model.inv", "last.ckpt", "metrics.json", "report.html"} <= names
    printed = (run.parent / "out.txt").read_text()
    for text in ("Errors on test structures", "report.html", "Try next:", "invarion md"):
        assert text in printed


def test_metrics_are_those_of_evaluate(run):
    stored = json.loads((run / "metrics.json").read_text())
    found = parsed("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:8")
    for name in ("energy_mae_mev_per_atom", "energy_rmse_mev_per_atom", "energy_r2"):
        assert found[name] == stored["test"][name]
    for name in ("forces_mae_mev_per_angstrom", "forces_rmse_mev_per_angstrom", "forces_r2"):
        assert found[name] == stored["test"][name]
    assert found["stress_mae_mev_per_angstrom3"] is None
    assert (found["n_structures"], found["n_atoms"]) == (8, 72)
    assert stored["valid"]["n_structures"] == 6
    assert stored["training"]["epochs"] == 2


def test_evaluate_agrees_with_errors_worked_out_from_ase(run):
    import invarion as inv

    frames = read(ETHANOL / "test.extxyz", index=":8")
    labels = [(a.get_potential_energy(), a.get_forces()) for a in frames]
    for frame in frames:
        frame.calc = inv.Calculator(run / "model.inv")
    energy = [1000 * (a.get_potential_energy() - e) / len(a) for a, (e, _) in zip(frames, labels, strict=True)]
    forces = [1000 * (a.get_forces() - f) for a, (_, f) in zip(frames, labels, strict=True)]
    found = parsed("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:8")
    assert found["energy_mae_mev_per_atom"] == pytest.approx(np.abs(energy).mean(), rel=1e-5)
    assert found["forces_rmse_mev_per_angstrom"] == pytest.approx(np.sqrt(np.square(forces).mean()), rel=1e-5)


def test_evaluate_prints_tables_and_writes_a_report(run, tmp_path):
    result = call("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:8", "--report", tmp_path / "r")
    assert result.exit_code == 0
    assert "energy / meV/atom" in result.stdout
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Did the training converge?" in page
    assert "closest in training" in page


def test_keys_and_units_on_the_command_line(run, tmp_path):
    frames = read(ETHANOL / "test.extxyz", index=":3")
    for frame in frames:
        frame.info["E_dft"] = frame.get_potential_energy() / 0.043364104241800934
        frame.calc = None
    write(tmp_path / "kcal.extxyz", frames)
    found = parsed(
        "evaluate", run / "model.inv", tmp_path / "kcal.extxyz", "--key", "energy=E_dft", "--unit", "energy=kcal/mol"
    )
    reference = parsed("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:3")
    assert found["energy_mae_mev_per_atom"] == pytest.approx(reference["energy_mae_mev_per_atom"], rel=1e-3)
    assert found["forces_mae_mev_per_angstrom"] is None


def test_info_tells_the_history(run):
    header = parsed("info", run / "model.inv")
    assert header["symbols"] == ["H", "C", "O"]
    training = header["provenance"]["training"]
    assert (training["n_train"], training["n_valid"], training["n_test"]) == (24, 6, 8)
    assert training["atoms"] == {"H": 144, "C": 48, "O": 24}
    assert 0.8 < training["smallest_distances"]["H-O"] < 1.2
    assert header["provenance"]["errors"]["test"]["n_structures"] == 8
    text = call("info", run / "model.inv").stdout
    for word in ("hip_nn", "3.5 Å", "training data", "errors, test", "torch 2."):
        assert word in text


def test_resume_of_a_longer_run_goes_on(run):
    before = (run / "log.csv").read_text().splitlines()
    result = call("train", "--resume", run, "-o", "training.max_epochs=3", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["training"]["epochs"] == 3
    after = (run / "log.csv").read_text().splitlines()
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
    assert "max_epochs: 3" in (run / "config.yaml").read_text()


def test_resume_with_another_setting_is_refused(run):
    before = (run / "config.yaml").read_text()
    assert "learning_rate" in refused("train", "--resume", run, "-o", "training.learning_rate=0.5")
    assert (run / "config.yaml").read_text() == before


def test_resume_with_other_reference_energies_is_refused(run):
    message = refused("train", "--resume", run, "-o", "data.references=zero", "-o", "training.max_epochs=9")
    assert "reference energies was" in message


def folder_of(place: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in place.iterdir() if file.is_file()}


def test_a_mistaken_command_leaves_a_run_as_it_was(run):
    before = folder_of(run)
    config = run.parent / "config.yaml"
    bare = run.parent / "bare.extxyz"
    write(bare, Atoms("CO", [(0, 0, 0), (0, 0, 1.2)]))
    write(run.parent / "gold.extxyz", Atoms("Au", info={"REF_energy": -1.0}))
    for override, said in (
        ("training.freeze=[nothing]", "matches no parameter"),
        ("training.device=tpu9", "cannot be used here"),
        (f"data.test={bare}", "the test set: the structures carry neither energies nor forces nor stress"),
        (f"data.valid={bare}", "the validation set: the structures carry neither"),
        (f"data.test={run.parent / 'gold.extxyz'}", "does not know Au"),
    ):
        message = refused("train", config, "-o", f"output.folder={run}", "-o", override, "-o", "training.seed=5")
        assert said in message
        assert folder_of(run) == before


def test_all_files_of_an_earlier_run_are_set_aside(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = ("train", tmp_path / "config.yaml", "-o", f"output.folder={tmp_path / 'run'}")
    assert call(*arguments, "-o", "training.max_epochs=1").exit_code == 0
    before = folder_of(tmp_path / "run")
    assert call(*arguments, "-o", "training.max_epochs=1", "-o", "output.report=false").exit_code == 0
    assert folder_of(tmp_path / "run" / "previous" / "1") == before
    assert not (tmp_path / "run" / "report.html").exists()


def test_fine_tuning_that_was_killed_at_once_begins_where_it_began(run, tmp_path):
    options = ("-o", "training.max_epochs=1", "-o", "output.report=false")
    tuned = tmp_path / "tuned"
    before = parsed("train", run / "config.yaml", "--from", run / "model.inv", "-o", f"output.folder={tuned}", *options)
    for name in ("last.ckpt", "model.inv", "metrics.json"):  # what is there before the first epoch is over stays
        (tuned / name).unlink()
    after = parsed("train", "--resume", tuned, *options)
    assert after["valid"]["forces_mae_mev_per_angstrom"] == before["valid"]["forces_mae_mev_per_angstrom"]
    message = refused("train", run / "config.yaml", "--from", run / "model.inv", "-o", "model.cutoff=3.0")
    assert "'model.cutoff=3.0' cannot replace a setting of the model that is fine-tuned" in message


def test_md_reports_the_drift(run, tmp_path):
    trajectory = tmp_path / "md.extxyz"
    found = parsed("md", run / "model.inv", f"{ETHANOL}/test.extxyz@0", "--steps", 20, "--trajectory", trajectory)
    assert {"drift", "drift_error", "temperature", "verdict", "stable"} <= set(found)
    assert found["timestep"] == pytest.approx(0.5)
    assert len(read(trajectory, index=":")) == 3
    result = call("md", run / "model.inv", f"{ETHANOL}/test.extxyz@0", "--steps", 5, "--ensemble", "langevin")
    assert result.exit_code == 0
    assert "verdict" in result.stdout


def test_describe_writes_features_of_a_model(run, tmp_path):
    found = parsed("describe", run / "model.inv", f"{ETHANOL}/test.extxyz@:3", "-o", tmp_path / "f.npz")
    assert found["n_rows"] == 27
    content = np.load(tmp_path / "f.npz")
    assert content["features"].shape == (27, 4)
    assert content["names"].tolist() == [f"block1.{i}" for i in range(4)]
    assert content["system"].tolist() == sorted([0, 1, 2] * 9)
    assert (
        parsed(
            "describe", run / "model.inv", f"{ETHANOL}/test.extxyz@:3", "-o", tmp_path / "f.npz", "--per", "structure"
        )["n_rows"]
        == 3
    )


def test_describe_writes_features_of_a_basis(tmp_path):
    from invarion.engines.sklearn import InvariantDescriptor
    from invarion.invariants import optimal_basis

    (tmp_path / "basis.json").write_text(optimal_basis(max_rank=2).to_json())
    data, expected = f"{ETHANOL}/test.extxyz@:2", read(ETHANOL / "test.extxyz", index=":2")
    for source, per in ((tmp_path / "basis.json", "atom"), ("channelwise", "structure")):
        parsed("describe", source, data, "--cutoff", 4, "--n-radial", 2, "--per", per, "-o", tmp_path / "f.npz")
        basis = optimal_basis(max_rank=2) if per == "atom" else "channelwise"
        rows = InvariantDescriptor(cutoff=4.0, n_radial=2, basis=basis, per=per).fit_transform(expected)
        content = np.load(tmp_path / "f.npz")
        np.testing.assert_allclose(content["features"], rows)
        assert len(content["names"]) == rows.shape[1]
    assert "is no file" in refused("describe", "absent.inv", data)


def test_degenerate_pairs_are_told_apart_or_not(tmp_path):
    straight = Atoms("H3", [(0, 0, 0), (1, 0, 0), (-1, 0, 0)], info={"pair": "bend"})
    bent = Atoms("H3", [(0, 0, 0), (1, 0, 0), (0, 1, 0)], info={"pair": "bend"})
    turned = straight.copy()
    turned.rotate(40, (1, 2, 3), center=(0, 0, 0))
    for atoms in (twins := [straight.copy(), turned]):
        atoms.info["pair"] = "a copy"
    write(tmp_path / "pairs.xyz", [straight, bent, *twins], format="extxyz")
    options = ("--kind", "full2", "--kind", "optimal", "--radial", 1, "--cutoff", 3)
    rows = parsed("degenerate", tmp_path / "pairs.xyz", *options)["rows"]
    assert [(r["kind"], r["pair"], r["told_apart"]) for r in rows] == [
        (kind, pair, told) for kind in ("full2", "optimal") for pair, told in (("a copy", False), ("bend", True))
    ]
    assert all((r["ratio"] > 1000) == r["told_apart"] for r in rows)
    printed = call("degenerate", tmp_path / "pairs.xyz", *options)
    assert "1 of 2" in printed.stdout
    assert "info['pair']" in refused("degenerate", f"{ETHANOL}/test.extxyz@:2")
    assert "number of radial functions is 0" in refused("degenerate", tmp_path / "pairs.xyz", "--radial", 0)


def test_fine_tuning_starts_from_a_model_and_meets_another_zero_of_energy(run, tmp_path):
    """One epoch of next to no learning: what the result knows comes from the model and the new zero of energy."""
    frames = read(f"{ETHANOL}/train.extxyz", ":12")
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.calc.results["energy"] + 7.0 * len(atoms)
        atoms.arrays["REF_forces"], atoms.calc = atoms.calc.results["forces"], None
    write(tmp_path / "shifted.extxyz", frames)
    text = f"data: {{train: {tmp_path}/shifted.extxyz, split: [8, 4]}}\noutput: {{report: false}}\n"
    (tmp_path / "config.yaml").write_text(text + "training: {max_epochs: 1, learning_rate: 1.0e-9}\n")
    options = ("-o", f"output.folder={tmp_path / 'tuned'}", "-o", "training.freeze=[network.blocks.0.*]")
    found = parsed("train", tmp_path / "config.yaml", "--from", run / "model.inv", *options)
    assert found["training"]["n_train"] == 8
    before, after = (load(place / "model.inv").predict(frames) for place in (run, tmp_path / "tuned"))
    assert after.forces == pytest.approx(before.forces, abs=1e-3)
    shifts = (after.energy - before.energy) / 9
    assert shifts == pytest.approx(shifts[0], abs=1e-3)
    assert 1e-3 * found["valid"]["energy_mae_mev_per_atom"] < 0.5 < shifts.min()
    assert "n_features: 4" in (tmp_path / "tuned" / "config.yaml").read_text()


def test_a_committee_of_models_is_a_model(run, tmp_path):
    other, joint = tmp_path / "other.inv", tmp_path / "committee.inv"
    nearly = load(run / "model.inv")
    nearly.scale *= 1 + 1e-4
    save(nearly, other, {"training": {"smallest_distances": {"H-O": 0.1}}})
    found = parsed("committee", run / "model.inv", other, "-o", joint)
    assert found["members"] == 2
    one, two = (parsed("evaluate", model, f"{ETHANOL}/test.extxyz@:3") for model in (run / "model.inv", joint))
    assert two["forces_mae_mev_per_angstrom"] == pytest.approx(one["forces_mae_mev_per_angstrom"], rel=1e-3)
    past = parsed("info", joint)["provenance"]
    assert len(past["members"]) == 2
    known = past["members"][0]["training"]["smallest_distances"]
    assert past["training"]["smallest_distances"] == {**known, "H-O": 0.1}
    text = call("info", joint).stdout
    assert len(text) < 3000
    assert "member 2" in text
    run_of_md = (f"{ETHANOL}/test.extxyz@0", "--steps", 2, "--max-spread", 5.0, "--trajectory", tmp_path / "md.traj")
    assert 0 < parsed("md", joint, *run_of_md)["largest_spread"] < 5.0
    assert len(read(tmp_path / "md.traj", ":")) == 1
    assert "needs the potentials of a committee" in refused("md", other, *run_of_md)


@pytest.mark.parametrize("count", [1, 2])
def test_committees_are_not_fine_tuned(run, tmp_path, count):
    members = [load(run / "model.inv") for _ in range(count)]
    members[-1].scale *= 1.1
    save(committee(members), tmp_path / "committee.inv")
    message = refused("train", run / "config.yaml", "--from", tmp_path / "committee.inv")
    assert "fine-tune the members of a committee each by itself" in message


def test_init_writes_a_config_that_trains(tmp_path):
    config = tmp_path / "config.yaml"
    assert call("init", f"{ETHANOL}/train.extxyz@:12", "-o", config).exit_code == 0
    small = [
        "model.n_features=4",
        "model.n_interactions=1",
        "model.n_sensitivities=4",
        "model.max_rank=1",
        "model.max_degree=2",
    ]
    small += ["training.max_epochs=1", f"output.folder={tmp_path / 'run'}", "output.report=false"]
    found = parsed("train", config, *(word for setting in small for word in ("-o", setting)))
    assert found["valid"]["n_structures"] == 1
    assert "test" not in found
    assert not (tmp_path / "run" / "report.html").exists()
    assert "exists; choose another name" in refused("init", f"{ETHANOL}/train.extxyz@:12", "-o", config)


def test_mistakes_in_files_and_models(run, tmp_path):
    model = run / "model.inv"
    assert "No such file" in refused("evaluate", tmp_path / "absent.inv", f"{ETHANOL}/test.extxyz")
    assert "absent.extxyz" in refused("evaluate", model, tmp_path / "absent.extxyz")
    (tmp_path / "empty.extxyz").write_text("")
    assert "empty.extxyz" in refused("evaluate", model, tmp_path / "empty.extxyz")
    (tmp_path / "cut.inv").write_bytes(model.read_bytes()[:-20])
    assert "cut" in refused("info", tmp_path / "cut.inv")
    write(tmp_path / "gold.extxyz", Atoms("Au2", [(0, 0, 0), (0, 0, 2.5)], info={"REF_energy": -1.0}))
    assert "does not know Au" in refused("evaluate", model, tmp_path / "gold.extxyz")
    assert "does not know Au" in refused("md", model, tmp_path / "gold.extxyz", "--steps", 2)
    write(tmp_path / "bare.extxyz", Atoms("CO", [(0, 0, 0), (0, 0, 1.2)]))
    assert "neither energies nor forces nor stress" in refused("evaluate", model, tmp_path / "bare.extxyz")
    assert "cannot write" in refused("describe", model, tmp_path / "bare.extxyz", "-o", model / "f.npz")
    assert "--steps" in call("md", model, tmp_path / "bare.extxyz").stderr


def test_mistakes_in_settings(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    assert "did you mean 'max_epochs'" in refused("train", config, "-o", "training.max_epoch=3")
    assert "did you mean 'cutoff'" in refused("train", config, "-o", "model.cutof=3")
    assert "section.key=value" in refused("train", config, "-o", "training")
    assert "invarion init" in refused("train", tmp_path / "absent.yaml")
    assert "invarion init" in refused("train")
    assert "no folder of a run" in refused("train", "--resume", tmp_path / "absent")
    assert "unknown section" in refused("train", config, "-o", "modell.cutoff=3")
    assert not (tmp_path / "runs").exists()


def test_mistakes_in_requests(run, tmp_path):
    assert "--max-rank" in refused("basis")
    assert "max_rank is -1" in refused("basis", "--max-rank", "-1")
    assert "whole numbers" in refused("basis", "--ranks", "1,x")
    assert "published table" in refused("basis", "--max-rank", 2, "--kind", "published", "--channels", 2)
    assert "--trust" in refused("convert", "hippynn", tmp_path)
    assert "unknown unit" in refused("convert", "hippynn", tmp_path, "--trust", "--energy-unit", "kcall")
    assert "ACE" in refused("export", run / "model.inv", "--to", "yace", "-o", tmp_path / "a.yace")
    assert "name=value" in refused("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz", "--key", "energy")
    assert "max_degree is 0" in refused("basis", "--max-rank", 3, "--kind", "published", "--max-degree", 0)
    md = ("md", run / "model.inv", f"{ETHANOL}/test.extxyz@0", "--steps")
    assert "steps is 0" in refused(*md, 0)
    assert "seed is -1" in refused(*md, 2, "--seed", -1)
    assert "friction is -1" in refused(*md, 2, "--friction", -1, "--ensemble", "langevin")
    assert "names no format to write" in refused(*md, 2, "--trajectory", tmp_path / "x.foo")
    assert "device is tpu9" in refused(*md, 2, "--device", "tpu9")
    assert "float32 or float64" in refused(*md, 2, "--dtype", "float16")


def test_debug_shows_the_traceback(tmp_path):
    result = call("info", tmp_path / "absent.inv", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "Error: cannot read the model file" in result.stderr


def test_failure_of_ours_is_status_one(run, monkeypatch):
    def fail(*arguments, **settings):
        raise RuntimeError("something broke inside")

    monkeypatch.setattr("invarion.evaluation.errors.compare", fail)
    result = call("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:2")
    assert result.exit_code == 1
    assert "something broke inside" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_words_of_libraries_do_not_spoil_json(run, monkeypatch):
    from invarion.evaluation import errors

    compare = errors.compare

    def talkative(*arguments):
        print("a library talks")
        return compare(*arguments)

    monkeypatch.setattr("invarion.evaluation.errors.compare", talkative)
    result = call("evaluate", run / "model.inv", f"{ETHANOL}/test.extxyz@:2", "--json")
    assert json.loads(result.stdout)["n_structures"] == 2
    assert "a library talks" in result.stderr


def test_version():
    import invarion

    assert call("--version").stdout.strip() == f"invarion {invarion.__version__}"


def test_converted_energies_are_in_ev(tmp_path, monkeypatch):
    import torch

    import invarion as inv

    config = inv.hip_nn(cutoff=4.0, n_features=3, n_interactions=1, n_atom_layers=0, n_sensitivities=4)
    potential = inv.Potential(config, (1, 6, 8)).double().eval()
    water = read(ETHANOL / "test.extxyz", index="0")
    before = potential.predict([water]).energy[0]
    monkeypatch.setattr("invarion.models.hippynn.convert_hippynn_folder", lambda folder, trust: potential)
    result = call("convert", "hippynn", tmp_path, "--trust", "--energy-unit", "kcal/mol", "-o", tmp_path / "m.inv")
    assert result.exit_code == 0, result.stderr
    assert "kcal/mol" in result.stderr
    after = inv.load(tmp_path / "m.inv").predict([water]).energy[0]
    assert after == pytest.approx(before * 0.043364104, rel=1e-6)
    assert torch.equal(potential.scale, inv.load(tmp_path / "m.inv").scale)


def test_doctor_says_what_runs_here():
    found = parsed("doctor")
    assert found["path"] in ("numba", "torch")
    assert found["microseconds_per_atom"] > 0
    assert "torch" in found["versions"]
    assert "processor" in call("doctor").stdout


def test_fit_of_an_ace_model(tmp_path):
    silicon = Path(__file__).parents[1] / "data" / "silicon.extxyz"
    config = tmp_path / "ace.yaml"
    config.write_text(f"""
data: {{train: {silicon}, split: {{parts: [0.75, 0.25], seed: 1}}}}
model: {{kind: ace, cutoff: 4.5, n_radial: 3, max_rank: 2, max_degree: 2}}
fit: {{method: ridge}}
output: {{folder: {tmp_path / "si"}}}
""")
    found = parsed("fit", config)
    assert found["valid"]["n_structures"] == 4
    assert found["valid"]["forces_mae_mev_per_angstrom"] < 400
    again = parsed("evaluate", tmp_path / "si" / "model.inv", silicon)
    assert again["per_group"].keys() == {"AIMD-NVT", "Elastic", "Surface", "Vacancy"}
    assert isinstance(parsed("info", tmp_path / "si" / "model.inv")["config"]["basis"], dict)
    exported = call("export", tmp_path / "si" / "model.inv", "--to", "yace", "-o", tmp_path / "si.yace")
    assert exported.exit_code == 0
    assert "pair_style pace" in exported.stderr
    assert "did you mean 'method'" in refused("fit", config, "-o", "fit.meth=ridge")
    nothing = ("fit.energy_weight=0", "fit.forces_weight=0", "fit.stress_weight=0")
    message = refused("fit", config, *(word for each in nothing for word in ("-o", each)))
    assert "there is nothing to fit" in message
    config.write_text("a")
    assert "holds no settings" in refused("fit", config)


def test_names_of_files_are_not_markup(run, tmp_path):
    write(tmp_path / "test.extxyz", read(ETHANOL / "test.extxyz", ":2"))
    result = call("evaluate", run / "model.inv", tmp_path / "te[s]t.extxyz")
    assert result.exit_code == 0, result.stderr
    assert "te[s]t.extxyz" in result.stdout.replace("\n", "")


def test_a_basis_in_a_file_is_one_of_a_model(run, tmp_path):
    assert call("basis", "--max-rank", 2, "-o", tmp_path / "b.json").exit_code == 0
    config = run.parent / "config.yaml"
    words = ("model.kind=hip_hop_nn", f"model.basis={tmp_path / 'b.json'}", f"output.folder={tmp_path / 'run'}")
    found = parsed("train", config, *(word for each in words for word in ("-o", each)))
    assert found["training"]["epochs"] == 2
    assert parsed("info", tmp_path / "run" / "model.inv")["config"]["max_rank"] == 2
    absent = ("-o", words[0], "-o", f"model.basis={tmp_path / 'absent.json'}")
    assert "absent.json cannot be read" in refused("train", config, *absent)


@pytest.mark.parametrize(("before", "after"), [(None, "passive"), ("active", "active")])
def test_idle_threads_of_torch_leave_their_cores_unless_told_otherwise(monkeypatch, before, after):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    assert call("basis", "--max-rank", "1", "--max-degree", "2").exit_code == 0
    assert os.environ["OMP_WAIT_POLICY"] == after
