"""Radial functions chosen by the data: the combinations of base functions that vary most among environments."""

import numpy as np
import torch
from torch import Tensor

from invarion.geometry import harmonics
from invarion.graphs import Graph
from invarion.models.ace.descriptor import AceDescriptor

_OWN = 0.2  # of its own direction in a mixture: enough for independence, little enough to stay smooth


@torch.no_grad()
def optimal_contraction(
    descriptor: AceDescriptor, graph: Graph, index: Tensor, n_principal: int | None = None, smoothness: float = 2.0
) -> None:
    r"""Set the radial coefficients of a descriptor to the leading principal directions of its environments, in place.

    For each pair of elements and rank, :math:`C_{kk'} = \langle \sum_m A_{k l m} A_{k' l m} \rangle` (the mean is
    removed for l = 0) is diagonalised; R_n is its n-th eigenvector over the base functions, scaled by one number per
    rank so that the leading A-basis value has unit variance. Pairs of elements that do not meet keep what they had.

    Functions of more than `n_principal` radial functions are hardly needed, but a functionally independent set has no
    room for more smooth ones. So those beyond it may be mixtures,
    :math:`R_n \leftarrow \sum_{k \le K} g_{nk} R_k + 0.2 R_n` for l > 0, with random g of unit length and variances
    as 1/k: independent as before, and as smooth as what they are made of.

    Args:
        descriptor: with base functions to combine.
        graph: a batch of typical structures.
        index: (N,) species indices.
        n_principal: K, principal directions per rank above 0 that stay as they are; all if None.
        smoothness: exponent of the weights that keep leading directions smooth.

    References:
        A. Goscinski et al., J. Chem. Phys. 155, 104106 (2021).
    """
    radial = descriptor.radial
    center, neighbor = index[graph.centers], index[graph.neighbors]
    distances = graph.vectors.norm(dim=1)
    base = radial.base(distances, center, neighbor)
    angular = harmonics(graph.vectors / distances[:, None], descriptor.max_rank)
    for a in range(descriptor.plan.n_species):
        for b in range(descriptor.plan.n_species):
            edges = (center == a) & (neighbor == b)
            for rank in range(descriptor.max_rank + 1):
                part = angular[edges, rank**2 : (rank + 1) ** 2]
                density = base.new_zeros(graph.n_atoms, base.shape[1], part.shape[1])
                density = density.index_add(0, graph.centers[edges], base[edges, :, None] * part[:, None, :])
                directions = _principal(density[index == a], rank, smoothness)
                if directions is not None:
                    if n_principal is not None and rank > 0:
                        directions = _mixed(directions, n_principal, rank)
                    _assign(radial.coefficients[a, b], radial.radials, rank, directions)


def _principal(density: Tensor, rank: int, smoothness: float) -> Tensor | None:
    """(K, K) directions as rows, the most varying first, of densities (N, K, 2l+1); None where nothing varies."""
    if rank == 0:
        density = density - density.mean(0, keepdim=True)
    weights = torch.arange(1, density.shape[1] + 1, dtype=density.dtype, device=density.device) ** -smoothness
    density = density * weights[:, None]
    covariance = torch.einsum("nkm,njm->kj", density, density) / max(1, len(density))
    values, vectors = torch.linalg.eigh(covariance)
    largest = float(values[-1])
    if not largest > 1e-12:
        return None
    rows = vectors.flip(1).T
    # eigenvectors are defined up to a sign; the largest component is made positive, on every machine alike
    signs = rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    return rows * signs * weights / largest**0.5


def mixing_weights(n_principal: int) -> np.ndarray:
    """(K,) mean squares of a mixture's coefficients: as 1/k, of sum 1.

    >>> mixing_weights(2).round(3).tolist()
    [0.667, 0.333]
    """
    weights = 1.0 / np.arange(1, n_principal + 1)
    return weights / weights.sum()


def _mixed(directions: Tensor, n_principal: int, rank: int) -> Tensor:
    """The leading directions (K, K) as they are, and each further one mixed from them."""
    leading, others = directions[:n_principal], directions[n_principal:]
    random = np.random.default_rng((rank, n_principal)).normal(size=(len(others), len(leading)))
    random *= np.sqrt(mixing_weights(len(leading)))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return torch.cat([leading, torch.from_numpy(random).to(leading) @ leading + _OWN * others])


def _assign(coefficients: Tensor, radials: tuple[tuple[int, int], ...], rank: int, directions: Tensor) -> None:
    for q, (n, own) in enumerate(radials):
        if own == rank:
            coefficients[q] = directions[n - 1]
