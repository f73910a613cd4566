"""Radial functions of ACE: four published families, combined to be C2 at the cutoff."""

import copy
import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

Family = Literal["SBessel", "ChebExpCos", "ChebPow", "ChebLinear"]


def radial_values(family: Family, distances: Tensor, cutoff: Tensor | float, n: int, parameter: float) -> Tensor:
    r"""The first n functions of a family as the files of `pair_style pace` define them, zero from the cutoff on.

    With u = r / r_c, T_k the Chebyshev polynomials and :math:`\lambda` the parameter:

    * SBessel: the orthonormal simplified spherical Bessel functions; no parameter.
    * ChebExpCos: :math:`\tfrac12(1 + \cos \pi u)`, then that times :math:`\tfrac12(1 - T_{k-1}(x))`,
      :math:`x = 1 - 2 (e^{-\lambda(u-1)} - 1) / (e^\lambda - 1)`.
    * ChebPow: :math:`\tfrac12(1 - T_k(x))`, :math:`x = 1 - 2 (1-u)^\lambda`.
    * ChebLinear: :math:`\tfrac12(1 - T_k(1 - u))`, which does not vanish at the cutoff (see `smooth_combinations`).

    Args:
        family: one of the four names.
        distances: (E,) Angstrom, > 0.
        cutoff: r_c, Angstrom, a number or (E,).
        n: number of functions, >= 1.
        parameter: lambda, > 0.

    Returns:
        (E, n).

    References:
        E. Kocer, J. K. Mason, H. Erturk, J. Chem. Phys. 150, 154102 (2019) (SBessel); R. Drautz, Phys. Rev. B 99,
        014104 (2019), eqs. (24)-(27), and Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021) (Chebyshev).

    >>> radial_values("ChebLinear", torch.tensor([2.0]), 4.0, 2, 1.0)
    tensor([[0.2500, 0.7500]])
    """
    scaled = distances / cutoff
    u = scaled.clamp(max=1.0)
    if family == "SBessel":
        values = _spherical_bessel(u, n) / torch.as_tensor(cutoff, dtype=u.dtype, device=u.device)[..., None] ** 1.5
    elif family == "ChebExpCos":
        x = 1.0 - 2.0 * torch.expm1(-parameter * (u - 1.0)) / math.expm1(parameter)
        step = 0.5 * (1.0 + torch.cos(math.pi * u))
        values = step[..., None] * torch.cat([torch.ones_like(u)[..., None], _chebyshev(x, n - 1)], -1)
    else:
        x = 1.0 - 2.0 * (1.0 - u) ** parameter if family == "ChebPow" else 1.0 - u
        values = _chebyshev(x, n)
    return values * (scaled < 1.0)[..., None]


def smooth_combinations(family: Family, n: int) -> np.ndarray:
    """Combinations of a family's functions whose value, slope and curvature all vanish at the cutoff.

    SBessel, and ChebPow with a parameter above 2, are smooth as they are; of ChebExpCos all but the first; of
    ChebLinear the products of (1 - r/r_c)^3 with 1 - T_k(1 - r/r_c).

    Args:
        family: one of the four names.
        n: number of combinations, >= 1.

    Returns:
        (n, K) coefficients over the first K functions of `radial_values`.

    >>> smooth_combinations("ChebExpCos", 2)
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    if family == "ChebExpCos":
        return np.eye(n, n + 1, 1)
    if family != "ChebLinear":
        return np.eye(n)
    from numpy.polynomial import chebyshev

    cube = chebyshev.poly2cheb([0.0, 0.0, 0.0, 1.0])
    rows = np.zeros((n, n + 3))
    for k in range(1, n + 1):
        product = chebyshev.chebmul(cube, chebyshev.chebsub([1.0], np.eye(k + 1)[k]))
        rows[k - 1, : len(product) - 1] = -2.0 * product[1:]
    return rows


def inner_step(distances: Tensor, inner: float, width: float) -> Tensor:
    """0 below inner - width, 1 above inner, twice differentiable between (Angstrom); 1 everywhere if inner is 0.

    >>> inner_step(torch.tensor([0.5, 1.0, 1.5]), inner=1.5, width=1.0)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if inner == 0.0:
        return torch.ones_like(distances)
    x = ((inner - distances) / width).clamp(0.0, 1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x.square())


