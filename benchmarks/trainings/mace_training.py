"""MACE through its own `mace_run_train`, with the settings of its README; the loader of batches ends it in time.

Model: <channels>x<L>, by default 64 channels and scalar messages (L = 0), as its small foundation models are built.
The README's stage two (energies weigh more, weights are averaged) takes the last quarter of the epochs; how many there
are follows from the duration of the first.
"""

import os

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # constants of e3nn 0.4 under torch >= 2.6; MACE sets it, too

import dataclasses
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from ase.io import read
from mace import tools
from mace.calculators import MACECalculator
from mace.cli import run_train

PACKAGES = ("mace-torch", "e3nn")
UNLIMITED = 10**6


def train(case: dict):
    """Train for the case's time; stage two's best weights predict, stage one's if the time was too short for it."""
    start = time.monotonic()
    frames = read("train.extxyz", ":")
    has_forces = "REF_forces" in frames[0].arrays
    clock = _Clock(start, 60 * case["minutes"], has_forces)
    settings = _settings(case, has_forces, sorted({z for a in frames for z in a.numbers.tolist()}))
    words = [
        word
        for name, value in settings.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
    original, tools.train = tools.train, clock.limited(tools.train)
    try:
        run_train.run(tools.build_default_arg_parser().parse_args(words))
    finally:
        tools.train = original
    best = Path("mace_stagetwo.model" if clock.reached_stage_two() else "mace.model")
    facts = {
        "settings": settings,
        "stage_two": clock.stage_two,
        "epochs": len(clock.curve),
        "steps": clock.steps,
        "curve": clock.curve,
    }
    facts["parameters"] = sum(p.numel() for p in torch.load(best, weights_only=False).parameters())
    return facts, lambda tested: _predict(best, tested)


def _settings(case: dict, has_forces: bool, species: list[int]) -> dict[str, object]:
    channels, order = map(int, case["settings"].get("model", "64x0").split("x"))
    chosen = {
        "name": "mace",
        "model": "MACE",
        "num_channels": channels,
        "max_L": order,
        "r_max": case["cutoff"],
        "E0s": str(dict.fromkeys(species, 0.0)),  # already taken off, in double precision
        "train_file": "train.extxyz",
        "valid_file": "valid.extxyz",
        "batch_size": 10,
        "max_num_epochs": 1000,
        "swa": True,
        "ema": True,
        "ema_decay": 0.99,
        "amsgrad": True,
        "default_dtype": "float32",
        "device": "cpu",
        "seed": case["seed"],
        "error_table": "PerAtomMAE",
        "plot": "False",
    }
    if has_forces:
        return chosen
    return {
        **chosen,
        "forces_weight": 0.0,
        "swa_forces_weight": 0.0,
        "scaling": "std_scaling",
    }  # it has no loss of energies alone


class TimeIsUpError(Exception):
    """Ends MACE's loop over epochs."""


class _Batches:
    """A loader that stops handing out batches when the time is up, and counts them."""

    def __init__(self, loader: object, clock: "_Clock") -> None:
        self.loader, self.clock = loader, clock

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[object]:
        if self.clock.left() <= 0 and self.clock.steps:  # without an epoch there is no model to go back to
            raise TimeIsUpError
        for batch in self.loader:
            yield batch
            self.clock.steps += 1
            if self.clock.left() <= 0:
                return


class _Clock:
    """Runs MACE's training within a time, and notes the validation errors on the way (it serves as MACE's logger)."""

    def __init__(self, start: float, seconds: float, has_forces: bool) -> None:
        self.start, self.seconds, self.has_forces = start, seconds, has_forces
        self.steps, self.curve, self.stage_two = 0, [], None

    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.start)

    def reached_stage_two(self) -> bool:
        """Whether an epoch of stage two was validated."""
        return self.stage_two is not None and len(self.curve) > self.stage_two

    def log(self, found: dict) -> None:
        """Take a row of MACE's log."""
        if found.get("mode") == "eval" and found.get("epoch") is not None:
            point = {
                "seconds": self.seconds - self.left(),
                "energy_mae_mev_per_atom": 1e3 * float(found["mae_e_per_atom"]),
            }
            if self.has_forces:
                point["forces_mae_mev_per_angstrom"] = 1e3 * float(found["mae_f"])
            self.curve.append(point)

    def limited(self, original):
        """MACE's `train`, one epoch to know how long it takes, then as many as there is time for."""

        def train(**arguments: object) -> None:
            arguments |= {"train_loader": _Batches(arguments["train_loader"], self), "logger": self}
            begin = time.monotonic()
            original(**{**arguments, "max_num_epochs": 1, "swa": None})
            epochs = 1 + max(0, int(self.left() / (time.monotonic() - begin)))
            self.stage_two = 1 + 3 * (epochs - 1) // 4
            checkpoints = arguments["checkpoint_handler"]
            checkpoints.io.swa_start = self.stage_two
            swa = dataclasses.replace(arguments["swa"], start=self.stage_two)
            with suppress(TimeIsUpError):
                original(**{**arguments, "start_epoch": 1, "max_num_epochs": UNLIMITED, "swa": swa})
            if not self.reached_stage_two():  # MACE insists on a checkpoint of it; it is not used
                state = tools.CheckpointState(*(arguments[name] for name in ("model", "optimizer", "lr_scheduler")))
                checkpoints.save(state, epochs=self.stage_two, keep_last=True)

        return train


def _predict(path: Path, frames: list):
    """Energies and forces by MACE's calculator."""
    calculator = MACECalculator(model_paths=str(path), device="cpu", default_dtype="float32")
    energies, forces = [], []
    for atoms in frames:
        calculator.calculate(atoms)
        energies.append(calculator.results["energy"])
        forces.append(calculator.results["forces"])
    return np.array(energies), np.concatenate(forces)
