"""The network readout: a linear part plus a small perceptron of the functions, smooth ones first."""

from typing import cast

import torch
from torch import Tensor, nn

from invarion.models.ace.readout import Linear, typical_size


class Mlp(Linear):
    r"""Linear part plus a perceptron of the scaled functions, zero without atoms around.

    .. math:: E = \sum_k w_k B_k + \sum_h a_h \big(f_h(\hat B) - f_h(\hat 0)\big), \qquad
              \hat B_k = \frac{p_k}{\sigma_k} (B_k - \mu_k), \quad p_k \propto (1 + o_k)^{-\gamma}

    with mean :math:`\mu`, spread :math:`\sigma` and :math:`o_k`, how much a function oscillates: without the weights p,
    whose mean square is 1, a network takes the many functions that oscillate for as telling as the few smooth ones,
    and learns structures by heart (docs/ace.md has the figures). The energy is linear in w and a, so that both are
    solved for; what lies below the last layer starts at random and may be trained.

    Args:
        n_functions: B.
        hidden: widths of the hidden layers (SiLU).
        sizes: (B,) o_k; zeros if not given.
        smoothness: gamma.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_functions: int, hidden: tuple[int, ...], sizes: Tensor | None = None, smoothness: float = 3.0
    ) -> None:
        super().__init__(n_functions)
        widths = (n_functions, *hidden)
        layers = [layer for a, b in zip(widths, hidden, strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(widths[-1], 1, bias=False)
        nn.init.zeros_(last.weight)  # begin as the linear model
        self.layers = nn.Sequential(*layers, last)
        if hidden:
            # inputs of variance 1 in all, and bends spread over three of their deviations
            first = cast(nn.Linear, self.layers[0])
            nn.init.normal_(first.weight, std=n_functions**-0.5)
            nn.init.uniform_(first.bias, -3.0, 3.0)
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
        """Those of the linear part and of the last layer."""
        return [self.weight, cast(nn.Parameter, self.last.weight)]

    def features(self, invariants: Tensor) -> Tensor:
        """The functions, and what the last hidden layer says of them."""
        return torch.cat([invariants, self._hidden(invariants)], 1)

    def totals(self, numbers: Tensor) -> Tensor:
        """A number of each function, and the least of them for each hidden unit."""
        return torch.cat([numbers, numbers.min().expand(self.last.in_features)])

    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor]:
        """The functions and hidden units, and the derivatives of the latter."""
        x = self._scaled(invariants)
        slopes = torch.diag(1.0 / self.scale)
        for layer in list(self.layers)[:-1]:
            if isinstance(layer, nn.Linear):
                slopes = layer.weight @ slopes
            else:
                sigma = torch.sigmoid(x)
                slopes = (sigma * (1.0 + x * (1.0 - sigma)))[:, :, None] * slopes
            x = layer(x)
        return self.features(invariants), slopes.expand(len(x), -1, -1)

    def correction(self, invariants: Tensor) -> Tensor:
        """What the network adds (N,) to the linear part, for invariants (N, B)."""
        return self.last(self._hidden(invariants)).squeeze(1)

    def forward(self, invariants: Tensor) -> Tensor:
        """Energies (N,) of invariants (N, B)."""
        return invariants @ self.weight + self.correction(invariants)

    def _scaled(self, invariants: Tensor) -> Tensor:
        return (invariants - self.mean) / self.scale

    def _hidden(self, invariants: Tensor) -> Tensor:
        """(N, H) of the last hidden layer, less its values without atoms around."""
        below = self.layers[:-1]
        return below(self._scaled(invariants)) - below(self._scaled(torch.zeros_like(invariants[:1])))
