import csv
import logging
import math
import re
import resource
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms

from invarion.committees import committee
from invarion.data import samples
from invarion.exceptions import ConfigError, DataError, InvarionError
from invarion.models.hip_builders import hip_nn
from invarion.potential import Potential
from invarion.training import TrainingError, TrainingInterrupted, TrainOptions, train
from invarion.training.batches import EpochBatches, PackedSet
from invarion.training.checkpoints import read_checkpoint
from invarion.training.course import Course
from invarion.training.reporting import COLUMNS
from springs import SpringNetwork, Springs, crystals, molecules

FAST = TrainOptions(max_epochs=3, learning_rate=3e-2, batch_size=4)
TRAIN, VALID = molecules(16), molecules(6, seed=1)


def fresh(atoms=TRAIN, dtype=torch.float32) -> Potential:
    return Potential.from_data(Springs(), atoms, dtype=dtype)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def weights(potential: Potential) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in potential.named_parameters()}


def forces_mae(potential: Potential, atoms) -> float:
    labels = np.concatenate([a.arrays["REF_forces"] for a in atoms])
    return 1e3 * float(np.abs(potential.predict(atoms).forces - labels).mean())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_learns_and_ends_with_the_weights_that_validated_best(tmp_path, dtype):
    potential = fresh()
    before = forces_mae(potential, VALID)
    summary = train(potential, TRAIN, VALID, FAST.model_copy(update={"max_epochs": 40, "dtype": dtype}), tmp_path)
    after = forces_mae(potential, VALID)
    assert after < 0.5 * before
    assert summary.errors is not None
    assert summary.errors.forces_mae_mev_per_angstrom == pytest.approx(after, rel=1e-5)
    energies = potential.predict(VALID).energy - [a.info["REF_energy"] for a in VALID]
    assert summary.errors.energy_mae_mev_per_atom == pytest.approx(1e3 * np.abs(energies).mean() / 3, rel=1e-5)
    assert potential.dtype == getattr(torch, dtype)
    losses = [float(row["valid_loss"]) for row in rows(tmp_path)]
    assert summary.best_epoch == 1 + int(np.argmin(losses))
    assert summary.errors.loss == pytest.approx(min(losses))


def test_learns_stress(tmp_path):
    atoms = crystals(24)
    potential = fresh(atoms)
    summary = train(potential, atoms[:18], atoms[18:], FAST.model_copy(update={"max_epochs": 60}), tmp_path)
    stresses = [float(row["valid_stress_mae_mev_per_angstrom3"]) for row in rows(tmp_path)]
    assert stresses[-1] < 0.5 * stresses[0]
    error = potential.predict(atoms[18:]).stress - np.stack([a.info["REF_stress"] for a in atoms[18:]])
    assert summary.errors.stress_mae_mev_per_angstrom3 == pytest.approx(1e3 * np.abs(error).mean(), rel=1e-4)


def test_molecules_and_crystals_train_together(tmp_path):
    atoms = [*molecules(8), *crystals(8)]
    summary = train(fresh(atoms), atoms, atoms, FAST, tmp_path)
    assert all(math.isfinite(value) for value in summary.errors)


def test_the_folder_tells_the_run(tmp_path):
    train(fresh(), TRAIN, VALID, FAST, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "log.csv", "model.inv", "options.yaml"]
    assert TrainOptions.model_validate(yaml.safe_load((tmp_path / "options.yaml").read_text())) == FAST
    log = rows(tmp_path)
    assert tuple(log[0]) == COLUMNS
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert [row["step"] for row in log] == ["4", "8", "12"]
    assert all(float(row["train_loss"]) > 0 and float(row["time_s"]) > 0 for row in log)
    assert log[0]["valid_stress_mae_mev_per_angstrom3"] == ""


def test_an_earlier_run_in_the_folder_is_moved_aside(tmp_path, caplog):
    train(fresh(), TRAIN, VALID, FAST, tmp_path)
    log = (tmp_path / "log.csv").read_text()
    with caplog.at_level(logging.WARNING):
        train(fresh(), TRAIN, VALID, FAST.model_copy(update={"max_epochs": 1}), tmp_path)
        train(fresh(), TRAIN, VALID, FAST.model_copy(update={"max_epochs": 2}), tmp_path)
    assert (tmp_path / "previous" / "1" / "log.csv").read_text() == log
    assert [len(rows(place)) for place in (tmp_path / "previous" / "2", tmp_path)] == [1, 2]
    assert str(tmp_path / "previous" / "2") in caplog.text


