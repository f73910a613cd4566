"""Radial functions of an edge's length: cutoff functions and the sensitivities of the HIP family."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from invarion.models.environment import runs_fused

CutoffFunction = Literal["smooth", "cosine_squared"]
_WIDTH = 0.15  # of the Gaussians, as a part of the largest inverse distance


def cutoff_value(distances: Tensor, cutoff: float, function: CutoffFunction = "smooth") -> Tensor:
    r"""How much a neighbour at each distance still counts: 1 at zero, 0 from the cutoff on.

    With :math:`x = r / r_c < 1`: "smooth" is :math:`1 - 10x^3 + 15x^4 - 6x^5`, twice continuously differentiable
    (C2) at the cutoff; "cosine_squared" is :math:`\cos^2(\pi x / 2)`, the published one, which is C1 only.

    Args:
        distances: (E,) in Angstrom, >= 0.
        cutoff: r_c in Angstrom, > 0.
        function: "smooth" or "cosine_squared".

    Returns:
        (E,) values in [0, 1].

    References:
        Lubbers et al., J. Chem. Phys. 148, 241715 (2018), for cosine_squared.

    >>> cutoff_value(torch.tensor([0.0, 2.5, 5.0, 6.0]), 5.0)
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    x = (distances / cutoff).clamp(max=1.0)
    if function == "cosine_squared":
        # 1 - sin^2 would be exact at x = 1 as well; the mask keeps the derivative zero beyond the cutoff
        return torch.cos(0.5 * math.pi * x).square() * (distances <= cutoff)
    return (1.0 - x) ** 3 * (1.0 + 3.0 * x + 6.0 * x.square())  # exact to rounding where it goes to zero


class Sensitivities(nn.Module):
    r"""Learnable Gaussians in the inverse distance, times a cutoff function.

    .. math:: s_k(r) = \exp\big(-\tfrac12 \sigma_k^2 (1/r - 1/\mu_k)^2\big) f_c(r)

    At the start :math:`1/\mu_k` is spaced evenly from 1/soft_max to 1/soft_min and
    :math:`\sigma_k = \text{soft\_min} / w`.

    The published width w = 1 / 2K lets neighbouring Gaussians meet at about 0.7 of their height. A network of random
    weights is then a rough function of distances, and learns from data how smooth nature is. Wider functions leave
    less to learn, and cut the errors on molecules by a third (docs/training.md has the figures).

    Args:
        n_sensitivities: K, >= 1.
        width: w, standard deviation in 1/r at the start as a part of 1/soft_min, > 0; None for 0.15, or for 1 / 2K
            where that is wider.
        soft_min: centre of the innermost function, Angstrom, > 0; None leaves it to `calibrate` (until then 0.75).
        soft_max: centre of the outermost function, Angstrom.
        cutoff: r_c, Angstrom.
        function: cutoff function, "smooth" or "cosine_squared".

    References:
        Lubbers et al., J. Chem. Phys. 148, 241715 (2018), section II.B.
    """

    def __init__(
        self,
        n_sensitivities: int,
        soft_min: float | None,
        soft_max: float,
        cutoff: float,
        function: CutoffFunction,
        width: float | None = None,
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.width = max(_WIDTH, 0.5 / n_sensitivities) if width is None else width
        self.soft_max = soft_max
        self.open = soft_min is None
        self.function: CutoffFunction = function
        self.mu = nn.Parameter(torch.empty(n_sensitivities))
        self.sigma = nn.Parameter(torch.empty(n_sensitivities))
        self._place(0.75 if soft_min is None else soft_min)

    def calibrate(self, nearest: float) -> None:
        """Places the innermost function just inside the smallest distance of the data, if it was left open.

        Args:
            nearest: smallest distance in Angstrom, > 0.
        """
        if self.open:
            self._place(min(0.9 * nearest, 0.5 * self.soft_max))

    @torch.no_grad()
    def _place(self, soft_min: float) -> None:
        inverse = np.linspace(1.0 / self.soft_max, 1.0 / soft_min, len(self.mu))
        self.mu.copy_(torch.from_numpy(1.0 / inverse))
        self.sigma.fill_(soft_min / self.width)

    def forward(self, distances: Tensor) -> tuple[Tensor, Tensor | None]:
        """Values and which of them count.

        Args:
            distances: (E,) in Angstrom, > 0.

        Returns:
            Values (E, K), and the `support` that `invarion.models.environment.environment` takes.
        """
        shape = (1.0 / self.mu, self.sigma, self.cutoff, self.function == "cosine_squared")
        if torch.jit.is_scripting():
            return plain_gaussians(distances, *shape), None
        else:  # noqa: RET505 - the compiler of TorchScript must not see what follows
            return _gaussians(distances, *shape)

    @torch.no_grad()
    def span(self, nearest: float) -> tuple[int, int]:
        """The first, and one past the last, function that counts at any distance from `nearest` to the cutoff.

        Args:
            nearest: Angstrom; infinity where there are no distances.
        """
        n_functions = len(self.mu)
        if nearest >= self.cutoff or not runs_fused(self.mu):
            return 0, n_functions
        from invarion.models.kernels.radial_ops import counting_span

        return counting_span(1.0 / self.mu, self.sigma, nearest, self.cutoff)


def counting_range(values: Tensor, support: Tensor | None) -> tuple[int, int]:
    """The first, and one past the last, function that counts on any of the edges.

    Args:
        values: (E, K).
        support: (E, 2), the same of every edge, as `Sensitivities` returns it; None if all count.

    Returns:
        All functions where none counts.
    """
    if support is not None and len(support):
        lowest, highest = torch.aminmax(support, dim=0)
        begin, end = int(lowest[0]), int(highest[1])
        if end > begin:
            return begin, end
    return 0, values.shape[1]


def plain_gaussians(distances: Tensor, places: Tensor, sigmas: Tensor, cutoff: float, cosine: bool) -> Tensor:
    """Values (E, K) of Gaussians in 1/r at `places` 1/mu (K,), widths 1/sigma (K,), in plain torch operations."""
    offset = (1.0 / distances)[:, None] - places
    gauss = torch.exp(-0.5 * (sigmas * offset).square())
    return gauss * cutoff_value(distances, cutoff, "cosine_squared" if cosine else "smooth")[:, None]


def _gaussians(
    distances: Tensor, places: Tensor, sigmas: Tensor, cutoff: float, cosine: bool
) -> tuple[Tensor, Tensor | None]:
    """Values on the path that fits; the kernels leave those below rounding at zero, and say which they are."""
    if not runs_fused(distances):
        return plain_gaussians(distances, places, sigmas, cutoff, cosine), None
    from invarion.models.kernels.radial_ops import gaussians

    return gaussians(distances, places, sigmas, cutoff, cosine)
