"""Readouts: from an atom's invariant functions to its energy; one module per element, all with the same two verbs."""

import torch
from torch import Tensor, nn

from invarion.models.ace.config import AceConfig


class Linear(nn.Module):
    """Energy as a linear combination of the functions; coefficients start at zero.

    Args:
        n_functions: B.
    """

    def __init__(self, n_functions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_functions))

    def calibrate(self, invariants: Tensor) -> None:
        """Nothing in it depends on typical environments."""

    def forward(self, invariants: Tensor) -> Tensor:
        """(N, B) in, (N,) out."""
        return invariants @ self.weight


def build_readout(config: AceConfig, n_functions: int) -> nn.Module:
    """The readout of one element with n_functions functions."""
    return Linear(n_functions)
