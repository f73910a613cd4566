"""The Lightning module: what a training step and a validation step are, with nothing in them that need not be."""

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from invarion.potential import Potential, Prediction
from invarion.training.batches import Batch
from invarion.training.errors import N_SUMS, Errors, error_sums, errors_of
from invarion.training.failures import TrainingError
from invarion.training.loss import Loss
from invarion.training.muon import Muon, decay_groups
from invarion.training.options import TrainOptions
from invarion.training.processes import Processes
from invarion.training.targets import Counts

_STEPS_UNSEEN = 50  # where the device runs ahead of Python, looking at every loss would make Python wait for it


class TrainingModule(pl.LightningModule):
    """A potential with its loss.

    Args:
        potential: trained in place; already on its device.
        loss: of the training set.
        options: of the run.
        valid_counts: labels in the whole validation set.
        everyone: the processes that train together.
    """

    def __init__(
        self,
        potential: Potential,
        loss: Loss,
        options: TrainOptions,
        valid_counts: Counts,
        everyone: Processes,
    ) -> None:
        super().__init__()
        self.potential = potential
        self.loss = loss
        self.options = options
        self.errors: Errors | None = None
        self._trained = [p for p in potential.parameters() if p.requires_grad]
        self._valid_counts = valid_counts
        self._everyone = everyone
        self._parts: list[Tensor] = []
        self._unseen: list[tuple[int, np.ndarray, Tensor]] = []
        self._valid_sums: list[Tensor] = []

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the name of every hook here, twice per hook; torch's way of setting attributes is slow
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of the global batch; each process returns its part, times the number that Lightning will divide by."""
        sums = self.loss.sums(self._predict(batch), batch.targets)
        parts = torch.stack(self.loss.parts(sums, batch.counts, self._everyone.add_up))
        loss = parts.sum()
        self._parts.append(parts.detach())
        self._watch(batch, self._everyone.add_up(loss.detach()))
        return loss * self._everyone.size if self._everyone.size > 1 else loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds this batch's sums; `finish_validation` makes errors of them."""
        prediction = self._predict(batch)
        sums = torch.stack(self.loss.sums(prediction, batch.targets))
        self._valid_sums.append(torch.cat([sums, error_sums(prediction, batch.targets)]))

    def finish_validation(self) -> Errors:
        """Errors over the validation set and all processes."""
        sums = self._everyone.add_up(torch.stack(self._valid_sums).sum(0))
        self._valid_sums.clear()
        parts = self.loss.parts(list(sums[:-N_SUMS]), self._valid_counts, _same)
        self.errors = errors_of(float(torch.stack(parts).sum()), sums[-N_SUMS:].tolist())
        if not math.isfinite(self.errors.loss):
            raise TrainingError(self._advice(f"the validation loss is {self.errors.loss}"))
        return self.errors

    def finish_epoch(self) -> list[float]:
        """Mean training losses of energy, forces, stress and the penalty over the epoch."""
        self._look()
        parts = self._everyone.add_up(torch.stack(self._parts).mean(0))
        self._parts.clear()
        return parts.tolist()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Slopes with respect to the weights alone: forces make edge vectors leaves too, and theirs cost a tenth."""
        loss.backward(inputs=self._trained)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Muon or AdamW, decaying matrices only."""
        settings = {"lr": self.options.learning_rate, "betas": self.options.betas}
        if self.options.optimizer == "muon":
            return Muon(self._trained, weight_decay=self.options.weight_decay, **settings)
        groups = decay_groups(self._trained, self.options.weight_decay)
        return torch.optim.AdamW(groups, **settings, fused=True)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the whole gradient; in few large operations, whatever the number of parameters."""
        if self.options.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self.options.gradient_clip, foreach=True)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batches are made on the device."""
        return batch

    def check_weights(self) -> None:
        """Refuse to go on, or to store anything, with weights that are not finite.

        Raises:
            TrainingError: some weight is NaN or infinite.
        """
        if not all(bool(p.isfinite().all()) for p in self.potential.parameters()):
            raise TrainingError(self._advice("some weights are no longer finite"))

    def _predict(self, batch: Batch) -> Prediction:
        """Of the network alone: what pairs explain is no longer in the targets."""
        loss = self.loss
        return self.potential(batch.graph, forces=loss.needs_forces, stress=loss.needs_stress, pairs=False)

    def _watch(self, batch: Batch, loss: Tensor) -> None:
        self._unseen.append((self.trainer.global_step, batch.structures, loss))
        if loss.device.type == "cpu" or len(self._unseen) >= _STEPS_UNSEEN:
            self._look()

    def _look(self) -> None:
        """Raise for the first loss since the last look that is not finite."""
        unseen, self._unseen = self._unseen, []
        for (step, structures, _), loss in zip(unseen, _values([loss for _, _, loss in unseen]), strict=True):
            if not math.isfinite(loss):
                which = ", ".join(str(i) for i in structures[:8].tolist())
                more = ", ..." if len(structures) > 8 else ""
                raise TrainingError(
                    self._advice(f"the loss is {loss} at step {step + 1}, training structures {which}{more}")
                )

    def _advice(self, what: str) -> str:
        last = "the last checkpoint is that of the epoch before" if self.trainer.current_epoch else "no checkpoint yet"
        return (
            f"epoch {self.trainer.current_epoch + 1}: {what}; look at these structures for labels or distances that "
            f"cannot be right, or lower learning_rate ({self.options.learning_rate:g}) or gradient_clip "
            f"({self.options.gradient_clip}); {last}"
        )


def _values(scalars: list[Tensor]) -> list[float]:
    """Their values; waits for the device once."""
    return [float(scalars[0])] if len(scalars) == 1 else torch.stack(scalars).tolist() if scalars else []


def _same(tensor: Tensor) -> Tensor:
    return tensor
