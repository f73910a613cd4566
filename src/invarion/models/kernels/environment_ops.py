"""The fused hot sum as torch operators with first and second derivatives.

The sum is trilinear in sensitivities s, tensors T and features Z. `environment_slopes` is its transpose: from the slope
g of a scalar with respect to the sum, the slopes with respect to s, T and Z. `environment_curvatures` is the transpose
of that, for what trains on forces. A third derivative does not exist here; the plain path has it.
"""

import numpy as np
import torch
from torch import Tensor

from invarion.models.kernels.arrays import empty_like, flat, flatten, full_support, numpy_dtype, pointers, zeros_like
from invarion.models.kernels.autograd import wanted
from invarion.models.kernels.edges import LONGEST, by_row
from invarion.models.kernels.environment_loops import Loops, loops
from invarion.models.kernels.operators import Operator
from invarion.models.kernels.simd import lanes
from invarion.models.kernels.threads import spread

_KEPT = 1 << 24  # numbers per edge and channel held at once while slopes are collected by neighbour


def fused_environment(
    sensitivities: Tensor,
    tensors: Tensor,
    mixed: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    n_atoms: int,
    support: Tensor | None,
    base: int,
) -> Tensor:
    """`environment` through the kernels."""
    support = full_support(sensitivities) if support is None else support
    return environment_sum(sensitivities, tensors, mixed, support, centers, neighbors, n_atoms, base)


def _sum(
    s: Tensor, t: Tensor, z: Tensor, support: Tensor, centers: Tensor, neighbors: Tensor, n_atoms: int, base: int
) -> Tensor:
    """(N, M, C) from factors (E, K), (E, M), (R, K, C); channels are padded to whole vectors where they have to be."""
    if _missing(z):
        return _cut(_sum(s, t, _pad(z), support, centers, neighbors, n_atoms, base), z)
    result = z.new_zeros(n_atoms, t.shape[1], z.shape[2])
    if result.numel() and centers.numel():
        starts = pointers(centers, neighbors, n_atoms, z.shape[0])
        arrays = (starts, *flatten(neighbors, support, s, t, z, result), *_sizes(s, z, base))
        spread(_loops(t, z).forward, starts, _work(t, z), arrays)
    return result


