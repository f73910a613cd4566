"""Lengths and direction tensors of edge vectors as torch operators with first and second derivatives."""

from math import isqrt

import torch
from torch import Tensor

from invarion.models.edges import plain_geometry
from invarion.models.kernels.arrays import empty_like, flatten, numpy_dtype
from invarion.models.kernels.autograd import wanted
from invarion.models.kernels.geometry_loops import geometry_loops, terms
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.simd import lanes
from invarion.models.kernels.threads import spread


def _values(vectors: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Lengths (E,) and tensors (E, M) of vectors (E, 3)."""
    distances, tensors = vectors.new_empty(len(vectors)), vectors.new_empty(len(vectors), components)
    _run(0, vectors, components, distances, tensors)
    return distances, tensors


def _slope_values(gr: Tensor, gt: Tensor, vectors: Tensor) -> Tensor:
    """Slopes (E, 3) from those with respect to lengths (E,) and tensors (E, M)."""
    gv = empty_like(vectors)
    _run(1, vectors, gt.shape[1], gr, gt, gv)
    return gv


def _changes(moves: Tensor, vectors: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Changes of lengths (E,) and tensors (E, M) as the vectors move by `moves` (E, 3)."""
    dr, dt = vectors.new_empty(len(vectors)), vectors.new_empty(len(vectors), components)
    _run(2, vectors, components, moves, dr, dt)
    return dr, dt


def _run(which: int, vectors: Tensor, components: int, *others: Tensor) -> None:
    dtype = numpy_dtype(vectors)
    kernel = geometry_loops(lanes(dtype))[which]
    vectors_, *rest = flatten(vectors, *others)
    table = terms(isqrt(components) - 1, dtype)
    spread(kernel, len(vectors), 8 * components * len(vectors), (vectors_, *table, *rest, components))


def _values_like(vectors, components):
    return vectors.new_empty(len(vectors)), vectors.new_empty(len(vectors), components)


def _slope_values_like(gr, gt, vectors):
    return empty_like(vectors)


def _changes_like(moves, vectors, components):
    return vectors.new_empty(len(vectors)), vectors.new_empty(len(vectors), components)


def _keep_vectors(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])
    ctx.components = inputs[1]


def _slopes(ctx, gr, gt):
    return edge_geometry_slopes(gr, gt, *ctx.saved_tensors), None


def _keep_slopes(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _slopes_of_slopes(ctx, moves):
    gr, gt, vectors = ctx.saved_tensors
    dr, dt = edge_geometry_changes(moves, vectors, gt.shape[1])
    return dr, dt, _curvature(gr, gt, vectors, moves) if wanted(ctx, 2) else None


def _curvature(gr: Tensor, gt: Tensor, vectors: Tensor, moves: Tensor) -> Tensor:
    """How the slopes along `moves` change with the vectors themselves; only Hessians take it, so plainly."""
    with torch.enable_grad():
        vectors = vectors.detach().requires_grad_()
        distances, tensors = plain_geometry(vectors, gt.shape[1])
        total = (distances * gr.detach()).sum() + (tensors * gt.detach()).sum()
        (slopes,) = torch.autograd.grad(total, vectors, create_graph=True)
        return torch.autograd.grad(slopes, vectors, moves)[0]


fused_geometry = Operator("edge_geometry", _values, _values_like, _keep_vectors, _slopes)
edge_geometry_slopes = Operator(
    "edge_geometry_slopes", _slope_values, _slope_values_like, _keep_slopes, _slopes_of_slopes
)
edge_geometry_changes = Operator("edge_geometry_changes", _changes, _changes_like)
