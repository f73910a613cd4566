"""The loss: residuals without unit, mixed and weighted; made of sums that add up over batches and processes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from invarion.exceptions import ConfigError
from invarion.potential import Prediction
from invarion.training.options import LossMix, TrainOptions
from invarion.training.targets import Counts, Spreads, Targets

PROPERTIES = ("energy", "forces", "stress")
USUAL_WEIGHTS = (1.0, 100.0, 1.0)
"""Of energy, forces and stress where the options give none. A structure has one energy and three force components per
atom: with equal weights the noise of the few energies drowns what the forces teach (ethanol, 12 epochs: force MAE 195,
55, 36 and 39 meV/A at forces weights 1, 10, 100 and 1000, and the energy MAE falls along with it)."""
_LEAST_TERM = 1e-4  # eV; terms below it do not count as a hierarchy upside down, and 0/0 is 0


class Summand(NamedTuple):
    """One sum that the loss is made of: its property (index into `PROPERTIES`), its kind of mean and its weight."""

    target: int
    kind: str
    weight: float


@dataclass(frozen=True)
class Loss:
    r"""A mixed mean of residuals per property, and the hierarchicality penalty.

    .. math:: L = \sum_p w_p \, \ell_p(x^p)
              + w_h \frac1N \sum_i w_i \sum_{n \ge 1} \frac{e_{in}^2}{e_{in}^2 + e_{i,n-1}^2}

    The residuals :math:`x \ge 0` are measured in the spread of the labels over the training set (`Spreads`), so that
    the same weights serve any data:
    :math:`x^E_s = |\Delta E_s| / N_s \sigma_E`, :math:`x^F_i = \lVert \Delta F_i \rVert / \sqrt3 \sigma_F` (a length:
    it does not depend on the axes), :math:`x^\sigma_s = V_s \lVert \Delta \sigma_s \rVert / 3 N_s \sigma_W`.
    :math:`\ell_p` is a `LossMix` of means over structures or atoms with a label; the weights of structures and
    properties in the data multiply their terms.

    Attributes:
        weights: of energy, forces and stress; 0 leaves a property out.
        mixes: of the three.
        spreads: of the three.
        delta: where Huber turns from square to linear, in units of the spread.
        hierarchicality: weight of the penalty.

    References:
        N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018): the hierarchicality of terms.
    """

    weights: tuple[float, float, float]
    mixes: tuple[LossMix, LossMix, LossMix]
    spreads: Spreads
    delta: float = 0.01
    hierarchicality: float = 0.0

    @property
    def needs_forces(self) -> bool:
        """Whether forces have a weight."""
        return self.weights[1] > 0

    @property
    def needs_stress(self) -> bool:
        """Whether stress has a weight."""
        return self.weights[2] > 0

    @cached_property
    def summands(self) -> tuple[Summand, ...]:
        """What is summed, in the order of `sums`."""
        return tuple(
            Summand(target, kind, weight * getattr(mix, kind))
            for target, (weight, mix) in enumerate(zip(self.weights, self.mixes, strict=True))
            for kind in _KINDS
            if weight * getattr(mix, kind) > 0
        )

    def sums(self, prediction: Prediction, targets: Targets) -> list[Tensor]:
        """Sums over the batch, float64 scalars: one per summand, then that of the penalty if it has a weight."""
        residuals = self._residuals(prediction, targets)
        found = [_KINDS[s.kind](*residuals[s.target], self.delta).double() for s in self.summands]
        if self.hierarchicality > 0:
            found.append(upside_down(prediction.terms, targets.atom_weight))
        return found

    def parts(self, sums: Sequence[Tensor], counts: Counts, add_up: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Weighted losses of energy, forces and stress, and the penalty; the loss is their sum.

        Added up over processes they are the loss of the global batch, and so are their gradients.

        Args:
            sums: of this process.
            counts: labels over all processes.
            add_up: sums a tensor over processes.
        """
        none = sums[0].new_zeros(())
        parts = [none] * 4
        for summand, value in zip(self.summands, sums, strict=False):
            number = counts[summand.target] or 1.0
            if summand.kind == "rmse":
                mean = _root(value / number, add_up) * summand.weight
            else:
                mean = value * (summand.weight / number)
            before = parts[summand.target]
            parts[summand.target] = mean if before is none else before + mean
        if self.hierarchicality > 0:
            parts[3] = sums[-1] * (self.hierarchicality / (counts.atoms or 1.0))
        return parts

    def _residuals(self, prediction: Prediction, targets: Targets) -> dict[int, tuple[Tensor, Tensor]]:
        """Sizes and weights by property, for properties that have a weight."""
        return {
            index: make(prediction, targets, spread)
            for index, (make, weight, spread) in enumerate(zip(_RESIDUALS, self.weights, self.spreads, strict=True))
            if weight > 0
        }


