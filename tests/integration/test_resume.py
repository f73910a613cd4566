"""A run that is stopped, in whatever way and at whatever moment, and taken up again ends as if it had not been."""

import csv
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from invarion.data import samples
from invarion.files import write_atomically
from invarion.models import hip_hop_nn
from invarion.potential import Potential
from invarion.training import TrainingError, TrainingInterrupted, TrainOptions, train
from invarion.training.batches import EpochBatches, PackedSet
from springs import Springs, molecules

TRAIN, VALID = molecules(20), molecules(6, seed=1)
OPTIONS = {
    "cosine": TrainOptions(max_epochs=25, batch_size=4, learning_rate=0.02),
    "plateau": TrainOptions(
        max_epochs=30,
        batch_size=4,
        schedule="plateau",
        plateau_patience=1,
        valid_every=2,
        learning_rate=0.2,
        loss={"mae": 1, "rmse": 1},
    ),
}


def run(folder: Path, options: TrainOptions, resume: bool = False, config: Any = None) -> None:
    """Train in this process and store the weights; what stops the run is told in a file."""
    torch.set_num_threads(1)
    # as in a terminal: what a shell starts in the background ignores Ctrl-C, and so would everything below it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    potential = Potential.from_data(config or Springs(), TRAIN)
    try:
        train(potential, TRAIN, VALID, options, folder, resume=resume)
        torch.save(potential.state_dict(), folder / "weights.pt")
    except TrainingInterrupted as stop:
        write_atomically(folder / "message.txt", str(stop))


