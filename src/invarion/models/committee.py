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

MemberConfig = Annotated[HipNNConfig | HipNNTSConfig | HipHopNNConfig | AceConfig, Field(discriminator="kind")]


class CommitteeConfig(BaseModel):
    """Settings of the members of a committee; `invarion.committee` makes one of potentials.

    Attributes:
        members: their settings; cutoff and repulsive core are the same for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["committee"] = "committee"
    members: Annotated[tuple[MemberConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _alike(self) -> Self:
        for name in ("cutoff", "zbl"):
            found = {repr(getattr(member, name)): getattr(member, name) for member in self.members}
            if len(found) > 1:
                raise ConfigError(
                    f"members of a committee have {name} {' and '.join(found)}; it must be the same for all: train "
                    f"them with the same settings and different seeds"
                )
        return self

    @property
    def cutoff(self) -> float:
        """Angstrom."""
        return self.members[0].cutoff

    def repulsion(self, species: tuple[int, ...]) -> nn.Module | None:
        """The repulsive core that all members have, if there is one."""
        return self.members[0].repulsion(species)

    def network(self, species: tuple[int, ...]) -> "CommitteeNetwork":
        """The members' networks with random weights for these atomic numbers."""
        return CommitteeNetwork([member.network(species) for member in self.members])


class CommitteeNetwork(nn.Module):
    r"""The mean of the members' energies, each in the units of the committee.

    .. math:: e_i = \frac1K \sum_k a_k \sum_t e^{(k)}_{it}

    Args:
        members: K networks.
    """

    factors: Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("factors", torch.ones(len(members)))

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """(N, 1) energies of the atoms of a graph; `index` (N,) is the species of each."""
        each = [member(graph, index).sum(1, keepdim=True) for member in self.members]
        return (torch.stack(each, dim=-1) * self.factors).mean(-1)

    @torch.no_grad()
    def calibrate(self, graph: Graph, index: Tensor) -> None:
        """`calibrate` of every member that has it."""
        for member in self.members:
            calibrate: Any = getattr(member, "calibrate", None)
            if calibrate is not None:
                calibrate(graph, index)
