"""The network readout: a linear part plus a small perceptron of the functions, smooth ones first."""

from typing import cast

import torch
from torch import Tensor, nn

from invarion.models.ace.readout import Linear, typical_size


class Mlp(Linear):
    r"""Linear part plus a multilayer perceptron of the standardised functions, zero without atoms around.

    .. math:: E = \sum_k w_k B_k + f(\hat B) - f(\hat 0), \qquad
              \hat B_k = \frac{p_k}{\sigma_k} (B_k - \mu_k), \quad p_k \propto (1 + s_k)^{-\gamma}

    with mean :math:`\mu`, spread :math:`\sigma` and :math:`s_k`, the sum of n - 1 and rank over the slots of a
    function: without the weights p, whose mean square is 1, a network takes the many functions that oscillate for as
    telling as the few smooth ones, and learns structures by heart (docs/ace.md has the figures).

    Args:
        n_functions: B.
        hidden: widths of the hidden layers (SiLU).
        sizes: (B,) s_k; zeros if not given.
        smoothness: gamma.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_functions: int, hidden: tuple[int, ...], sizes: Tensor | None = None, smoothness: float = 2.0
    ) -> None:
        super().__init__(n_functions)
        widths = (n_functions, *hidden)
        layers = [layer for a, b in zip(widths, hidden, strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(widths[-1], 1, bias=False)
        nn.init.zeros_(last.weight)  # begin as the linear model
        self.layers = nn.Sequential(*layers, last)
        weights = (1.0 + (torch.zeros(n_functions) if sizes is None else sizes).double()) ** -smoothness
        self._weights = weights / weights.square().mean().sqrt()
        self.register_buffer("mean", torch.zeros(n_functions))
        self.register_buffer("scale", torch.ones(n_functions))

    @property
    def last(self) -> nn.Linear:
        """The layer whose weights carry the unit of energy."""
        return cast(nn.Linear, self.layers[-1])

    def calibrate(self, invariants: Tensor) -> None:
        """Set mean of each function, and its spread over its weight."""
        if len(invariants) > 1:
            spread = invariants.std(0).clamp_min(1e-6 * float(typical_size(invariants).max()))
            self.mean = invariants.mean(0)
            self.scale = spread / self._weights.to(spread)

    def coefficients(self) -> list[nn.Parameter]:
        """Those of the linear part."""
        return [self.weight]

    def correction(self, invariants: Tensor) -> Tensor:
        """What the network adds (N,) to the linear part, for invariants (N, B)."""
        standard = (invariants - self.mean) / self.scale
        empty = (-self.mean / self.scale)[None]
        return (self.layers(standard) - self.layers(empty)).squeeze(1)

    def forward(self, invariants: Tensor) -> Tensor:
        """Energies (N,) of invariants (N, B)."""
        return super().forward(invariants) + self.correction(invariants)
