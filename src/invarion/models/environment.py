"""The hot sum: the tensors of every atom's environment, from its neighbours' mixed features.

Everything a model of this package knows about geometry passes through one sum. It is linear in each of its three
factors, so its derivatives of any order are sums of the same kind. `environment` and `moments` choose between the plain
path of this module and the kernels of `invarion.models.kernels`, which give the same numbers to rounding.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from invarion.exceptions import ConfigError

_CHOICE: ContextVar[str] = ContextVar("kernel", default="auto")
_BLOCK = 1 << 23  # largest number of gathered values held at once by the plain path


def environment(
    sensitivities: Tensor,
    tensors: Tensor,
    mixed: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    n_atoms: int | None = None,
    support: Tensor | None = None,
    first: int = 0,
    kernel: str = "auto",
) -> Tensor:
    r"""Sum over each atom's neighbours of radial function x direction tensor x feature.

    .. math:: A_{imc} = \sum_{e: i(e) = i} T_{em} \sum_k s_{ek} Z_{j(e) k c}

    `mixed` is :math:`Z_{jkc} = \sum_b V_{kcb} z_{jb}`: mixing features once per atom, before the sum, costs far less
    than mixing every tensor component after it, and gives the same numbers. Features that depend on the species alone
    need no row per atom: pass a row per species and, as `neighbors`, the species index of each edge's neighbour.

    Args:
        sensitivities: (E, K) radial functions s of each edge's length, cutoff included.
        tensors: (E, M) direction tensors T of each edge, packed by rank.
        mixed: (R, K', C) features Z, R rows (one per atom, or one per species); K' = K, or less where `first` is given.
        centers: (E,) int64 in 0..n_atoms-1, non-decreasing: the atom each edge adds to.
        neighbors: (E,) int64 in 0..R-1: the row of `mixed` each edge reads.
        n_atoms: number of atoms N; R where it is not given.
        support: (E, 2) int32, first and one past the last radial function of each edge that counts, where both value
            and slope of the others are below rounding (as `Sensitivities` knows of Gaussians; not of functions that
            cross zero): the kernels leave the others out. None if all count.
        first: radial function that the first of `mixed` belongs to; those before it, and after the last, do not count.
        kernel: "auto" takes the fused kernels wherever they run, "torch" the plain path, "numba" the kernels or an
            error.

    Returns:
        (N, M, C) environment tensors, zero for an atom without edges; differentiable twice in all three factors.

    Raises:
        ConfigError: kernel is "numba" where the kernels cannot run.

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
    n = mixed.shape[0] if n_atoms is None else n_atoms
    if torch.jit.is_scripting():
        return _sum_edges(sensitivities[:, first : first + mixed.shape[1]], tensors, mixed, centers, neighbors, n)
    else:  # noqa: RET505 - the compiler of TorchScript must not see what follows
        return _environment(sensitivities, tensors, mixed, centers, neighbors, n, support, first, kernel)


def add_mixed_slopes(
    total: Tensor,
    slopes: Tensor,
    sensitivities: Tensor,
    tensors: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    support: Tensor | None = None,
    first: int = 0,
) -> None:
    r"""Add the slopes with respect to `mixed` of part of a system to the whole's, in place.

    .. math:: \partial_{jkc} \mathrel{+}= \sum_{e: j(e) = j} s_{ek} \sum_m T_{em} g_{i(e) m c}

    Args:
        total: (R, K', C), contiguous; rows that no edge reads are not touched.
        slopes: (N, M, C) g, with respect to `environment` of these edges.
        sensitivities, tensors, centers, neighbors, support, first: as in `environment`.
    """
    if runs_fused(total) and tensors.shape[1] == total.shape[1] == 1:
        from invarion.models.kernels.passing_ops import add_passed

        weights = sensitivities[:, first] * tensors[:, 0]
        add_passed(total[:, 0], weights, slopes[:, 0], neighbors, centers)
        return
    if runs_fused(total):
        from invarion.models.kernels.environment_ops import add_fused_slopes

        add_fused_slopes(total, slopes, sensitivities, tensors, centers, neighbors, support, first)
        return
    sent = torch.einsum("em,emc->ec", tensors, slopes[centers])
    for k in range(total.shape[1]):
        total[:, k].index_add_(0, neighbors, sensitivities[:, first + k, None] * sent)


def moments(
    sensitivities: Tensor,
    tensors: Tensor,
    centers: Tensor,
    kinds: Tensor,
    n_atoms: int,
    n_kinds: int,
    support: Tensor | None = None,
    chosen: tuple[int, int] | None = None,
    kernel: str = "auto",
) -> Tensor:
    r"""Sum over each atom's neighbours of one kind of radial function x direction tensor: the atomic basis.

    .. math:: B_{imrk} = \sum_{e: i(e) = i, r(e) = r} T_{em} s_{ek}

    Args:
        sensitivities: (E, K) radial functions s of each edge's length, cutoff included.
        tensors: (E, M) direction tensors T of each edge, packed by rank.
        centers: (E,) int64 in 0..n_atoms-1, non-decreasing: the atom each edge adds to.
        kinds: (E,) int64 in 0..n_kinds-1, for instance the species index of each edge's neighbour.
        n_atoms: number of atoms N.
        n_kinds: number of kinds R.
        support: as in `environment`.
        chosen: the first radial function that is wanted, and how many; all K if not given.
        kernel: as in `environment`.

    Returns:
        (N, M, R, K'), differentiable twice in both factors.

    Raises:
        ConfigError: kernel is "numba" where the kernels cannot run.

    References:
        R. Drautz, Phys. Rev. B 99, 014104 (2019).

    Examples:
        >>> s, T = torch.tensor([[1.0], [2.0]]), torch.ones(2, 1)
        >>> moments(s, T, torch.tensor([0, 0]), torch.tensor([1, 1]), 1, 2).flatten()
        tensor([0., 3.])
    """
    begin, count = (0, sensitivities.shape[1]) if chosen is None else chosen
    if torch.jit.is_scripting():
        return _sum_by_kind(sensitivities[:, begin : begin + count], tensors, centers, kinds, n_atoms, n_kinds)
    else:  # noqa: RET505 - the compiler of TorchScript must not see what follows
        return _moments(sensitivities, tensors, centers, kinds, n_atoms, n_kinds, support, (begin, count), kernel)


@contextmanager
def use_kernel(kernel: str) -> Iterator[None]:
    """Within this block, functions and models that are told "auto" take this path.

    Args:
        kernel: "auto", "torch" or "numba", as in `environment`.

    >>> with use_kernel("torch"):
    ...     runs_fused(torch.ones(1))
    False
    """
    before = _CHOICE.set(kernel)
    try:
        yield
    finally:
        _CHOICE.reset(before)


def runs_fused(values: Tensor, kernel: str = "auto") -> bool:
    """Whether values of this type and device go through the kernels.

    Raises:
        ConfigError: kernel is "numba" where the kernels cannot run, or an unknown word.
    """
    if kernel == "auto" and not torch.compiler.is_compiling():  # the compiler does not know context variables
        kernel = _CHOICE.get()
    reason = why_plain(values)
    if kernel not in ("auto", "torch", "numba"):
        raise ConfigError(f'kernel is {kernel!r}; allowed are "auto", "torch" and "numba"')
    if kernel == "numba" and reason:
        raise ConfigError(f'kernel is "numba", but {reason}; use kernel="auto" or "torch"')
    return kernel != "torch" and not reason


def why_plain(values: Tensor) -> str:
    """What keeps these values from the kernels; empty where nothing does."""
    if values.device.type != "cpu":
        return f"the kernels run on the CPU and the tensors are on {values.device}"
    if values.dtype not in (torch.float32, torch.float64):
        return f"the kernels take float32 and float64, not {values.dtype}"
    return "" if _numba_found() else "numba is not installed"


@cache
def _numba_found() -> bool:
    """Whether the kernels can be compiled here; looked up, and reported where they cannot, once."""
    found = find_spec("numba") is not None
    if not found:
        message = "numba is not installed: sums over neighbours take the plain path, many times slower; %s"
        logging.getLogger(__name__).warning(message, "pip install 'invarion[fast]'")
    return found


def _environment(
    sensitivities: Tensor,
    tensors: Tensor,
    mixed: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    n_atoms: int,
    support: Tensor | None,
    first: int,
    kernel: str,
) -> Tensor:
    """`environment` on the path that fits."""
    n_rows, n_radial, _ = mixed.shape
    if not runs_fused(mixed, kernel):
        read = sensitivities[:, first : first + n_radial]
        return _plain_environment(read, tensors, mixed, centers, neighbors, n_atoms)
    if tensors.shape[1] == n_radial == 1:
        from invarion.models.kernels.passing_ops import passed

        weights = sensitivities.narrow(1, first, 1) * tensors
        return passed(weights.squeeze(1), mixed.squeeze(1), centers, neighbors, n_atoms)[:, None]
    if _fewer_products_by_kind(tensors, mixed, n_atoms):
        ends, chosen = (centers, neighbors), (first, n_radial)
        by_kind = _moments(sensitivities, tensors, *ends, n_atoms, n_rows, support, chosen, kernel)
        return by_kind.flatten(2) @ mixed.flatten(0, 1)
    from invarion.models.kernels.environment_ops import fused_environment

    return fused_environment(sensitivities, tensors, mixed, centers, neighbors, n_atoms, support, first)


def _moments(
    sensitivities: Tensor,
    tensors: Tensor,
    centers: Tensor,
    kinds: Tensor,
    n_atoms: int,
    n_kinds: int,
    support: Tensor | None,
    chosen: tuple[int, int],
    kernel: str,
) -> Tensor:
    """`moments` on the path that fits."""
    if not runs_fused(sensitivities, kernel):
        read = sensitivities[:, chosen[0] : sum(chosen)]
        return _sum_by_kind(read, tensors, centers, kinds, n_atoms, n_kinds)
    from invarion.models.kernels.moments_ops import fused_moments

    return fused_moments(sensitivities, tensors, centers, kinds, n_atoms, n_kinds, support, chosen)


def _fewer_products_by_kind(tensors: Tensor, mixed: Tensor, n_atoms: int) -> bool:
    """Whether moments by row of `mixed`, then one matrix product, take fewer multiplications than a sum over edges.

    Matrix products run about twice as fast per multiplication as the sum, of which about six radial functions count.
    """
    n_edges, n_components = tensors.shape
    return n_atoms * n_components * mixed.shape[0] * mixed.shape[1] < 2 * n_edges * (n_components + 6)


def _plain_environment(
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
    total = mixed.new_zeros([n_atoms, tensors.shape[1], mixed.shape[2]])
    return total.index_add(0, centers, tensors[:, :, None] * received[:, None, :])


def _sum_by_kind(
    sensitivities: Tensor, tensors: Tensor, centers: Tensor, kinds: Tensor, n_atoms: int, n_kinds: int
) -> Tensor:
    """The definition: multiply, add up by center and kind."""
    total = sensitivities.new_zeros([n_atoms * n_kinds, tensors.shape[1], sensitivities.shape[1]])
    total = total.index_add(0, centers * n_kinds + kinds, tensors[:, :, None] * sensitivities[:, None, :])
    return total.view([n_atoms, n_kinds, tensors.shape[1], sensitivities.shape[1]]).transpose(1, 2)
