"""Rows handed along edges as torch operators; each is the other's slope, so that derivatives of any order exist."""

import torch
from torch import Tensor

from invarion.models.kernels import passing_loops as loops
from invarion.models.kernels.arrays import flat, flatten
from invarion.models.kernels.autograd import wanted
from invarion.models.kernels.edges import by_row
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.threads import spread


def add_passed(total: Tensor, w: Tensor, x: Tensor, to: Tensor, origin: Tensor) -> None:
    """Add to row i of total (N, D), contiguous, the sum of w[e] x[origin[e]] over edges with to[e] = i, in place."""
    _check(to, len(total))
    _check(origin, len(x))
    if total.numel() and len(to):
        # a row's edges stay together: the parts of a row that is cut would be added up by several threads
        order, starts, owners = by_row(flat(to), len(total), len(to))
        arrays = (starts, order, owners, *flatten(origin, w, x, total), x.shape[1])
        spread(loops.passed, starts, len(to) * x.shape[1], arrays)


def _passed(w: Tensor, x: Tensor, to: Tensor, origin: Tensor, n_rows: int) -> Tensor:
    """(n_rows, D), in row i the sum of w[e] x[origin[e]] over edges e with to[e] = i, from w (E,) and x (R, D)."""
    result = x.new_zeros(n_rows, x.shape[1])
    add_passed(result, w, x, to, origin)
    return result


def _overlaps(g: Tensor, x: Tensor, to: Tensor, origin: Tensor) -> Tensor:
    """(E,) dot products of g[to[e]] and x[origin[e]]."""
    _check(to, len(g))
    _check(origin, len(x))
    result = x.new_empty(len(to))
    spread(loops.overlaps, len(to), len(to) * x.shape[1], (*flatten(to, origin, g, x, result), x.shape[1]))
    return result


def _check(rows: Tensor, n_rows: int) -> None:
    if len(rows):
        low, high = (int(end) for end in torch.aminmax(rows))
        if low < 0 or high >= n_rows:
            raise IndexError(f"edges read rows {low} to {high}; allowed are 0 to {n_rows - 1}")


def _passed_like(w, x, to, origin, n_rows):
    return x.new_empty(n_rows, x.shape[1])


def _overlaps_like(g, x, to, origin):
    return x.new_empty(len(to))


def _keep(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:4])


def _slopes_of_passed(ctx, g):
    w, x, to, origin = ctx.saved_tensors
    of_w = overlaps(g, x, to, origin) if wanted(ctx, 0) else None
    of_x = passed(w, g, origin, to, len(x)) if wanted(ctx, 1) else None
    return of_w, of_x, None, None, None


def _slopes_of_overlaps(ctx, c):
    g, x, to, origin = ctx.saved_tensors
    of_g = passed(c, x, to, origin, len(g)) if wanted(ctx, 0) else None
    of_x = passed(c, g, origin, to, len(x)) if wanted(ctx, 1) else None
    return of_g, of_x, None, None


passed = Operator("passed", _passed, _passed_like, _keep, _slopes_of_passed)
overlaps = Operator("overlaps", _overlaps, _overlaps_like, _keep, _slopes_of_overlaps)