@pytest.fixture(scope="module")
def start() -> Callable[..., multiprocessing.Process]:
    """Starts `run` in a process of its own, which a server forks that has done the slow imports once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["springs", "invarion.training.run", "invarion.models"])

    def begin(*arguments: Any) -> multiprocessing.Process:
        process = context.Process(target=run, args=arguments)
        process.start()
        return process

    return begin


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory) -> dict[str, Path]:
    """Folders of runs that nothing has stopped."""
    folders = {name: tmp_path_factory.mktemp(name) / "whole" for name in OPTIONS}
    for name, folder in folders.items():
        finish(start(folder, OPTIONS[name]))
    assert len({row["learning_rate"] for row in rows(folders["plateau"])}) >= 3, "plateaus must happen to be tested"
    return folders


def rows(folder: Path) -> list[dict[str, str]]:
    if not (folder / "log.csv").is_file():
        return []
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def wait_for_rows(folder: Path, process: multiprocessing.Process, number: int) -> None:
    while len(rows(folder)) < number and process.is_alive():
        time.sleep(0.002)


def finish(process: multiprocessing.Process) -> None:
    process.join(timeout=120)
    assert process.exitcode == 0


def without_time(folder: Path) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name != "time_s"} for row in rows(folder)]


def assert_same_run(a: Path, b: Path) -> None:
    assert without_time(a) == without_time(b)
    left, right = (torch.load(folder / "weights.pt", weights_only=True) for folder in (a, b))
    assert all(torch.equal(left[name], right[name]) for name in left)
    left, right = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (a, b))
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert all(torch.equal(left[part][name], right[part][name]) for name in left[part])
    moments = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (left, right))
    for mine, other in zip(*(state.values() for state in moments), strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("name", OPTIONS)
def test_killed_at_random_moments(tmp_path, start, whole, name):
    options, killed = OPTIONS[name], tmp_path / "killed"
    seed = random.SystemRandom().randrange(10**6)
    moments = random.Random(seed)
    kills = 0
    while kills < 4 and len(rows(killed)) < options.max_epochs - 4:
        process = start(killed, options, (killed / "options.yaml").is_file())
        wait_for_rows(killed, process, len(rows(killed)) + moments.randint(1, 5))
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 3, f"seed {seed}"
    finish(start(killed, options, True))
    assert_same_run(whole[name], killed)


def test_killed_before_the_first_epoch_is_over(tmp_path, start):
    options = OPTIONS["cosine"].model_copy(update={"max_epochs": 3})
    finish(start(tmp_path / "whole", options))
    process = start(tmp_path / "killed", options)
    while not (tmp_path / "killed" / "options.yaml").is_file():
        time.sleep(0.001)
    process.kill()
    process.join()
    assert not (tmp_path / "killed" / "last.ckpt").is_file()
    finish(start(tmp_path / "killed", options, True))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_real_network_killed_once(tmp_path, start):
    config = hip_hop_nn(cutoff=3.0, n_features=4, n_interactions=1, n_atom_layers=1, n_sensitivities=6)
    options = TrainOptions(max_epochs=6, batch_size=10)
    finish(start(tmp_path / "whole", options, False, config))
    process = start(tmp_path / "killed", options, False, config)
    wait_for_rows(tmp_path / "killed", process, 3)
    process.kill()
    process.join()
    finish(start(tmp_path / "killed", options, True, config))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_says_how_to_go_on(tmp_path, start, whole, number):
    options = OPTIONS["cosine"]
    process = start(tmp_path / "stopped", options)
    wait_for_rows(tmp_path / "stopped", process, 5)
    os.kill(process.pid, number)
    finish(process)
    message = (tmp_path / "stopped" / "message.txt").read_text()
    assert "stopped after" in message
    assert f"--resume {tmp_path / 'stopped'}" in message
    assert len(rows(tmp_path / "stopped")) < options.max_epochs
    finish(start(tmp_path / "stopped", options, True))
    assert_same_run(whole["cosine"], tmp_path / "stopped")


def test_orders_differ_between_epochs_and_go_on_after_resuming(tmp_path, monkeypatch):
    seen: list[list[int]] = []
    batch = PackedSet.batch

    def record(self, chosen, share):
        seen.append(chosen.tolist())
        return batch(self, chosen, share)

    monkeypatch.setattr(PackedSet, "batch", record)
    options = TrainOptions(max_epochs=4, batch_size=5)
    run(tmp_path / "whole", options)
    whole = [np.concatenate(seen[i : i + 4]).tolist() for i in range(1, 17, 4)]  # the first is the validation batch
    assert len({tuple(order) for order in whole}) == 4
    data = PackedSet(samples(TRAIN, 3.0, torch.float32), torch.float32)
    assert whole == [np.concatenate(EpochBatches(data, 4, 0).plan(epoch)).tolist() for epoch in range(4)]
    seen.clear()
    halves = tmp_path / "halves"
    run(halves, options.model_copy(update={"max_epochs": 2}))
    run(halves, options, True)
    assert [np.concatenate(seen[i : i + 4]).tolist() for i in (1, 5, 10, 14)] == whole


def test_going_on_for_longer_and_being_over(tmp_path):
    options = TrainOptions(max_epochs=3, batch_size=5, schedule="constant")
    run(tmp_path / "whole", options.model_copy(update={"max_epochs": 5}))
    run(tmp_path / "longer", options)
    run(tmp_path / "longer", options.model_copy(update={"max_epochs": 5}), True)
    assert_same_run(tmp_path / "whole", tmp_path / "longer")
    before = (tmp_path / "longer" / "last.ckpt").read_bytes()
    potential = Potential.from_data(Springs(), TRAIN)
    again = train(potential, TRAIN, VALID, options, tmp_path / "longer", resume=True)
    assert again.epochs == 5
    assert (tmp_path / "longer" / "last.ckpt").read_bytes() == before
    weights = torch.load(tmp_path / "whole" / "weights.pt", weights_only=True)
    assert all(torch.equal(p, weights[name]) for name, p in potential.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"learning_rate": 0.5}}, "learning_rate was 0.001 and is 0.5"),
        ({"options": {"dtype": "float64"}}, "dtype was float32 and is float64"),
        ({"train": molecules(20, seed=7)}, "training set was 20 structures"),
        ({"valid": []}, "validation set was 6 structures, .* and is none"),
        ({"config": Springs(width=4)}, "model was springs"),
    ],
)
def test_another_run_is_not_taken_up(tmp_path, change, message):
    options = TrainOptions(max_epochs=1, batch_size=10)
    run(tmp_path, options)
    potential = Potential.from_data(change.get("config", Springs()), TRAIN)
    options = options.model_copy(update={"max_epochs": 2, **change.get("options", {})})
    with pytest.raises(TrainingError, match=message):
        train(potential, change.get("train", TRAIN), change.get("valid", VALID), options, tmp_path, resume=True)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("kind", ["cut", "garbage", "pickle", "foreign"])
def test_a_checkpoint_that_cannot_be_used_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    options = TrainOptions(max_epochs=1, batch_size=10)
    run(tmp_path, options)
    path = tmp_path / "last.ckpt"
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "garbage":
        path.write_bytes(b"not a checkpoint")
    elif kind == "pickle":
        torch.save({"invarion": Bomb()}, path)
    else:
        torch.save({"state_dict": {}}, path)
    with pytest.raises(TrainingError, match=r"last.ckpt is (damaged|not a checkpoint)"):
        train(Potential.from_data(Springs(), TRAIN), TRAIN, VALID, options, tmp_path, resume=True)
    assert not Path("exploded").exists()
