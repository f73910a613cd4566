"""Pair potentials together: a repulsion beside a fitted one, or those of a committee's members."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from invarion.data.dataset import Sample
from invarion.graphs import Graph


class PairSum(nn.Module):
    """The sum of several pair potentials, divided by a number.

    Args:
        parts: at least one; each gives energies (N,) in eV.
        divisor: 1 for their sum; the number of members for the mean over a committee.
    """

    def __init__(self, parts: Sequence[nn.Module], divisor: int = 1) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.divisor = divisor

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Energies (N,) in eV, float64."""
        return torch.stack([part(graph, index).double() for part in self.parts]).sum(0) / self.divisor

    def fit(self, sample: Sample, index: Tensor) -> None:
        """`PairPotential.fit` of every part that has it."""
        for part in self.parts:
            fit: Any = getattr(part, "fit", None)
            if fit is not None:
                fit(sample, index)


def joined(parts: Sequence[nn.Module]) -> nn.Module | None:
    """One pair potential for all of these, None for none."""
    return PairSum(parts) if len(parts) > 1 else next(iter(parts), None)
