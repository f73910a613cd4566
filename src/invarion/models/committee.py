"""Committees: several potentials trained apart and used as one, whose energy is their mean."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from invarion.exceptions import ConfigError
from invarion.graphs import Graph
from invarion.models.ace import AceConfig
from invarion.models.hip_config import HipHopNNConfig, HipNNConfig, HipNNTSConfig
from invarion.models.pair_sum import PairSum
from invarion.models.zbl import ZblCore
from invarion.potential import DoubleBuffers

MemberConfig = Annotated[HipNNConfig | HipNNTSConfig | HipHopNNConfig | AceConfig, Field(discriminator="kind")]


class CommitteeConfig(BaseModel):
    """Settings of the members of a committee; `invarion.committee` makes one of potentials.

    Attributes:
        members: their settings; the cutoff is the same for all.
        offsets: for each member what its reference energies are above those of the committee, in eV and in the order of
            the species; none where they all have the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["committee"] = "committee"
    members: Annotated[tuple[MemberConfig, ...], Field(min_length=1)]
    offsets: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if len(found := {member.cutoff for member in self.members}) > 1:
            raise ConfigError(f"members have cutoffs of {found} A; it must be the same for all")
        if self.offsets and len(self.offsets) != len(self.members):
            raise ConfigError(f"there are {len(self.offsets)} offsets for {len(self.members)} members; give one each")
        return self

    @property
    def cutoff(self) -> float:
        """Angstrom."""
        return self.members[0].cutoff

    def pairs(self, species: tuple[int, ...]) -> nn.Module | None:
        """The mean of the members' pair potentials, if any has one."""
        every = [member.pairs(species) for member in self.members]
        known = [each for each in every if each is not None]
        if not known:
            return None
        return known[0] if len(known) == len(every) and _one_repulsion(known) else PairSum(known, len(every))

    def network(self, species: tuple[int, ...]) -> "CommitteeNetwork":
        """The members' networks with random weights for these atomic numbers."""
        return CommitteeNetwork([member.network(species) for member in self.members])


def _one_repulsion(pairs: Sequence[nn.Module]) -> bool:
    """Whether these are one and the same repulsion; what is fitted to data may differ."""
    cores = [each for each in pairs if isinstance(each, ZblCore)]
    return len(cores) == len(pairs) and all(
        torch.equal(core.inner, cores[0].inner) and torch.equal(core.outer, cores[0].outer) for core in cores
    )


class CommitteeNetwork(DoubleBuffers):
    r"""The mean of the members' energies, each in the units of the committee.

    .. math:: e_i = \frac1K \sum_k a_k \sum_t e^{(k)}_{it}

    Args:
        members: K networks.
    """

    factors: Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("factors", torch.ones(len(members), dtype=torch.float64))

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """(N, 1) energies of the atoms of a graph; `index` (N,) is the species of each."""
        each = [member(graph, index).sum(1, keepdim=True) for member in self.members]
        return (torch.stack(each, dim=-1) * self.factors.to(each[0].dtype)).mean(-1)

    @torch.no_grad()
    def calibrate(self, graph: Graph, index: Tensor) -> None:
        """`calibrate` of every member that has it."""
        for member in self.members:
            calibrate: Any = getattr(member, "calibrate", None)
            if calibrate is not None:
                calibrate(graph, index)
