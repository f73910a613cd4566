"""What bends the features of a network between its linear layers."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

Activation = Literal["softplus", "silu", "wide_silu"]


def activation_function(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name."""
    return {"silu": nn.functional.silu, "softplus": nn.functional.softplus, "wide_silu": wide_silu}[name]


def wide_silu(features: Tensor) -> Tensor:
    r"""SiLU drawn out, :math:`2 x / (1 + e^{-x/4})`: nearly x where \|x\| is well below 4.

    Invariants that pass through it stay almost the polynomials that they are, which extrapolate better than what a
    strongly bent function makes of them (docs/training.md).

    >>> import torch
    >>> wide_silu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.8756,  0.0000,  1.1244])
    """
    return 8.0 * nn.functional.silu(0.25 * features)
