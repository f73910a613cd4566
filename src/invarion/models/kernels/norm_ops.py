"""Rows brought to unit size as torch operators with first and second derivatives."""

import torch
from torch import Tensor

from invarion.models.kernels import norm_loops as loops
from invarion.models.kernels.arrays import empty_like, flatten
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.threads import spread
from invarion.models.normalization import plain_unit_rows


def _values(x: Tensor, floors: Tensor, centered: bool) -> tuple[Tensor, Tensor]:
    """Rows (N, B, C) brought to unit size, and the factors (N, B) that did it."""
    u, w = empty_like(x), x.new_empty(x.shape[:2])
    spread(loops.values, w.numel(), 4 * x.numel(), (*flatten(x, floors, u, w), *x.shape[1:], centered))
    return u, w


def _slope_values(g: Tensor, x: Tensor, floors: Tensor, u: Tensor, w: Tensor, centered: bool) -> tuple[Tensor, Tensor]:
    """Slopes with respect to x (N, B, C) and the floors (B,)."""
    gx, gf = empty_like(u), empty_like(w)
    spread(loops.slopes, w.numel(), 4 * x.numel(), (*flatten(g, u, w, gx, gf), x.shape[2], centered))
    return gx, gf.sum(0)


def _curvatures(v: Tensor, g: Tensor, u: Tensor, w: Tensor, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes of sum v gx with respect to g, x (N, B, C) and the floors (B,)."""
    dg, dx, df = empty_like(u), empty_like(u), empty_like(w)
    spread(loops.curvatures, w.numel(), 8 * u.numel(), (*flatten(v, g, u, w, dg, dx, df), u.shape[2], centered))
    return dg, dx, df.sum(0)


def _values_like(x, floors, centered):
    return empty_like(x), x.new_empty(x.shape[:2])


def _slope_values_like(g, x, floors, u, w, centered):
    return empty_like(u), empty_like(floors)


def _curvatures_like(v, g, u, w, centered):
    return empty_like(u), empty_like(u), u.new_empty(u.shape[1])


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


unit_rows = Operator("unit_rows", _values, _values_like, _keep_values, _slopes)
unit_rows_slopes = Operator("unit_rows_slopes", _slope_values, _slope_values_like, _keep_slopes, _slopes_of_slopes)
unit_rows_curvatures = Operator("unit_rows_curvatures", _curvatures, _curvatures_like)
