"""Normalisations of invariants: scales of degree 2, 3, 4 invariants differ by orders of magnitude."""

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from invarion.models.environment import runs_fused

Normalization = Literal["scaled", "smooth", "group", "none"]
_REACH = MappingProxyType({"scaled": 10.0, "smooth": 1.0})
_DECAY = MappingProxyType({"scaled": 0.3, "smooth": 1.0})


class SmoothNorm(nn.Module):
    r"""Divides every invariant by a soft norm over the neurons of its atom, and never by zero.

    .. math:: \hat I_{ibc} = \frac{I_{ibc}}{\sqrt{f_b^2 + \frac1C \sum_{c'} I_{ibc'}^2}}

    The floor :math:`f_b > 0` is `reach` times the typical size of the invariant in the data (`calibrate`; learnable).
    Up to there invariants stay the polynomials that they are; far beyond they are bounded. Where an atom's environment
    fades out, the invariants fade out with it: the output is as smooth as its input. A group norm, which divides by the
    spread alone, blows the last trace of a neighbour up to full size (compare `tests/laws/test_smooth_cutoff.py`).

    Args:
        n_invariants: B.
        reach: how many times its typical size an invariant has to be for the norm to hold it back.
    """

    def __init__(self, n_invariants: int, reach: float = 1.0) -> None:
        super().__init__()
        self.reach = reach
        self.log_floor = nn.Parameter(torch.full([n_invariants], math.log(reach)))
        self.calibrating = False

    def forward(self, invariants: Tensor) -> Tensor:
        """(N, B, C) in, (N, B, C) out."""
        if self.calibrating:
            typical = invariants.square().mean(dim=(0, 2)).sqrt().clamp(min=1e-6)
            self.log_floor.data.copy_((self.reach * typical).log())
        return unit_rows(invariants, (2.0 * self.log_floor).exp(), centered=False)


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
        n_invariants, n_features = input.shape[1:]
        floors = torch.full([n_invariants], self.eps, dtype=input.dtype, device=input.device)
        shape = (n_invariants, n_features)
        return torch.addcmul(self.bias.view(shape), unit_rows(input, floors, centered=True), self.weight.view(shape))


def unit_rows(values: Tensor, floors: Tensor, centered: bool) -> Tensor:
    r"""Rows brought to unit size, but for a floor: :math:`y / \sqrt{f_b + \langle y^2 \rangle}`.

    Args:
        values: (N, B, C) rows of C numbers.
        floors: (B,) f, > 0.
        centered: whether the mean of a row is taken off first.

    Returns:
        (N, B, C), differentiable twice.

    >>> unit_rows(torch.tensor([[[3.0, 4.0]]]), torch.tensor([12.5]), centered=False)
    tensor([[[0.6000, 0.8000]]])
    """
    if torch.jit.is_scripting():
        return plain_unit_rows(values, floors, centered)
    else:  # noqa: RET505 - the compiler of TorchScript must not see what follows
        return _unit_rows(values, floors, centered)


def plain_unit_rows(values: Tensor, floors: Tensor, centered: bool) -> Tensor:
    """`unit_rows` in plain torch operations."""
    if centered:
        values = values - values.mean(dim=2, keepdim=True)
    return values * torch.rsqrt(floors[:, None] + values.square().mean(dim=2, keepdim=True))


def _unit_rows(values: Tensor, floors: Tensor, centered: bool) -> Tensor:
    """`unit_rows` on the path that fits."""
    if not runs_fused(values):
        return plain_unit_rows(values, floors, centered)
    from invarion.models.kernels.norm_ops import unit_rows as fused_unit_rows

    return fused_unit_rows(values, floors, centered)[0]


def normalization(kind: Normalization, degrees: Sequence[int], n_features: int) -> tuple[nn.Module, list[float]]:
    r"""The normalisation of that name, and what each invariant is multiplied by after it.

    "scaled" lets invariants grow to ten times their typical size before it holds them back, and multiplies an invariant
    of typical size to :math:`0.3^{d_b - 1}`: products of many factors vary fastest from one environment to the next,
    and what comes in small is learned late. "smooth" holds back what is larger than typical, and treats all degrees
    alike.

    Args:
        kind: its name.
        degrees: d_b of every invariant.
        n_features: C.
    """
    gains = [1.0] * len(degrees)
    if kind == "group":
        return GroupNorm(len(degrees), n_features), gains
    if kind == "none":
        return nn.Identity(), gains
    reach, decay = _REACH[kind], _DECAY[kind]
    return SmoothNorm(len(degrees), reach), [reach * decay ** (degree - 1) for degree in degrees]
