"""The atomic basis of descriptors: radial functions x direction tensors, summed over neighbours of each species."""

from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from invarion.exceptions import ConfigError
from invarion.geometry.harmonics import harmonics
from invarion.graphs import Graph

_BOND = 1.1  # Angstrom


@dataclass(frozen=True)
class RadialChannels:
    r"""Gaussians in the distance, damped by the inverse square: near neighbours count most.

    .. math:: R_n(r) = \exp\left(-\frac{(r - \mu_n)^2}{2 w^2}\right) \left(\frac{r_1}{r}\right)^2 f(r / r_c)

    with centers :math:`\mu_n` evenly spaced from the shortest distance to one spacing w before the cutoff, and
    :math:`f(u) = (1 - u)^3 (1 + 3 u + 6 u^2)`, twice differentiable at the cutoff. :math:`r_1` = 1.1 A, a short bond:
    near neighbours count about one, so that invariants of different degree are of similar size.

    Attributes:
        cutoff: r_c, Angstrom.
        number: how many functions, at least 1.
        shortest: first center, Angstrom, below the cutoff.
    """

    cutoff: float
    number: int
    shortest: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.shortest < self.cutoff:
            raise ConfigError(
                f"cutoff is {self.cutoff} A and shortest {self.shortest} A; 0 < shortest < cutoff is needed"
            )
        if not isinstance(self.number, Integral) or self.number < 1:
            raise ConfigError(f"the number of radial functions is {self.number!r}; it must be a whole number >= 1")

    def __call__(self, distances: Tensor) -> Tensor:
        """(E, K) values at distances (E,)."""
        spacing = (self.cutoff - self.shortest) / self.number
        centers = self.shortest + spacing * torch.arange(self.number, dtype=distances.dtype, device=distances.device)
        u = (distances / self.cutoff).clamp(max=1.0)
        damping = (1 - u) ** 3 * (1 + u * (3 + 6 * u)) * (_BOND / distances) ** 2
        return damping[:, None] * torch.exp(-0.5 * ((distances[:, None] - centers) / spacing) ** 2)


def edge_basis(vectors: Tensor, radial: RadialChannels, max_rank: int) -> tuple[Tensor, Tensor]:
    """Radial functions (E, K) and direction tensors (E, M) of edge vectors (E, 3)."""
    distances = torch.linalg.vector_norm(vectors, dim=1)
    return radial(distances), harmonics(vectors / distances[:, None], max_rank)


def atomic_basis(graph: Graph, kinds: Tensor, n_kinds: int, radial: RadialChannels, max_rank: int) -> Tensor:
    r"""Tensors of every atom's environment by species of neighbour and radial function.

    .. math:: A_{i, (z n), l m} = \sum_{j: z_j = z} R_n(r_{ij}) T_{lm}(\hat r_{ij})

    Args:
        graph: a batch of structures.
        kinds: (N,) int64 in 0..n_kinds-1, species index of each atom.
        n_kinds: number of species Z.
        radial: the radial functions.
        max_rank: L >= 0.

    Returns:
        (N, Z K, M) channels by species, then radial function; M = (L+1)^2 components packed by rank.

    References:
        R. Drautz, Phys. Rev. B 99, 014104 (2019).
    """
    values, tensors = edge_basis(graph.vectors, radial, max_rank)
    n_components = tensors.shape[1]
    total = values.new_zeros(graph.n_atoms * n_kinds, radial.number, n_components)
    total.index_add_(0, graph.centers * n_kinds + kinds[graph.neighbors], values[:, :, None] * tensors[:, None, :])
    return total.reshape(graph.n_atoms, n_kinds * radial.number, n_components)
