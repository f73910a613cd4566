"""The fused moments as torch operators with first and second derivatives; they are bilinear in s and T."""

import torch
from torch import Tensor

from invarion.models.kernels.arrays import flatten, pointers, radial_support
from invarion.models.kernels.moments_loops import moment_loops
from invarion.models.kernels.threads import spread


def fused_moments(
    sensitivities: Tensor, tensors: Tensor, centers: Tensor, kinds: Tensor, n_atoms: int, n_kinds: int, local: bool
) -> Tensor:
    """`moments` through the kernels."""
    support = radial_support(sensitivities, local)
    return moments_sum(sensitivities, tensors, support, centers, kinds, n_atoms, n_kinds)


@torch.library.custom_op("invarion::moments_sum", mutates_args=())
def moments_sum(
    s: Tensor, t: Tensor, support: Tensor, centers: Tensor, kinds: Tensor, n_atoms: int, n_kinds: int
) -> Tensor:
    """(N, M, R, K) from factors (E, K), (E, M)."""
    result = s.new_empty(n_atoms, t.shape[1], n_kinds, s.shape[1])
    if result.numel():
        starts = pointers(centers, kinds, n_atoms, n_kinds)
        arrays = (starts, *flatten(kinds, support, s, t, result), s.shape[1], n_kinds)
        spread(moment_loops(t.shape[1]).forward, starts, _work(s, t, result), arrays)
    return result


@torch.library.custom_op("invarion::moments_slopes", mutates_args=())
def moments_slopes(
    g: Tensor, s: Tensor, t: Tensor, support: Tensor, centers: Tensor, kinds: Tensor
) -> tuple[Tensor, Tensor]:
    """Slopes (E, K), (E, M) from g (N, M, R, K)."""
    gs, gt = torch.zeros_like(s), torch.zeros_like(t)
    if g.numel():
        starts = pointers(centers, kinds, g.shape[0], g.shape[2])
        arrays = (starts, *flatten(kinds, support, g, s, t, gs, gt), s.shape[1], g.shape[2])
        spread(moment_loops(t.shape[1]).slopes, starts, _work(s, t, g), arrays)
    return gs, gt


@torch.library.custom_op("invarion::moments_curvatures", mutates_args=())
def moments_curvatures(
    g: Tensor,
    s: Tensor,
    t: Tensor,
    support: Tensor,
    centers: Tensor,
    kinds: Tensor,
    cs: Tensor | None,
    ct: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes with respect to g, s and T of cs.gs + ct.gt, where (gs, gt) are the slopes at g."""
    cs, ct = torch.zeros_like(s) if cs is None else cs, torch.zeros_like(t) if ct is None else ct
    dg, ds, dt = torch.zeros_like(g), torch.zeros_like(s), torch.zeros_like(t)
    if g.numel():
        starts = pointers(centers, kinds, g.shape[0], g.shape[2])
        arrays = (starts, *flatten(kinds, support, g, s, t, cs, ct, dg, ds, dt), s.shape[1], g.shape[2])
        spread(moment_loops(t.shape[1]).curvatures, starts, 2 * _work(s, t, g), arrays)
    return dg, ds, dt


def _work(s: Tensor, t: Tensor, moments: Tensor) -> int:
    """Multiplications, about: six radial functions per edge count, and every moment is written."""
    return 12 * s.shape[0] * t.shape[1] + moments.numel()


@moments_sum.register_fake
def _(s, t, support, centers, kinds, n_atoms, n_kinds):
    return s.new_empty(n_atoms, t.shape[1], n_kinds, s.shape[1])


@moments_slopes.register_fake
def _(g, s, t, support, centers, kinds):
    return torch.empty_like(s), torch.empty_like(t)


@moments_curvatures.register_fake
def _(g, s, t, support, centers, kinds, cs, ct):
    return torch.empty_like(g), torch.empty_like(s), torch.empty_like(t)


def _keep_for_slopes(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:5])


def _slopes_of_sum(ctx, g):
    return *moments_slopes(g, *ctx.saved_tensors), None, None, None, None, None


def _keep_for_curvatures(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs)


def _slopes_of_slopes(ctx, cs, ct):
    return *moments_curvatures(*ctx.saved_tensors, cs, ct), None, None, None


moments_sum.register_autograd(_slopes_of_sum, setup_context=_keep_for_slopes)
moments_slopes.register_autograd(_slopes_of_slopes, setup_context=_keep_for_curvatures)
