"""Validation errors: sums that add up over batches and processes, and the figures in meV made of them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from invarion.potential import Prediction
from invarion.training.targets import Targets

N_SUMS = 9
"""Length of the vector that `error_sums` returns."""


class Errors(NamedTuple):
    """Errors over labelled structures; NaN where nothing of the kind is labelled. Forces and stress: over components.

    Attributes:
        loss: the training loss on this set.
        energy_mae_mev_per_atom: mean absolute error of the energy per atom.
        energy_rmse_mev_per_atom: its root mean square.
        forces_mae_mev_per_angstrom: mean absolute error of force components.
        forces_rmse_mev_per_angstrom: their root mean square.
        stress_mae_mev_per_angstrom3: mean absolute error of stress components.
        stress_rmse_mev_per_angstrom3: their root mean square.
    """

    loss: float
    energy_mae_mev_per_atom: float
    energy_rmse_mev_per_atom: float
    forces_mae_mev_per_angstrom: float
    forces_rmse_mev_per_angstrom: float
    stress_mae_mev_per_angstrom3: float
    stress_rmse_mev_per_angstrom3: float


def error_sums(prediction: Prediction, targets: Targets) -> Tensor:
    """(9,) float64: sum of absolute errors, sum of squares and number, of energy per atom, forces and stress.

    Args:
        prediction: of a batch; forces or stress may be None.
        targets: of the batch; what weighs nothing is left out.
    """
    energy = (prediction.energy - targets.energy) * targets.per_atom
    return torch.cat(
        [
            _sums(energy[:, None], targets.energy_weight),
            _sums(_difference(prediction.forces, targets.forces), targets.forces_weight),
            _sums(_difference(prediction.stress, targets.stress), targets.stress_weight),
        ]
    )


def errors_of(loss: float, sums: list[float]) -> Errors:
    """Errors in meV, from the loss and the added up sums of `error_sums`."""
    figures = []
    for absolute, square, number in (sums[0:3], sums[3:6], sums[6:9]):
        figures += [1e3 * absolute / number, 1e3 * math.sqrt(square / number)] if number else [math.nan, math.nan]
    return Errors(loss, *figures)


def _difference(predicted: Tensor | None, target: Tensor) -> Tensor | None:
    return None if predicted is None else (predicted - target).flatten(1)


def _sums(error: Tensor | None, weight: Tensor) -> Tensor:
    """(3,) sum of absolute values, of squares, and number, over components of rows that have a weight."""
    if error is None:
        return torch.zeros(3, dtype=torch.float64, device=weight.device)
    known = error[weight > 0].double()
    number = torch.tensor(known.numel(), dtype=torch.float64, device=weight.device)
    return torch.stack([known.abs().sum(), known.square().sum(), number])
