"""The network readout: a linear part plus a small perceptron, with its second derivatives written out."""

import torch
from torch import Tensor, nn

from invarion.models.ace.readout import Linear, typical_size


class Mlp(Linear):
    r"""Linear part plus a multilayer perceptron of the standardised functions, zero without atoms around.

    .. math:: E = \sum_k w_k B_k + f(\hat B) - f(\hat 0), \qquad \hat B = (B - \mu) / \sigma

    Args:
        n_functions: B.
        hidden: widths of the hidden layers (SiLU).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_functions: int, hidden: tuple[int, ...]) -> None:
        super().__init__(n_functions)
        widths = (n_functions, *hidden)
        layers = [layer for a, b in zip(widths, hidden, strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(widths[-1], 1, bias=False)
        nn.init.zeros_(last.weight)  # begin as the linear model
        self.layers = nn.Sequential(*layers, last)
        self.register_buffer("mean", torch.zeros(n_functions))
        self.register_buffer("scale", torch.ones(n_functions))

    def calibrate(self, invariants: Tensor) -> None:
        """Set mean and spread of each function."""
        if len(invariants) > 1:
            self.mean = invariants.mean(0)
            self.scale = invariants.std(0).clamp_min(1e-6 * float(typical_size(invariants).max()))

    @torch.no_grad()
    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor | None]:
        """Derivatives with respect to linear coefficients and weights, by the chain rule written out."""
        n, b = invariants.shape
        values, slopes = self._network_sensitivities((invariants - self.mean) / self.scale)
        empty, _ = self._network_sensitivities((-self.mean / self.scale)[None])
        eye = torch.eye(b, dtype=invariants.dtype, device=invariants.device).expand(n, b, b)
        return torch.cat([invariants, values - empty], 1), torch.cat([eye, slopes / self.scale], 1)

    def _network_sensitivities(self, standard: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives (N, P) of the network with respect to its weights, and slopes (N, P, B) of these in its input.

        Forward: activations a and their slopes da; backward: d = dE/dz of each layer and its slopes dd. The derivative
        with respect to a matrix is d a^T, its slope dd a^T + d da^T.
        """
        linears = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        n, b = standard.shape
        a = standard
        da = torch.eye(b, dtype=a.dtype, device=a.device).expand(n, b, b)
        inputs, bends = [(a, da)], []
        for layer in linears[:-1]:
            z, dz = layer(a), torch.einsum("ij,njb->nib", layer.weight, da)
            s = torch.sigmoid(z)
            first, second = s * (1.0 + z * (1.0 - s)), s * (1.0 - s) * (2.0 + z * (1.0 - 2.0 * s))
            a, da = z * s, first[:, :, None] * dz
            inputs.append((a, da))
            bends.append((first, second[:, :, None] * dz))
        d, dd = a.new_ones(n, 1), a.new_zeros(n, 1, b)
        values, slopes = [], []
        for place in range(len(linears) - 1, -1, -1):
            a, da = inputs[place]
            weight = d[:, :, None] * a[:, None, :]
            turned = dd[:, :, None, :] * a[:, None, :, None] + d[:, :, None, None] * da[:, None, :, :]
            with_bias = linears[place].bias is not None
            values.append(torch.cat([weight.flatten(1), *([d] if with_bias else [])], 1))
            slopes.append(torch.cat([turned.flatten(1, 2), *([dd] if with_bias else [])], 1))
            if place:
                first, second = bends[place - 1]
                pulled = d @ linears[place].weight
                dd = second * pulled[:, :, None] + first[:, :, None] * torch.einsum(
                    "ij,nib->njb", linears[place].weight, dd
                )
                d = first * pulled
        return torch.cat(values[::-1], 1), torch.cat(slopes[::-1], 1)

    def forward(self, invariants: Tensor) -> Tensor:
        """Energies (N,) of invariants (N, B)."""
        standard = (invariants - self.mean) / self.scale
        empty = (-self.mean / self.scale)[None]
        return super().forward(invariants) + (self.layers(standard) - self.layers(empty)).squeeze(1)
