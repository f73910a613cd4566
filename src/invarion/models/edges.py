"""What every model needs of an edge vector: its length and the direction tensors of its unit vector."""

from math import isqrt

import torch
from torch import Tensor

from invarion.geometry.harmonics import harmonics
from invarion.models.environment import runs_fused


def edge_geometry(vectors: Tensor, max_rank: int, kernel: str = "auto") -> tuple[Tensor, Tensor]:
    r"""Lengths and direction tensors of edge vectors.

    Args:
        vectors: (E, 3), r_neighbor - r_center in Angstrom, none of length zero.
        max_rank: L >= 0.
        kernel: as in `invarion.models.environment.environment`.

    Returns:
        Lengths (E,) in Angstrom, and (E, (L+1)^2) traceless projections of :math:`\hat r^{\otimes l}`, packed by rank;
        both differentiable twice.

    Examples:
        >>> lengths, tensors = edge_geometry(torch.tensor([[0.0, 0.0, 2.0]]), 1)
        >>> lengths, tensors
        (tensor([2.]), tensor([[1., 0., 1., 0.]]))
    """
    components = (max_rank + 1) ** 2
    if not runs_fused(vectors, kernel):
        return plain_geometry(vectors, components)
    from invarion.models.kernels.geometry_ops import fused_geometry

    return fused_geometry(vectors, components)


def plain_geometry(vectors: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """The same in plain torch operations, differentiable as often as wanted."""
    distances = torch.linalg.vector_norm(vectors, dim=1)
    return distances, harmonics(vectors / distances[:, None], isqrt(components) - 1)
