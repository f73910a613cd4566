"""What a run tells while it goes on: log.csv, other trackers, and progress on the terminal."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from invarion.files import write_atomically
from invarion.training.course import Course
from invarion.training.errors import Errors
from invarion.training.failures import TrainingError
from invarion.training.module import TrainingModule

COLUMNS = (
    "epoch",
    "step",
    "time_s",
    "learning_rate",
    "train_loss",
    "train_energy_loss",
    "train_forces_loss",
    "train_stress_loss",
    "train_hierarchicality",
    *(f"valid_{name}" for name in Errors._fields),
)
"""Columns of log.csv; errors of epochs without validation, and of labels that are not there, are empty."""

_SECONDS_BETWEEN_DRAWS = 0.2
_LINES = 20  # about how many lines a whole run prints where there is no terminal


class Log(Callback):
    """Writes a row per epoch to log.csv and to the trackers; the rows are part of the checkpoint.

    A run that is taken up again starts from the rows of its checkpoint, so that no epoch is there twice.

    Args:
        path: of log.csv.
        course: of the run.
    """

    def __init__(self, path: Path, course: Course) -> None:
        self._path = path
        self._course = course
        self.rows: list[list[float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the file."""
        if trainer.is_global_zero:
            write_atomically(self._path, ",".join(COLUMNS) + "\n" + _csv(self.rows))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        if not isinstance(pl_module, TrainingModule):
            return
        parts = pl_module.finish_epoch()
        errors = pl_module.errors or [math.nan] * len(Errors._fields)
        pl_module.errors = None
        steps = (float(trainer.current_epoch + 1), float(trainer.global_step))
        head = (*steps, self._course.elapsed, self._course.learning_rate)
        self.rows.append([*head, sum(parts), *parts, *errors])
        if trainer.is_global_zero:
            self._append(self.rows[-1])
            _track(trainer.loggers, self.rows[-1])

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as one tensor: long lists of numbers are slow to store."""
        return {"rows": torch.tensor(self.rows, dtype=torch.float64)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` said."""
        self.rows = state_dict["rows"].tolist()

    def _append(self, row: list[float]) -> None:
        try:
            with self._path.open("a", newline="") as file:
                file.write(_csv([row]))
        except OSError as error:
            raise TrainingError(
                f"cannot write {self._path}: {error.strerror}; free some space and resume from the last checkpoint"
            ) from error


class Bar(Callback):
    """A progress bar with the validation errors in meV.

    Args:
        course: of the run.
        console: a terminal.
    """

    def __init__(self, course: Course, console: Console) -> None:
        self._course = course
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
        )
        self._task = self._bar.add_task("training", total=1.0)
        self._next = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show it."""
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move it, some times a second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_DRAWS
            self._bar.update(self._task, completed=self._course.progress)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the errors."""
        self._bar.update(self._task, description=_state(trainer, pl_module), completed=self._course.progress)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave its last state on the terminal."""
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._bar.stop()


class Lines(Callback):
    """A line with the validation errors in meV now and then, where there is no terminal.

    Args:
        course: of the run.
        console: where to.
    """

    def __init__(self, course: Course, console: Console) -> None:
        self._course = course
        self._console = console
        self._next = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a line, if the last one is long ago."""
        progress = self._course.progress
        if progress >= self._next or trainer.should_stop:
            self._next = progress + 1.0 / _LINES
            state = f"{_state(trainer, pl_module)}  {self._course.elapsed:.0f} s"
            self._console.print(state, highlight=False, soft_wrap=True)


def display(course: Course, wanted: bool | None) -> Callback | None:
    """What shows the progress on stderr; None for nothing.

    Args:
        course: of the run.
        wanted: `TrainOptions.progress`.
    """
    console = Console(stderr=True)
    if console.is_terminal and wanted is not False:
        return Bar(course, console)
    return Lines(course, console) if wanted else None


def trackers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Lightning's loggers for the trackers asked for.

    Args:
        names: "tensorboard", "wandb".
        folder: of the run.

    Raises:
        TrainingError: one is not installed.
    """
    return [_tracker(name, folder) for name in names]


def _tracker(name: str, folder: Path) -> Logger:
    try:
        if name == "tensorboard":
            return TensorBoardLogger(folder, name="", version="tensorboard")
        return WandbLogger(save_dir=folder)
    except ModuleNotFoundError as error:
        raise TrainingError(f"trackers has {name!r}, which is not installed: pip install {name}") from error


def _state(trainer: pl.Trainer, module: pl.LightningModule) -> str:
    last = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    errors = module.errors if isinstance(module, TrainingModule) else None
    return f"epoch {trainer.current_epoch + 1}{last}  {'' if errors is None else summary(errors)}"


def summary(errors: Errors) -> str:
    """The errors that are known, in one line.

    >>> summary(Errors(0.5, 1.25, 2.0, 38.06, 50.0, float("nan"), float("nan")))
    'energy 1.25 meV/atom  forces 38.1 meV/A'
    """
    shown = (
        ("energy", errors.energy_mae_mev_per_atom, "meV/atom"),
        ("forces", errors.forces_mae_mev_per_angstrom, "meV/A"),
        ("stress", errors.stress_mae_mev_per_angstrom3, "meV/A^3"),
    )
    return "  ".join(f"{name} {value:.3g} {unit}" for name, value, unit in shown if math.isfinite(value))


def _track(loggers: Sequence[Logger], row: Sequence[float]) -> None:
    known = {name: value for name, value in zip(COLUMNS, row, strict=True) if not math.isnan(value)}
    for logger in loggers:
        logger.log_metrics(known, step=int(known["epoch"]))


def _csv(rows: Sequence[Sequence[float]]) -> str:
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: float) -> str:
    """As short as exact; whole numbers without a point, nothing for NaN."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
