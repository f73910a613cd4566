"""The fused moments as torch operators with first and second derivatives; they are bilinear in s and T."""

from torch import Tensor

from invarion.models.kernels.arrays import empty_like, flatten, full_support, pointers, zeros_like
from invarion.models.kernels.moments_loops import moment_loops
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.threads import spread


def fused_moments(
    sensitivities: Tensor,
    tensors: Tensor,
    centers: Tensor,
    kinds: Tensor,
    n_atoms: int,
    n_kinds: int,
    support: Tensor | None,
    chosen: tuple[int, int],
) -> Tensor:
    """`moments` through the kernels; `chosen`: the first radial function, and how many."""
    support = full_support(sensitivities) if support is None else support
    return moments_sum(sensitivities, tensors, support, centers, kinds, n_atoms, n_kinds, *chosen)


def _sum(
    s: Tensor,
    t: Tensor,
    support: Tensor,
    centers: Tensor,
    kinds: Tensor,
    n_atoms: int,
    n_kinds: int,
    base: int,
    count: int,
) -> Tensor:
    """(N, M, R, Kz) from factors (E, K), (E, M)."""
    result = s.new_empty(n_atoms, t.shape[1], n_kinds, count)
    if result.numel():
        starts = pointers(centers, kinds, n_atoms, n_kinds)
        arrays = (starts, *flatten(kinds, support, s, t, result), *_sizes(s, result, base))
        spread(moment_loops(t.shape[1]).forward, starts, _work(s, t, result), arrays)
    return result


def _slopes(
    g: Tensor, s: Tensor, t: Tensor, support: Tensor, centers: Tensor, kinds: Tensor, base: int
) -> tuple[Tensor, Tensor]:
    """Slopes (E, K), (E, M) from g (N, M, R, Kz)."""
    gs, gt = zeros_like(s), zeros_like(t)
    if g.numel():
        starts = pointers(centers, kinds, g.shape[0], g.shape[2])
        arrays = (starts, *flatten(kinds, support, g, s, t, gs, gt), *_sizes(s, g, base))
        spread(moment_loops(t.shape[1]).slopes, starts, _work(s, t, g), arrays)
    return gs, gt


def _curvatures(
    g: Tensor,
    s: Tensor,
    t: Tensor,
    support: Tensor,
    centers: Tensor,
    kinds: Tensor,
    cs: Tensor | None,
    ct: Tensor | None,
    base: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes with respect to g, s and T of cs.gs + ct.gt, where (gs, gt) are the slopes at g."""
    cs, ct = zeros_like(s) if cs is None else cs, zeros_like(t) if ct is None else ct
    dg, ds, dt = zeros_like(g), zeros_like(s), zeros_like(t)
    if g.numel():
        starts = pointers(centers, kinds, g.shape[0], g.shape[2])
        arrays = (starts, *flatten(kinds, support, g, s, t, cs, ct, dg, ds, dt), *_sizes(s, g, base))
        spread(moment_loops(t.shape[1]).curvatures, starts, 2 * _work(s, t, g), arrays)
    return dg, ds, dt


def _sizes(s: Tensor, moments: Tensor, base: int) -> tuple[int, int, int, int]:
    """K, Kz, base and R, as all kernels take them."""
    return s.shape[1], moments.shape[3], base, moments.shape[2]


def _work(s: Tensor, t: Tensor, moments: Tensor) -> int:
    """Multiplications, about: six radial functions per edge count, and every moment is written."""
    return 12 * s.shape[0] * t.shape[1] + moments.numel()


def _sum_like(s, t, support, centers, kinds, n_atoms, n_kinds, base, count):
    return s.new_empty(n_atoms, t.shape[1], n_kinds, count)


def _slopes_like(g, s, t, support, centers, kinds, base):
    return empty_like(s), empty_like(t)


def _curvatures_like(g, s, t, support, centers, kinds, cs, ct, base):
    return empty_like(g), empty_like(s), empty_like(t)


def _keep_for_slopes(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:5])
    ctx.base = inputs[7]


def _slopes_of_sum(ctx, g):
    return *moments_slopes(g, *ctx.saved_tensors, ctx.base), *[None] * 7


def _keep_for_curvatures(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:6])
    ctx.base = inputs[6]


def _slopes_of_slopes(ctx, cs, ct):
    return *moments_curvatures(*ctx.saved_tensors, cs, ct, ctx.base), *[None] * 4


moments_sum = Operator("moments_sum", _sum, _sum_like, _keep_for_slopes, _slopes_of_sum)
moments_slopes = Operator("moments_slopes", _slopes, _slopes_like, _keep_for_curvatures, _slopes_of_slopes)
moments_curvatures = Operator("moments_curvatures", _curvatures, _curvatures_like)
