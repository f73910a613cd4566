"""Rows brought to unit size as torch operators with first and second derivatives."""

import torch
from torch import Tensor

from invarion.models.kernels import norm_loops as loops
from invarion.models.kernels.arrays import flatten
from invarion.models.kernels.threads import spread
from invarion.models.normalization import plain_unit_rows


@torch.library.custom_op("invarion::unit_rows", mutates_args=())
def unit_rows(x: Tensor, floors: Tensor, centered: bool) -> tuple[Tensor, Tensor]:
    """Rows (N, B, C) brought to unit size, and the factors (N, B) that did it."""
    u, w = torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(x.shape[:2])
    spread(loops.values, w.numel(), 4 * x.numel(), (*flatten(x, floors, u, w), *x.shape[1:], centered))
    return u, w


@torch.library.custom_op("invarion::unit_rows_slopes", mutates_args=())
def unit_rows_slopes(
    g: Tensor, x: Tensor, floors: Tensor, u: Tensor, w: Tensor, centered: bool
) -> tuple[Tensor, Tensor]:
    """Slopes with respect to x (N, B, C) and the floors (B,)."""
    gx, gf = torch.empty_like(u), torch.empty_like(w)
    spread(loops.slopes, w.numel(), 4 * x.numel(), (*flatten(g, u, w, gx, gf), x.shape[2], centered))
    return gx, gf.sum(0)


@torch.library.custom_op("invarion::unit_rows_curvatures", mutates_args=())
def unit_rows_curvatures(v: Tensor, g: Tensor, u: Tensor, w: Tensor, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes of sum v gx with respect to g, x (N, B, C) and the floors (B,)."""
    dg, dx, df = torch.empty_like(u), torch.empty_like(u), torch.empty_like(w)
    spread(loops.curvatures, w.numel(), 8 * u.numel(), (*flatten(v, g, u, w, dg, dx, df), u.shape[2], centered))
    return dg, dx, df.sum(0)


@unit_rows.register_fake
def _(x, floors, centered):
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(x.shape[:2])


@unit_rows_slopes.register_fake
def _(g, x, floors, u, w, centered):
    return torch.empty_like(u), torch.empty_like(floors)


@unit_rows_curvatures.register_fake
def _(v, g, u, w, centered):
    return torch.empty_like(u), torch.empty_like(u), u.new_empty(u.shape[1])


def _keep_values(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:2], *output)
    ctx.centered = inputs[2]
    ctx.mark_non_differentiable(output[1])


def _slopes(ctx, g, _):
    return *unit_rows_slopes(g, *ctx.saved_tensors, ctx.centered), None


def _keep_slopes(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:5])
    ctx.centered = inputs[5]


def _slopes_of_slopes(ctx, v, vf):
    g, x, floors, u, w = ctx.saved_tensors
    if vf is not None:
        slopes = _plain_curvatures(v, vf, g, x, floors, ctx.centered)
    elif v is not None:
        slopes = unit_rows_curvatures(v, g, u, w, ctx.centered)
    else:
        slopes = (None, None, None)
    return *slopes, None, None, None


def _plain_curvatures(v: Tensor | None, vf: Tensor, g: Tensor, x: Tensor, floors: Tensor, centered: bool):
    """The same where the slopes with respect to the floors are differentiated as well; nobody's hot path."""
    with torch.enable_grad():
        g, x, floors = (t.detach().requires_grad_() for t in (g, x, floors))
        gx, gf = torch.autograd.grad(plain_unit_rows(x, floors, centered), (x, floors), g, create_graph=True)
        outputs, changes = ([gx, gf], [v, vf]) if v is not None else ([gf], [vf])
        return torch.autograd.grad(outputs, (g, x, floors), changes)


unit_rows.register_autograd(_slopes, setup_context=_keep_values)
unit_rows_slopes.register_autograd(_slopes_of_slopes, setup_context=_keep_slopes)