def _slopes(
    g: Tensor,
    s: Tensor,
    t: Tensor,
    z: Tensor,
    support: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    base: int,
    collect: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes (E, K), (E, M) and, if `collect`, (R, K, C), else empty, from g (N, M, C)."""
    if _missing(z):
        gs, gt, gz = _slopes(_pad(g), s, t, _pad(z), support, centers, neighbors, base, collect)
        return gs, gt, _cut(gz, z) if collect else gz
    gs, gt, gz = zeros_like(s), zeros_like(t), zeros_like(z) if collect else z.new_empty(0)
    if not (g.numel() and centers.numel()):
        return gs, gt, gz
    starts = pointers(centers, neighbors, g.shape[0], z.shape[0])
    kernels = _loops(t, z)
    arrays = (starts, *flatten(neighbors, support, g, s, t, z, gs, gt))
    for begin, end in _channel_ranges(z, centers.numel() if collect else 0, kernels.chunk):
        kept = z.new_empty(centers.numel() * (end - begin) if collect else 0).numpy()
        spread(kernels.slopes, starts, 2 * _work(t, z), (*arrays, kept, *_sizes(s, z, base), begin, end, collect))
        if collect:
            _collect(kernels, neighbors, support, (s, kept), None, gz, base, begin, end)
    return gs, gt, gz


def add_fused_slopes(
    total: Tensor,
    g: Tensor,
    s: Tensor,
    t: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    support: Tensor | None,
    base: int,
) -> None:
    """`add_mixed_slopes` through the kernels; where channels do not fill vectors, by way of padded copies."""
    if _missing(g):
        wide = _pad(total)
        add_fused_slopes(wide, _pad(g), s, t, centers, neighbors, support, base)
        total.copy_(_cut(wide, total))
    elif g.numel() and centers.numel():
        support = full_support(s) if support is None else support
        starts = pointers(centers, neighbors, g.shape[0], total.shape[0])
        kernels = loops(numpy_dtype(g), t.shape[1], g.shape[2])
        for begin, end in _channel_ranges(total, centers.numel(), kernels.chunk):
            kept = g.new_empty(centers.numel() * (end - begin)).numpy()
            spread(kernels.contract, starts, _work(t, total), (starts, *flatten(g, t), kept, g.shape[2], begin, end))
            _collect(kernels, neighbors, support, (s, kept), None, total, base, begin, end)


def _curvatures(
    g: Tensor,
    s: Tensor,
    t: Tensor,
    z: Tensor,
    support: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    cs: Tensor | None,
    ct: Tensor | None,
    cz: Tensor | None,
    base: int,
    collect: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slopes with respect to g, s, T and Z of cs.gs + ct.gt + cz.gz, where (gs, gt, gz) are the slopes at g."""
    if _missing(z):
        wide = None if cz is None else _pad(cz)
        dg, ds, dt, dz = _curvatures(_pad(g), s, t, _pad(z), support, centers, neighbors, cs, ct, wide, base, collect)
        return _cut(dg, g), ds, dt, _cut(dz, z) if collect else dz
    cs = zeros_like(s) if cs is None else cs
    ct = zeros_like(t) if ct is None else ct
    dg, ds, dt = zeros_like(g), zeros_like(s), zeros_like(t)
    dz = zeros_like(z) if collect else z.new_empty(0)
    if not (g.numel() and centers.numel()):
        return dg, ds, dt, dz
    starts = pointers(centers, neighbors, g.shape[0], z.shape[0])
    kernels, given = _loops(t, z), cz is not None
    arrays = (starts, *flatten(neighbors, support, g, s, t, z, cs, ct, z if cz is None else cz, dg, ds, dt))
    for begin, end in _channel_ranges(z, 2 * centers.numel() if collect else 0, kernels.chunk):
        kept, too = (z.new_empty(centers.numel() * (end - begin) if collect else 0).numpy() for _ in range(2))
        rest = (kept, too, *_sizes(s, z, base), begin, end, given, collect)
        spread(kernels.curvatures, starts, 5 * _work(t, z), (*arrays, *rest))
        if collect:
            _collect(kernels, neighbors, support, (cs, kept), (s, too), dz, base, begin, end)
    return dg, ds, dt, dz


def _collect(
    kernels: Loops,
    neighbors: Tensor,
    support: Tensor,
    one: tuple[Tensor, np.ndarray],
    other: tuple[Tensor, np.ndarray] | None,
    result: Tensor,
    base: int,
    begin: int,
    end: int,
) -> None:
    """Add factor x kept slope of every edge to its neighbour's row of `result`, in the same order at every run."""
    order, starts, owners = by_row(neighbors.numpy(), result.shape[0], LONGEST)
    n_radial, channels = result.shape[1:]
    parted = bool((owners[1:] == owners[:-1]).any())
    sums = result.new_zeros(owners.size, n_radial, channels) if parted else result
    second = one if other is None else other
    arrays = (
        flat(support),
        flat(one[0]),
        one[1],
        flat(second[0]),
        second[1],
        flat(sums),
        *_sizes(one[0], result, base),
    )
    places = np.arange(owners.size) if parted else owners
    work = 8 * order.size * (end - begin)
    spread(kernels.collect, starts, work, (starts, order, places, *arrays, begin, end, other is not None))
    if parted:
        result.index_add_(0, torch.from_numpy(owners), sums)


def _loops(t: Tensor, z: Tensor) -> Loops:
    return loops(numpy_dtype(z), t.shape[1], z.shape[2])


def _sizes(s: Tensor, z: Tensor, base: int) -> tuple[int, int, int, int]:
    """K, Kz, base and C, as all kernels take them."""
    return s.shape[1], z.shape[1], base, z.shape[2]


def _missing(channels_last: Tensor) -> int:
    """How many channels are missing from whole vectors."""
    return -channels_last.shape[-1] % lanes(numpy_dtype(channels_last))


def _pad(channels_last: Tensor) -> Tensor:
    return torch.nn.functional.pad(channels_last, (0, _missing(channels_last)))


def _cut(wide: Tensor, like: Tensor) -> Tensor:
    return wide[..., : like.shape[-1]].contiguous()


def _work(t: Tensor, z: Tensor) -> int:
    return t.shape[0] * (t.shape[1] + 6) * z.shape[2]


def _channel_ranges(z: Tensor, kept_edges: int, chunk: int) -> list[tuple[int, int]]:
    """The channels, cut into ranges of whole chunks so that what is kept per edge stays within bounds."""
    channels = z.shape[2]
    width = channels if kept_edges * channels <= _KEPT else chunk * max(1, _KEPT // (kept_edges * chunk))
    return [(begin, min(begin + width, channels)) for begin in range(0, channels, width)]


def _sum_like(s, t, z, support, centers, neighbors, n_atoms, base):
    return z.new_empty(n_atoms, t.shape[1], z.shape[2])


def _slopes_like(g, s, t, z, support, centers, neighbors, base, collect):
    return empty_like(s), empty_like(t), empty_like(z) if collect else z.new_empty(0)


def _curvatures_like(g, s, t, z, support, centers, neighbors, cs, ct, cz, base, collect):
    new = [empty_like(x) for x in (g, s, t)]
    return *new, empty_like(z) if collect else z.new_empty(0)


def _keep_for_slopes(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:6])
    ctx.base = inputs[7]


def _slopes_of_sum(ctx, g):
    collect = wanted(ctx, 2)
    gs, gt, gz = environment_slopes(g, *ctx.saved_tensors, ctx.base, collect)
    return gs, gt, gz if collect else None, None, None, None, None, None


def _keep_for_curvatures(ctx, inputs, output):
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:7])
    ctx.base = inputs[7]


def _slopes_of_slopes(ctx, cs, ct, cz):
    collect = wanted(ctx, 3)
    dg, ds, dt, dz = environment_curvatures(*ctx.saved_tensors, cs, ct, cz, ctx.base, collect)
    return dg, ds, dt, dz if collect else None, None, None, None, None, None


environment_sum = Operator("environment_sum", _sum, _sum_like, _keep_for_slopes, _slopes_of_sum)
environment_slopes = Operator("environment_slopes", _slopes, _slopes_like, _keep_for_curvatures, _slopes_of_slopes)
environment_curvatures = Operator("environment_curvatures", _curvatures, _curvatures_like)
