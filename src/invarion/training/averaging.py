"""Averaged weights, and the best of them."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from invarion.potential import Potential
from invarion.training.errors import Errors
from invarion.training.module import TrainingModule


class AveragedWeights(EMAWeightAveraging):
    r"""Lightning's moving average of the weights, which validation and the end of the run see; rising at the start.

    .. math:: \bar w \leftarrow d_n \bar w + (1 - d_n) w, \qquad d_n = \min(d, n / (n + 9))

    so that the initial weights are forgotten however short the run is. All weights are updated in one operation, where
    Lightning's own update visits each of them twice; buffers are copied, because an average of integers is wrong.

    Args:
        decay: d per step, 0 <= d < 1.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)
        self._decay = decay
        self._pairs: tuple[list[Tensor], list[Tensor]] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights."""
        model = self._model
        if self._pairs is None:
            self._pairs = (
                [p.detach() for p in model.module.parameters()],
                [p.detach() for p in pl_module.parameters()],
            )
        n = int(model.n_averaged)
        get_ema_multi_avg_fn(min(self._decay, n / (n + 9)))(*self._pairs, n)
        model.n_averaged += 1
        self._latest_update_step = trainer.global_step

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the averaged weights in; buffers stay what they are."""
        for averaged, current in zip(self._model.module.buffers(), pl_module.buffers(), strict=True):
            averaged.copy_(current)
        super().on_validation_epoch_start(trainer, pl_module)

    @property
    def weights(self) -> dict[str, Tensor] | None:
        """The averaged weights of the potential; None before the first step."""
        if self._average_model is None:
            return None
        whole = self._average_model.module.state_dict()
        return {name.removeprefix("potential."): w.detach().clone() for name, w in whole.items()}

    @property
    def _model(self) -> AveragedModel:
        if self._average_model is None:
            raise RuntimeError("averaged weights exist during fit only")
        return self._average_model


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