def test_a_refused_resume_changes_nothing(tmp_path):
    train(fresh(), TRAIN, VALID, FAST, tmp_path)
    before = (tmp_path / "options.yaml").read_text()
    potential = fresh().eval()
    other = FAST.model_copy(update={"learning_rate": 0.5, "max_epochs": 5, "dtype": "float64"})
    with pytest.raises(TrainingError, match=r"learning_rate was 0\.03 and is 0\.5"):
        train(potential, TRAIN, VALID, other, tmp_path, resume=True)
    assert (tmp_path / "options.yaml").read_text() == before
    assert potential.dtype == torch.float32
    assert not potential.training


def unlabelled(atoms):
    return [Atoms(a.numbers, a.positions) for a in atoms]


def test_a_validation_set_that_cannot_tell_good_from_bad_is_refused(tmp_path, caplog):
    with pytest.raises(DataError, match="no validation structure has a label of energy or forces that counts"):
        train(fresh(), TRAIN, unlabelled(VALID), FAST, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    energies = unlabelled(VALID)
    for frame, known in zip(energies, VALID, strict=True):
        frame.info["REF_energy"] = known.info["REF_energy"]
    with caplog.at_level(logging.WARNING):
        train(fresh(), TRAIN, energies, FAST, tmp_path / "b")
    assert "no validation structure has a label of forces" in caplog.text


def test_ctrl_c_without_validation_leaves_the_averaged_weights(tmp_path, monkeypatch):
    begin = Course.on_train_epoch_start

    def interrupted(self, trainer, module):
        begin(self, trainer, module)
        if trainer.current_epoch == 2:
            raise SystemExit  # what Lightning makes of Ctrl-C

    monkeypatch.setattr(Course, "on_train_epoch_start", interrupted)
    potential = fresh()
    with pytest.raises(TrainingInterrupted, match="stopped after 2 epochs") as stop:
        train(potential, TRAIN, [], FAST, tmp_path)
    assert "best model" not in str(stop.value)
    averaged = read_checkpoint(tmp_path / "last.ckpt")["state_dict"]
    for name, weight in potential.state_dict().items():
        torch.testing.assert_close(weight, averaged[f"potential.{name}"], rtol=0.0, atol=0.0)


def test_no_weight_left_is_refused(tmp_path):
    energies = unlabelled(TRAIN)
    for frame, known in zip(energies, TRAIN, strict=True):
        frame.info["REF_energy"] = known.info["REF_energy"]
    with pytest.raises(ConfigError, match=r"nothing to learn: .* labels of energy .* give energy_weight"):
        train(fresh(), energies, [], FAST.model_copy(update={"energy_weight": 0.0}), tmp_path)


def test_a_committee_is_not_trained_as_one(tmp_path):
    members = [Potential.from_data(hip_nn(3.0, n_features=2), TRAIN, seed=seed) for seed in range(2)]
    with pytest.raises(ConfigError, match="train the members of a committee each by itself"):
        train(committee(members), TRAIN, VALID, FAST, tmp_path)


def test_a_trained_potential_is_trained_further(tmp_path):
    potential = fresh()
    options = FAST.model_copy(update={"max_epochs": 40})
    first = train(potential, TRAIN, VALID, options, tmp_path / "a")
    further = train(potential, TRAIN, VALID, options.model_copy(update={"learning_rate": 1e-3}), tmp_path / "b")
    assert further.errors.loss < first.errors.loss
    assert not potential.training


def test_frozen_parts_stay(tmp_path):
    potential = fresh()
    before = weights(potential)
    train(potential, TRAIN, VALID, FAST.model_copy(update={"freeze": ("network.inner.*",)}), tmp_path)
    same = {name for name, p in weights(potential).items() if torch.equal(p, before[name])}
    assert same == {"network.inner.weight", "network.inner.bias"}
    assert all(p.requires_grad for p in potential.parameters())


@pytest.mark.parametrize(("patterns", "message"), [(("inner*",), "matches no parameter"), (("*",), "leaves no param")])
def test_freezing_nothing_or_everything_is_refused(tmp_path, patterns, message):
    with pytest.raises(ConfigError, match=message):
        train(fresh(), TRAIN, VALID, FAST.model_copy(update={"freeze": patterns}), tmp_path)


def test_without_validation_the_last_averaged_weights_are_kept(tmp_path):
    potential = fresh()
    summary = train(potential, TRAIN, [], FAST, tmp_path)
    assert summary.errors is None
    assert summary.best_epoch == 3
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for name, p in weights(potential).items():
        assert torch.equal(p, checkpoint["state_dict"][f"potential.{name}"])
        assert not torch.equal(p, checkpoint["current_model_state"][f"potential.{name}"])
    with pytest.raises(ConfigError, match="need validation structures"):
        train(potential, TRAIN, [], FAST.model_copy(update={"early_stopping": 2}), tmp_path)


def test_averaged_weights_are_the_moving_average(tmp_path):
    # one batch per epoch and no annealing: the first n steps of longer runs are the run of n steps
    options = FAST.model_copy(update={"batch_size": 16, "schedule": "constant", "ema_decay": 0.3})
    average = None
    for n in range(4):
        potential = fresh(dtype=torch.float64)
        train(potential, TRAIN, [], options.model_copy(update={"max_epochs": n + 1}), tmp_path)
        checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
        current = checkpoint["current_model_state"]["potential.network.inner.weight"]
        decay = min(0.3, n / (n + 9))
        average = current if average is None else decay * average + (1 - decay) * current
        torch.testing.assert_close(potential.network.inner.weight.detach(), average, rtol=0, atol=1e-12)


def test_early_stopping_ends_the_run(tmp_path):
    options = TrainOptions(max_epochs=200, learning_rate=1e-12, early_stopping=3, warmup=0.0, schedule="constant")
    potential = fresh()
    summary = train(potential, TRAIN, VALID, options, tmp_path)
    assert summary.stopped_by == "early_stopping"
    assert summary.epochs < 20
    assert summary.epochs - summary.best_epoch == 3


def test_a_limit_of_time_ends_the_run_in_time_with_its_schedule_done(tmp_path):
    options = TrainOptions(max_epochs=None, max_minutes=3 / 60, learning_rate=0.01, final_factor=0.1)
    summary = train(fresh(), TRAIN, VALID, options, tmp_path)
    assert summary.stopped_by == "max_minutes"
    assert 2.0 < summary.seconds < 4.0
    log = rows(tmp_path)
    assert float(log[-1]["learning_rate"]) == pytest.approx(0.001, rel=0.02)  # within an epoch of its end
    assert float(log[len(log) // 2]["learning_rate"]) > 0.002
    assert log[-1]["valid_loss"] != ""


def test_validation_every_third_epoch_and_at_the_end(tmp_path):
    train(fresh(), TRAIN, VALID, FAST.model_copy(update={"max_epochs": 5, "valid_every": 3}), tmp_path)
    assert [row["valid_loss"] != "" for row in rows(tmp_path)] == [False, False, True, False, True]


def test_missing_labels_are_left_out(tmp_path):
    some = molecules(16)
    for atoms in some[:8]:
        atoms.info["REF_energy"] = float("nan")
    for atoms in some[4:12]:
        del atoms.arrays["REF_forces"]
    summary = train(fresh(), some, some, FAST, tmp_path)
    assert all(math.isfinite(value) for value in summary.errors[:5])


def test_a_target_that_nothing_carries_is_refused_before_anything_is_written(tmp_path):
    energies = molecules(4)
    for atoms in energies:
        del atoms.arrays["REF_forces"]
    with pytest.raises(DataError, match="forces"):
        train(fresh(), energies, [], FAST.model_copy(update={"forces_weight": 1.0}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert train(fresh(), energies, energies, FAST, tmp_path / "run").errors is not None


def test_an_unknown_element_is_refused(tmp_path):
    with pytest.raises(DataError, match="validation structure 0: the potential does not know Si"):
        train(fresh(), TRAIN, crystals(1), FAST, tmp_path)
    with pytest.raises(DataError, match="no structures"):
        train(fresh(), [], VALID, FAST, tmp_path)


def test_a_loss_that_is_no_number_names_step_and_structures(tmp_path):
    options = FAST.model_copy(update={"learning_rate": 1e30, "gradient_clip": None})
    said = r"epoch 1: the loss is (?:nan|inf) at step (\d), training structures ([\d, ]+); .*learning_rate \(1e\+30\)"
    with pytest.raises(TrainingError, match=said) as caught:
        train(fresh(), TRAIN, VALID, options, tmp_path)
    step, structures = re.search(said, str(caught.value)).groups()
    batches = EpochBatches(PackedSet(samples(TRAIN, 3.0, torch.float32), torch.float32), 4, options.seed).plan(0)
    assert int(step) > 1  # the first comes before any update; how soon numbers overflow after it depends on the machine
    assert structures == ", ".join(str(i) for i in batches[int(step) - 1])


def test_a_loss_that_turns_nan_leaves_the_best_weights_and_the_last_checkpoint(tmp_path, monkeypatch):
    forward, calls = SpringNetwork.forward, []

    def break_at_step_eleven(self, graph, index):
        calls.append(self.training)
        return forward(self, graph, index) * (float("nan") if sum(calls) == 11 else 1.0)

    monkeypatch.setattr(SpringNetwork, "forward", break_at_step_eleven)
    potential = fresh()
    with pytest.raises(TrainingError, match="epoch 3: the loss is nan at step 11, training structures"):
        train(potential, TRAIN, VALID, FAST, tmp_path)
    assert len(rows(tmp_path)) == 2
    best = min(float(row["valid_loss"]) for row in rows(tmp_path))
    monkeypatch.setattr(SpringNetwork, "forward", forward)
    assert forces_mae(potential, VALID) == pytest.approx(
        next(float(r["valid_forces_mae_mev_per_angstrom"]) for r in rows(tmp_path) if float(r["valid_loss"]) == best)
    )
    assert train(fresh(), TRAIN, VALID, FAST, tmp_path, resume=True).epochs == 3


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), RuntimeError("you can't allocate memory: 9 bytes")])
def test_running_out_of_memory_gives_advice(tmp_path, monkeypatch, error):
    def forward(self, graph, index):
        raise error

    monkeypatch.setattr(SpringNetwork, "forward", forward)
    with pytest.raises(TrainingError, match=r"out of memory on cpu: lower batch_size \(4 structures\)"):
        train(fresh(), TRAIN, VALID, FAST, tmp_path)


def test_the_gradient_is_clipped(tmp_path):
    # far below AdamW's epsilon of 1e-8 its steps are proportional to the gradient
    moved, unclipped = [], FAST.model_copy(update={"optimizer": "adamw", "weight_decay": 0.0})
    for clip in (1e-10, 1e-12):
        potential = fresh(dtype=torch.float64)
        before = weights(potential)
        train(potential, TRAIN, [], unclipped.model_copy(update={"gradient_clip": clip}), tmp_path)
        moved.append(max(float((p - before[name]).abs().max()) for name, p in weights(potential).items()))
    assert moved[1] == pytest.approx(moved[0] / 100, rel=0.05)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot start a run"):
        train(fresh(), TRAIN, VALID, FAST, tmp_path / "file")


@pytest.fixture
def file_size_limit():
    """Files cannot grow beyond the number of bytes that the test asks for: what a full disk looks like to a program."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, file_size_limit):
    train(fresh(), TRAIN, VALID, FAST, tmp_path)
    good = (tmp_path / "last.ckpt").read_bytes()
    longer = FAST.model_copy(update={"max_epochs": 6})
    file_size_limit(len(good) - 100)
    with pytest.raises(TrainingError, match=r"checkpoint of epoch 4.*File too large.*intact"):
        train(fresh(), TRAIN, VALID, longer, tmp_path, resume=True)
    assert (tmp_path / "last.ckpt").read_bytes() == good
    assert not list(tmp_path.glob(".*"))
    file_size_limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    assert train(fresh(), TRAIN, VALID, longer, tmp_path, resume=True).epochs == 6
    assert [row["epoch"] for row in rows(tmp_path)] == list("123456")


def test_the_process_is_left_as_it_was(tmp_path):
    torch.manual_seed(3)
    state, threads, handler = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    numbers, filters = np.random.get_state()[1].copy(), list(warnings.filters)  # noqa: NPY002 - the old state must stay
    level = logging.getLogger("lightning.pytorch").level
    with torch.no_grad():
        train(fresh(), TRAIN, VALID, FAST.model_copy(update={"dtype": "float64"}), tmp_path)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert signal.getsignal(signal.SIGINT) is handler
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002 - the old state must stay
    assert warnings.filters == filters
    assert logging.getLogger("lightning.pytorch").level == level


def test_the_same_seed_gives_the_same_weights(tmp_path):
    a, b, c = fresh(), fresh(), fresh()
    for potential, seed in ((a, 0), (b, 0), (c, 1)):
        train(potential, TRAIN, VALID, FAST.model_copy(update={"seed": seed}), tmp_path)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


def test_trackers_write_beside_the_log(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is optional and not installed here")
    train(fresh(), TRAIN, VALID, FAST.model_copy(update={"trackers": ("tensorboard",)}), tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_tracker_that_is_not_installed_is_refused(tmp_path):
    try:
        import wandb  # noqa: F401 - is it there?
    except ModuleNotFoundError:
        with pytest.raises(TrainingError, match="pip install wandb"):
            train(fresh(), TRAIN, VALID, FAST.model_copy(update={"trackers": ("wandb",)}), tmp_path)


def test_lines_of_progress_on_stderr(tmp_path, capsys):
    train(fresh(), TRAIN, VALID, FAST.model_copy(update={"progress": True}), tmp_path)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 3/3  energy" in shown.err
    assert "meV/atom  forces" in shown.err


def test_errors_of_this_package_only(tmp_path):
    with pytest.raises(InvarionError, match="holds no run to resume"):
        train(fresh(), TRAIN, VALID, FAST, tmp_path, resume=True)
