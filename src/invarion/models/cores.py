"""What acts between pairs of atoms beside a network, where there is more than one such thing."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from invarion.data.dataset import Sample
from invarion.graphs import Graph


class Cores(nn.Module):
    """The sum of several cores, divided by a number.

    Args:
        cores: at least one; each gives energies (N,) in eV.
        divisor: 1 for their sum; the number of members for the mean over a committee.
    """

    def __init__(self, cores: Sequence[nn.Module], divisor: int = 1) -> None:
        super().__init__()
        self.cores = nn.ModuleList(cores)
        self.divisor = divisor

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Energies (N,) in eV, float64."""
        return torch.stack([core(graph, index).double() for core in self.cores]).sum(0) / self.divisor

    def fit(self, sample: Sample, index: Tensor, open_references: bool) -> None:
        """`PairPotential.fit` of every core that has it."""
        for core in self.cores:
            fit: Any = getattr(core, "fit", None)
            if fit is not None:
                fit(sample, index, open_references)


def joined(cores: Sequence[nn.Module]) -> nn.Module | None:
    """One core for all of these, None for none."""
    return Cores(cores) if len(cores) > 1 else next(iter(cores), None)