def make_loss(options: TrainOptions, spreads: Spreads, counts: Counts) -> Loss:
    """The loss that the options ask for on a training set.

    Args:
        options: of the run; a weight of None means that of `USUAL_WEIGHTS` where the set has labels.
        spreads: of the training set.
        counts: of the training set.

    Raises:
        ConfigError: no property has both a weight and labels.
    """
    given = (options.energy_weight, options.forces_weight, options.stress_weight)
    usual = [weight if n > 0 else 0.0 for weight, n in zip(USUAL_WEIGHTS, counts, strict=False)]
    weights = [weight if wish is None else wish for wish, weight in zip(given, usual, strict=True)]
    if not any(weights):
        labelled = [name for name, n in zip(PROPERTIES, counts, strict=False) if n > 0]
        raise ConfigError(
            f"there is nothing to learn: no property has a weight; the structures have labels of "
            f"{' and '.join(labelled) or 'nothing'} with a weight above 0: give energy_weight, forces_weight or "
            "stress_weight for some of these"
        )
    return Loss(
        weights=(weights[0], weights[1], weights[2]),
        mixes=(options.mix("energy"), options.mix("forces"), options.mix("stress")),
        spreads=spreads,
        delta=options.huber_delta,
        hierarchicality=options.hierarchicality,
    )


def upside_down(terms: Tensor, weights: Tensor) -> Tensor:
    r"""Weighted sum over atoms of :math:`\sum_n e_n^2 / (e_n^2 + e_{n-1}^2)`, small where terms fall off.

    Args:
        terms: (N, T) float64, eV.
        weights: (N,) float64, of the atoms.
    """
    squares = terms.square()
    return torch.dot((squares[:, 1:] / (squares[:, 1:] + squares[:, :-1] + _LEAST_TERM**2)).sum(1), weights)


def _energy_residual(prediction: Prediction, targets: Targets, spread: float) -> tuple[Tensor, Tensor]:
    error = (prediction.energy - targets.energy) * targets.per_atom
    return error.abs() / spread, targets.energy_weight


def _forces_residual(prediction: Prediction, targets: Targets, spread: float) -> tuple[Tensor, Tensor]:
    error = torch.linalg.vector_norm(prediction.forces - targets.forces, dim=1)
    return error / (math.sqrt(3.0) * spread), targets.forces_weight


def _stress_residual(prediction: Prediction, targets: Targets, spread: float) -> tuple[Tensor, Tensor]:
    error = torch.linalg.vector_norm((prediction.stress - targets.stress).flatten(1), dim=1)
    return error * targets.volume_per_atom / (3.0 * spread), targets.stress_weight


def _square(x: Tensor, weight: Tensor, delta: float) -> Tensor:
    return torch.dot(x.square(), weight)


def _absolute(x: Tensor, weight: Tensor, delta: float) -> Tensor:
    return torch.dot(x, weight)


def _huber(x: Tensor, weight: Tensor, delta: float) -> Tensor:
    return torch.dot(torch.nn.functional.smooth_l1_loss(x, torch.zeros_like(x), reduction="none", beta=delta), weight)


def _root(mean: Tensor, add_up: Callable[[Tensor], Tensor]) -> Tensor:
    """This process's part of the root of the mean over all processes: value and gradient add up to the root's."""
    part = mean / (2.0 * add_up(mean.detach()).sqrt().clamp(min=1e-12))
    return part + part.detach()


_RESIDUALS = (_energy_residual, _forces_residual, _stress_residual)
_KINDS: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = MappingProxyType(
    {"mse": _square, "mae": _absolute, "rmse": _square, "huber": _huber}
)