class RadialFunctions(nn.Module):
    r"""Radial functions of every pair of elements, combined from a family: :math:`R_q(r) = \sum_k c_{abqk} s_k(r)`.

    s are the smooth combinations of the family; c starts as the identity for every rank, and `calibrate` of the
    network may replace it by the combinations that matter most in the training structures.

    Args:
        family: see `radial_values`.
        parameter: lambda of the family.
        n_base: K, number of smooth combinations.
        radials: (n, l) of each radial function q in use, n from 1.
        cutoffs: (S, S) Angstrom, by element of center and neighbour.
        inner: inner cutoff and its width, Angstrom; (0, 0) for none.
    """

    coefficients: Tensor
    cutoffs: Tensor
    smooth: Tensor

    def __init__(
        self,
        family: Family,
        parameter: float,
        n_base: int,
        radials: tuple[tuple[int, int], ...],
        cutoffs: np.ndarray,
        inner: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        self.family: Family = family
        self.parameter, self.n_base, self.radials, self.inner = parameter, n_base, radials, inner
        start = np.zeros((len(radials), n_base))
        start[np.arange(len(radials)), [n - 1 for n, _ in radials]] = 1.0
        pairs = np.broadcast_to(start, (*cutoffs.shape, *start.shape))
        self.register_buffer("coefficients", torch.from_numpy(pairs.copy()))
        self.register_buffer("cutoffs", torch.from_numpy(np.asarray(cutoffs, dtype=float)), persistent=False)
        self.register_buffer("smooth", torch.from_numpy(smooth_combinations(family, n_base)), persistent=False)

    def double_copy(self) -> "RadialFunctions":
        """The same functions in float64, detached, on the CPU."""
        return copy.deepcopy(self).double().cpu()

    def base(self, distances: Tensor, center: Tensor, neighbor: Tensor) -> Tensor:
        """Smooth base functions (E, K), inner step included; arguments as for `forward`."""
        cutoff = self.cutoffs[center, neighbor]
        raw = radial_values(self.family, distances, cutoff, self.smooth.shape[1], self.parameter)
        return (raw * inner_step(distances, *self.inner)[:, None]) @ self.smooth.T

    def forward(self, distances: Tensor, center: Tensor, neighbor: Tensor) -> Tensor:
        """Values (E, Q) of the radial functions at distances (E,) between elements center and neighbor (E,)."""
        base = self.base(distances, center, neighbor)
        if self.cutoffs.numel() == 1:
            return base @ self.coefficients[0, 0].T
        return torch.einsum("ek,eqk->eq", base, self.coefficients[center, neighbor])


def _chebyshev(x: Tensor, n: int) -> Tensor:
    """(1 - T_k(x)) / 2 for k = 1..n, by the three-term recurrence."""
    values = [torch.ones_like(x), x]
    for _ in range(n - 1):
        values.append(2.0 * x * values[-1] - values[-2])
    return 0.5 - 0.5 * torch.stack(values[1 : n + 1], -1) if n else x[..., None][..., :0]


def _spherical_bessel(u: Tensor, n: int) -> Tensor:
    """The n orthonormal functions for a cutoff of 1, by the recurrence of Kocer et al."""
    waves = torch.sinc(u[..., None] * torch.arange(1, n + 2, dtype=u.dtype, device=u.device))
    values: list[Tensor] = []
    d = 1.0
    for k in range(n):
        one, two = k + 1, k + 2
        norm = (-1) ** k * math.sqrt(2.0) * math.pi * one * two / math.sqrt(one**2 + two**2)
        pure = norm * (waves[..., k] + waves[..., k + 1])
        e = k**2 * two**2 / (4.0 * one**4 + 1.0)
        before, d = d, 1.0 - e / d
        values.append(pure if k == 0 else (pure + math.sqrt(e / before) * values[-1]) / math.sqrt(d))
    return torch.stack(values, -1)
