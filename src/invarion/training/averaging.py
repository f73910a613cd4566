"""Averaged weights, and the best of them."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from invarion.potential import Potential
from invarion.training.errors import Errors
from invarion.training.module import TrainingModule

Average = Callable[[list[Tensor], list[Tensor], Tensor | int], None]


class AveragedWeights(EMAWeightAveraging):
    """Lightning's exponential moving average of the weights, in one operation for all of them, and rising at the start.

    Buffers are copied, not averaged: an average of integers is wrong.

    Args:
        decay: per step, once the run is long enough for it.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)
        self._kwargs = {"multi_avg_fn": rising_average(decay)}


def rising_average(decay: float) -> Average:
    r"""The update :math:`\bar w \leftarrow d_n \bar w + (1 - d_n) w` with :math:`d_n = \min(d, (1 + n) / (10 + n))`.

    Args:
        decay: d, 0 <= d < 1; the rise forgets the initial weights however short the run is.
    """

    def update(averaged: list[Tensor], current: list[Tensor], number: Tensor | int) -> None:
        n = int(number)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, number)

    return update


class BestWeights(Callback):
    """Keeps the averaged weights of the best validation; stands before `AveragedWeights`, which takes them away again.

    Args:
        store: called with the errors and the epoch while the potential has the best weights so far.
    """

    def __init__(self, store: Callable[[Potential, Errors, int], None]) -> None:
        self._store = store
        self.errors: Errors | None = None
        self.epoch = 0
        self.since = 0
        self.weights: dict[str, Tensor] | None = None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare; while this hook runs, the module has the averaged weights."""
        if not isinstance(pl_module, TrainingModule):
            return
        errors = pl_module.finish_validation()
        self.since += 1
        if self.errors is None or errors.loss < self.errors.loss:
            self.errors, self.epoch, self.since = errors, trainer.current_epoch + 1, 0
            self.weights = {name: w.detach().clone() for name, w in pl_module.potential.state_dict().items()}
            self._store(pl_module.potential, errors, self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        errors = None if self.errors is None else list(self.errors)
        return {"errors": errors, "epoch": self.epoch, "since": self.since, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` said."""
        errors = state_dict["errors"]
        self.errors = None if errors is None else Errors(*errors)
        self.epoch, self.since, self.weights = state_dict["epoch"], state_dict["since"], state_dict["weights"]
