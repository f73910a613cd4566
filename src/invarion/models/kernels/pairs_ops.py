"""Pair potentials of edges as a torch operator: slopes come along with the values, further ones are plain."""

import torch
from torch import Tensor

from invarion.models.kernels.arrays import empty_like, flatten
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.pairs_loops import pairs
from invarion.models.kernels.threads import spread
from invarion.models.pairs import plain_pairs

_WORK = 100  # an edge costs about as much as this many multiplications in vectors


def _values(
    vectors: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    index: Tensor,
    weights: Tensor,
    charges: Tensor,
    inverse_lengths: Tensor,
    cutoff: float,
    length: float,
) -> tuple[Tensor, Tensor]:
    """Energies (E,) in float64, and their slopes (E, 3) with respect to vectors."""
    energies, pulls = torch.empty(len(vectors), dtype=torch.float64), empty_like(vectors)
    arrays = flatten(vectors, centers, neighbors, index, weights, charges, inverse_lengths)
    spread(pairs, len(vectors), _WORK * len(vectors), (*arrays, cutoff, length, *flatten(energies, pulls)))
    return energies, pulls


def _values_like(vectors, centers, neighbors, index, weights, charges, inverse_lengths, cutoff, length):
    return vectors.new_empty(len(vectors), dtype=torch.float64), empty_like(vectors)


def _keep(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:7], output[1])
    ctx.lengths = inputs[7:]
    ctx.mark_non_differentiable(output[1])


def _slopes(ctx, of_energies, _):
    vectors, *others, pulls = ctx.saved_tensors
    if torch.is_grad_enabled():  # somebody wants slopes of slopes; only Hessians do
        energies = plain_pairs(vectors, *others, *ctx.lengths)
        (slopes,) = torch.autograd.grad(energies, vectors, of_energies, create_graph=True)
    else:
        slopes = of_energies.to(pulls.dtype)[:, None] * pulls
    return slopes, *[None] * 8


pair_energies = Operator("pair_energies", _values, _values_like, _keep, _slopes)
