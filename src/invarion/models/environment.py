"""The hot sum: the tensors of every atom's environment, from its neighbours' mixed features.

Everything a model of this package knows about geometry passes through one sum. It is linear in each of its three
factors, so its derivatives of any order are sums of the same kind.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_BLOCK = 1 << 23  # largest number of gathered values held at once by the plain path


def environment(
    sensitivities: Tensor,
    tensors: Tensor,
    mixed: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    n_atoms: int | None = None,
) -> Tensor:
    r"""Sum over each atom's neighbours of radial function x direction tensor x feature.

    .. math:: A_{imc} = \sum_{e: i(e) = i} T_{em} \sum_k s_{ek} Z_{j(e) k c}

    `mixed` is :math:`Z_{jkc} = \sum_b V_{kcb} z_{jb}`: mixing features once per atom, before the sum, costs far less
    than mixing every tensor component after it, and gives the same numbers. Features that depend on the species alone
    need no row per atom: pass a row per species and, as `neighbors`, the species index of each edge's neighbour.

    Args:
        sensitivities: (E, K) radial functions s of each edge's length, cutoff included.
        tensors: (E, M) direction tensors T of each edge, packed by rank.
        mixed: (R, K, C) features Z, R rows (one per atom, or one per species).
        centers: (E,) int64 in 0..n_atoms-1, non-decreasing: the atom each edge adds to.
        neighbors: (E,) int64 in 0..R-1: the row of `mixed` each edge reads.
        n_atoms: number of atoms N; R where it is not given.

    Returns:
        (N, M, C) environment tensors, zero for an atom without edges; differentiable twice in all three factors.

    References:
        Lubbers et al., J. Chem. Phys. 148, 241715 (2018) (rank 0); Chigaev et al., J. Chem. Phys. 158, 184108 (2023)
        (higher ranks that share the weights of rank 0).

    Examples:
        >>> s, T = torch.tensor([[1.0], [2.0]]), torch.ones(2, 1)
        >>> environment(s, T, torch.ones(2, 1, 1), torch.tensor([0, 0]), torch.tensor([1, 1]))
        tensor([[[3.]],
        <BLANKLINE>
                [[0.]]])
    """
    n_atoms = mixed.shape[0] if n_atoms is None else n_atoms
    return plain_environment(sensitivities, tensors, mixed, centers, neighbors, n_atoms)


def plain_environment(
    sensitivities: Tensor, tensors: Tensor, mixed: Tensor, centers: Tensor, neighbors: Tensor, n_atoms: int
) -> Tensor:
    """`environment` in plain torch operations: the reference for the kernels, and the path for every other device.

    While compiling, the sum is one expression for the compiler to fuse. Eagerly it runs in blocks of atoms whose edges
    are gathered again in the backward pass, so that memory does not grow with edges x sensitivities x features.
    """
    factors = (sensitivities, tensors, mixed)
    gathered = centers.shape[0] * (mixed.shape[1] + tensors.shape[1]) * mixed.shape[2]
    if torch.compiler.is_compiling() or gathered <= _BLOCK:
        return _sum_edges(*factors, centers, neighbors, n_atoms)
    starts = [*range(0, n_atoms, max(1, n_atoms * _BLOCK // gathered)), n_atoms]
    edges = torch.searchsorted(centers, torch.tensor(starts, device=centers.device)).tolist()
    blocks = zip(pairwise(starts), pairwise(edges), strict=True)
    return torch.cat([_sum_block(*factors, centers, neighbors, atoms, part) for atoms, part in blocks])


def _sum_block(
    sensitivities: Tensor,
    tensors: Tensor,
    mixed: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    atoms: tuple[int, int],
    edges: tuple[int, int],
) -> Tensor:
    """The rows of one range of atoms from its range of edges, with nothing per edge kept for the backward pass."""
    part = slice(*edges)
    inputs = (sensitivities[part], tensors[part], mixed, centers[part] - atoms[0], neighbors[part], atoms[1] - atoms[0])
    return checkpoint(_sum_edges, *inputs, use_reentrant=False, preserve_rng_state=False)


def _sum_edges(
    sensitivities: Tensor, tensors: Tensor, mixed: Tensor, centers: Tensor, neighbors: Tensor, n_atoms: int
) -> Tensor:
    """The definition: gather, contract over radial functions, multiply by the tensors, add up by center."""
    received = torch.einsum("ek,ekc->ec", sensitivities, mixed[neighbors])
    total = mixed.new_zeros(n_atoms, tensors.shape[1], mixed.shape[2])
    return total.index_add(0, centers, tensors[:, :, None] * received[:, None, :])
