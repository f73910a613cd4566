"""Normalisations of invariants: scales of degree 2, 3, 4 invariants differ by orders of magnitude."""

from typing import Literal

import torch
from torch import Tensor, nn

Normalization = Literal["smooth", "group", "none"]


class SmoothNorm(nn.Module):
    r"""Divides every invariant by a soft norm over the neurons of its atom, and never by zero.

    .. math:: \hat I_{ibc} = \frac{I_{ibc}}{\sqrt{q_b^2 + \frac1C \sum_{c'} I_{ibc'}^2}}

    The floor :math:`q_b > 0` is the typical size of the invariant in the data (`calibrate`; learnable). Where an
    atom's environment fades out, the invariants fade out with it: the output is as smooth as its input. A group norm,
    which divides by the spread alone, blows the last trace of a neighbour up to full size (compare
    `tests/laws/test_smooth_cutoff.py`).

    Args:
        n_invariants: B.
    """

    def __init__(self, n_invariants: int) -> None:
        super().__init__()
        self.log_floor = nn.Parameter(torch.zeros(n_invariants))
        self.calibrating = False

    def forward(self, invariants: Tensor) -> Tensor:
        """(N, B, C) in, (N, B, C) out."""
        mean_square = invariants.square().mean(dim=2, keepdim=True)
        if self.calibrating:
            typical = mean_square.mean(dim=(0, 2)).sqrt().clamp(min=1e-6)
            self.log_floor.data.copy_(typical.log())
        return invariants * torch.rsqrt((2.0 * self.log_floor).exp()[:, None] + mean_square)


class GroupNorm(nn.GroupNorm):
    """The published normalisation: zero mean and unit spread over the neurons of an atom, one group per invariant.

    Its forces jump where a neighbour leaves through the cutoff; use it to reproduce published models.

    Args:
        n_invariants: B.
        n_features: C.
    """

    def __init__(self, n_invariants: int, n_features: int) -> None:
        super().__init__(n_invariants, n_invariants * n_features, eps=1e-5)

    def forward(self, input: Tensor) -> Tensor:
        """(N, B, C) in, (N, B, C) out."""
        return super().forward(input.flatten(1)).view_as(input)


def normalization(kind: Normalization, n_invariants: int, n_features: int) -> nn.Module:
    """The normalisation of that name for B invariants of C neurons."""
    if kind == "smooth":
        return SmoothNorm(n_invariants)
    return GroupNorm(n_invariants, n_features) if kind == "group" else nn.Identity()
