"""The course of a run: how far it is, the learning rate that follows from it, and when it ends."""

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from invarion.training.averaging import BestWeights
from invarion.training.options import TrainOptions


def learning_factor(options: TrainOptions, progress: float, plateau: float = 1.0) -> float:
    r"""Learning rate over the largest.

    .. math:: f(p) = \min(1, p / w) \cdot \begin{cases}
              \phi + (1 - \phi) (1 + \cos \pi q) / 2, \ q = (p - w) / (1 - w) & \text{cosine} \\
              \max(\phi, \text{product of plateau factors}) & \text{plateau} \\ 1 & \text{constant} \end{cases}

    Args:
        options: with warmup w and final_factor phi.
        progress: p, the part of the run that is over, 0..1.
        plateau: product of the plateau factors so far.

    >>> round(learning_factor(TrainOptions(warmup=0.1, final_factor=0.01), 1.0), 6)
    0.01
    """
    rise = min(1.0, progress / options.warmup) if options.warmup else 1.0
    if options.schedule == "constant":
        return rise
    if options.schedule == "plateau":
        return rise * max(plateau, options.final_factor)
    q = max(0.0, progress - options.warmup) / (1.0 - options.warmup)
    return rise * (options.final_factor + (1.0 - options.final_factor) * 0.5 * (1.0 + math.cos(math.pi * q)))


class Course(Callback):
    """Sets the learning rate of every step and ends the run on time.

    The part of the run that is over is the larger of steps / all steps and time / all time: a run limited by time ends
    its schedule, and the learning rates of a run limited by epochs do not depend on the clock.

    Args:
        options: of the run.
        steps_per_epoch: global batches.
        best: what knows the best validation so far.
        started: `time.monotonic()` when the run began; set-up counts.
    """

    def __init__(self, options: TrainOptions, steps_per_epoch: int, best: BestWeights, started: float) -> None:
        self._options = options
        self._steps_per_epoch = steps_per_epoch
        self._best = best
        self._started = started
        self._before = 0.0
        self._plateau = 1.0
        self._waited = 0
        self._validation_began = 0.0
        self._validation_time = 0.0
        self.progress = 0.0
        self.learning_rate = 0.0
        self.stopped_by: str | None = None

    @property
    def elapsed(self) -> float:
        """Seconds of this run, with those before it was taken up again."""
        return self._before + time.monotonic() - self._started

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Random numbers of a network follow from seed and epoch; the last epoch is always validated."""
        torch.manual_seed(self._options.seed * 1_000_003 + trainer.current_epoch)
        last = trainer.current_epoch + 1 == self._options.max_epochs
        trainer.check_val_every_n_epoch = 1 if last else self._options.valid_every

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate; where the time is up, this step is the last."""
        time_part = self._time_part(trainer)
        self.progress = min(1.0, max(self._step_part(trainer.global_step + 1), time_part))
        self.learning_rate = self._options.learning_rate * learning_factor(self._options, self.progress, self._plateau)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate
        if time_part >= 1.0:
            self._stop(trainer, "max_minutes")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The time that a validation takes is kept free at the end."""
        self._validation_began = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lower the learning rate at a plateau; end the run where it has not improved for long."""
        self._validation_time = time.monotonic() - self._validation_began
        self._waited = 0 if self._best.since == 0 else self._waited + 1
        if self._waited >= self._options.plateau_patience:
            self._waited, self._plateau = 0, self._plateau * self._options.plateau_factor
        patience = self._options.early_stopping
        if patience is not None and self._best.since >= patience:
            self._stop(trainer, "early_stopping")
        if self._time_part(trainer) >= 1.0:  # a further epoch would be one step and this validation again
            self._stop(trainer, "max_minutes")

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the run depends on."""
        return {
            "elapsed": self.elapsed,
            "plateau": self._plateau,
            "waited": self._waited,
            "stopped_by": self.stopped_by,
            "validation_time": self._validation_time,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` said."""
        self._before = state_dict["elapsed"]
        self._plateau = state_dict["plateau"]
        self._waited = state_dict["waited"]
        self._validation_time = state_dict.get("validation_time", 0.0)  # checkpoints of before had none

    def _step_part(self, steps: int) -> float:
        epochs = self._options.max_epochs
        return 0.0 if epochs is None else steps / (epochs * self._steps_per_epoch)

    def _time_part(self, trainer: pl.Trainer) -> float:
        """The part of the time that is over; several processes go by the clock of the first."""
        if self._options.max_minutes is None:
            return 0.0
        usable = max(60.0 * self._options.max_minutes - self._validation_time, 1e-9)
        return trainer.strategy.broadcast(self.elapsed / usable)

    def _stop(self, trainer: pl.Trainer, why: str) -> None:
        self.stopped_by = why
        trainer.should_stop = True
        trainer.check_val_every_n_epoch = 1
