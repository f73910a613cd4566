"""Gaussian sensitivities as torch operators with first and second derivatives, and which of them count."""

import math

import numpy as np
import torch
from torch import Tensor

from invarion.models.kernels.arrays import empty_like, flatten, numpy_dtype
from invarion.models.kernels.autograd import wanted
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.radial_loops import BLOCK, Loops, loops
from invarion.models.kernels.threads import spread
from invarion.models.radial import plain_gaussians

_WORK = 16  # a function that counts costs about as much as this many multiplications in vectors


def counting_span(places: Tensor, sigmas: Tensor, nearest: float, cutoff: float) -> tuple[int, int]:
    """The first, and one past the last, Gaussian that counts at any distance between these; with one more as margin.

    Args:
        places, sigmas: (K,).
        nearest, cutoff: Angstrom.
    """
    p, sigma = (x.detach().double().numpy() for x in (places, sigmas))
    inverse = np.linspace(1.0 / cutoff, 1.0 / nearest, 4 * p.size)[1:, None]
    exponents = 0.5 * np.square((inverse - p) * sigma)
    bound = exponents.min(axis=1, keepdims=True) - _threshold(places)
    counting = np.flatnonzero((~(exponents >= bound)).any(axis=0))  # NaN counts
    if not counting.size:
        return p.size, p.size
    # between the sampled distances, another function may just count
    return max(0, int(counting[0]) - 1), min(p.size, int(counting[-1]) + 2)


def _values(r: Tensor, places: Tensor, sigmas: Tensor, cutoff: float, cosine: bool) -> tuple[Tensor, Tensor]:
    """Values (E, K), zero where below rounding beside the edge's largest, and the range (E, 2) of the others."""
    s, support = r.new_empty(len(r), len(places)), torch.empty(len(r), 2, dtype=torch.int32)
    shape = (*_shape(places, sigmas), cutoff, cosine, _threshold(r))
    spread(_loops(r, places).values, _blocks_of(r), _WORK * s.numel() // 4, (*flatten(r), *shape, *flatten(s, support)))
    return s, support


def _slope_values(
    gs: Tensor,
    r: Tensor,
    places: Tensor,
    sigmas: Tensor,
    s: Tensor,
    support: Tensor,
    cutoff: float,
    cosine: bool,
    shared: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes with respect to r (E,) and, if `shared`, places and sigmas (K,)."""
    gr = empty_like(r)
    gp, gsigma = (_blocks(r, places, shared) for _ in range(2))
    arrays = (*flatten(gs, s, r, support), *_shape(places, sigmas), cutoff, cosine, *flatten(gr, gp, gsigma), shared)
    spread(_loops(r, places).slopes, _blocks_of(r), _WORK * s.numel() // 4, arrays)
    return gr, _sum(gp, places), _sum(gsigma, sigmas)


def _curvatures(
    cr: Tensor,
    gs: Tensor,
    r: Tensor,
    places: Tensor,
    sigmas: Tensor,
    s: Tensor,
    support: Tensor,
    cutoff: float,
    cosine: bool,
    shared: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slopes of sum_e cr_e gr_e with respect to gs (E, K), r (E,) and, if `shared`, places and sigmas (K,)."""
    dgs, dr = empty_like(gs), empty_like(r)
    dp, dsigma = (_blocks(r, places, shared) for _ in range(2))
    arrays = (*flatten(cr, gs, s, r, support), *_shape(places, sigmas), cutoff, cosine)
    arrays = (*arrays, *flatten(dgs, dr, dp, dsigma), shared)
    spread(_loops(r, places).curvatures, _blocks_of(r), _WORK * s.numel() // 4, arrays)
    return dgs, dr, _sum(dp, places), _sum(dsigma, sigmas)


def _threshold(values: Tensor) -> float:
    """Logarithm of what is below rounding: 2**-6 of the type's epsilon.

    Even a weight 64 times as large as the others' then changes a sum by no more than its rounding.
    """
    return math.log(torch.finfo(values.dtype).eps * 2**-6)


def _shape(places: Tensor, sigmas: Tensor) -> list:
    return flatten(places.double(), sigmas.double())


def _blocks(r: Tensor, places: Tensor, shared: bool) -> Tensor:
    """Where every block of edges adds up its own slopes: their sum does not depend on the number of threads."""
    return torch.zeros(_blocks_of(r) if shared else 0, len(places), dtype=torch.float64)


def _sum(blocks: Tensor, like: Tensor) -> Tensor:
    return blocks.sum(0).to(like.dtype) if len(blocks) else torch.zeros_like(like)


def _blocks_of(r: Tensor) -> int:
    return -(-len(r) // BLOCK)


def _loops(values: Tensor, places: Tensor) -> Loops:
    return loops(numpy_dtype(values), len(places))


def _plain_curvatures(
    changes: tuple[Tensor | None, ...], gs: Tensor, shape: tuple[Tensor, Tensor, Tensor], cutoff: float, cosine: bool
) -> tuple[Tensor, ...]:
    """The same where slopes of slopes with respect to places or widths are asked for as well; nobody's hot path."""
    with torch.enable_grad():
        gs, r, places, sigmas = inputs = [x.detach().requires_grad_() for x in (gs, *shape)]
        values_ = plain_gaussians(r, places, sigmas, cutoff, cosine)
        slopes_ = torch.autograd.grad(values_, inputs[1:], gs, create_graph=True)
        pairs = [(slope, change) for slope, change in zip(slopes_, changes, strict=True) if change is not None]
        return torch.autograd.grad([p[0] for p in pairs], inputs, [p[1] for p in pairs])


def _values_like(r, places, sigmas, cutoff, cosine):
    return r.new_empty(len(r), len(places)), r.new_empty(len(r), 2, dtype=torch.int32)


def _slope_values_like(gs, r, places, sigmas, s, support, cutoff, cosine, shared):
    return empty_like(r), empty_like(places), empty_like(sigmas)


def _curvatures_like(cr, gs, r, places, sigmas, s, support, cutoff, cosine, shared):
    return empty_like(gs), empty_like(r), empty_like(places), empty_like(sigmas)


def _keep_values(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3], *output)
    ctx.options = inputs[3:]
    ctx.mark_non_differentiable(output[1])


def _slopes(ctx, gs, _):
    shared = wanted(ctx, 1) or wanted(ctx, 2)
    return *gaussians_slopes(gs, *ctx.saved_tensors, *ctx.options, shared), None, None


def _keep_slopes(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:6])
    ctx.options = inputs[6:8]


def _slopes_of_slopes(ctx, cr, cp, csigma):
    gs, r, places, sigmas, *_ = ctx.saved_tensors
    if cr is None and cp is None and csigma is None:
        return (None,) * 9
    if cp is not None or csigma is not None:
        slopes_ = _plain_curvatures((cr, cp, csigma), gs, (r, places, sigmas), *ctx.options)
    else:
        shared = wanted(ctx, 2) or wanted(ctx, 3)
        slopes_ = gaussians_curvatures(cr, *ctx.saved_tensors, *ctx.options, shared)
    return *slopes_, None, None, None, None, None


gaussians = Operator("gaussians", _values, _values_like, _keep_values, _slopes)
gaussians_slopes = Operator("gaussians_slopes", _slope_values, _slope_values_like, _keep_slopes, _slopes_of_slopes)
gaussians_curvatures = Operator("gaussians_curvatures", _curvatures, _curvatures_like)
