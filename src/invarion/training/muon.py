r"""Muon for the matrices of a network, AdamW for all else.

AdamW scales every weight's step by itself, and so moves a matrix mostly along the few directions in which its slopes
are large. Muon makes all singular values of the step equal: the many weak directions, which are what is left to learn
in a potential that is nearly right, move as fast as the strong ones.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration by K. Jordan: fast rather than exact
_ITERATIONS = 5
_SMALLEST = 1e-7  # norm of slopes below which steps shrink: those of rounding errors must not count in full


class Muon(AdamW):
    r"""Steps of equal singular values for matrices, and AdamW's for parameters of other shapes.

    .. math:: m \leftarrow \beta m + (1 - \beta) g, \qquad u = \beta m + (1 - \beta) g, \qquad
              w \leftarrow (1 - \eta \lambda) w - 0.2 \, \eta \sqrt{\max(a, b)} \; u (u^T u)^{-1/2}

    for a matrix of a rows and b columns; the factor gives steps the root mean square that those of AdamW have, so that
    both take the same learning rate. A parameter of more than two dimensions is a stack of matrices.

    Args:
        parameters: all that are to be trained.
        lr: learning rate eta, > 0.
        betas: of AdamW.
        momentum: beta, 0 <= beta < 1.
        weight_decay: lambda, of parameters of two dimensions or more; others do not decay.

    References:
        K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); J. Liu et al.,
        arXiv:2502.16982, for the factor. `torch.optim.Muon` does the same for single matrices in bfloat16.

    >>> layer = nn.Linear(3, 3)
    >>> optimizer = Muon(layer.parameters(), lr=0.01)
    >>> layer(torch.ones(3)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        chosen = list(parameters)
        matrices = [p for p in chosen if is_stack(p)]
        rows = [p for p in chosen if not is_stack(p) and p.dim() > 1]
        others = [p for p in chosen if p.dim() <= 1]
        decays = (weight_decay, weight_decay, 0.0)
        groups = [
            {"params": params, "weight_decay": decay, "matrices": params is matrices}
            for params, decay in zip((matrices, rows, others), decays, strict=True)
            if params
        ]
        self.momentum = momentum
        super().__init__(groups, lr=lr, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; gradients of matrices are used up by it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["matrices"]:
                self._turn(group)
        super().step()
        return loss

    def _turn(self, group: dict[str, Any]) -> None:
        """Muon's step for the matrices; those of one shape go through the iteration together."""
        moved = [p for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in moved]
        for p in moved:
            if not self.state[p]:
                # AdamW looks for a count of steps in every state that it loads
                self.state[p] = {"step": torch.zeros(()), "momentum": torch.zeros_like(p)}
            self.state[p]["step"] += 1
            p.grad = None
        averages = [self.state[p]["momentum"] for p in moved]
        torch._foreach_lerp_(averages, gradients, 1.0 - self.momentum)
        torch._foreach_lerp_(gradients, averages, self.momentum)
        torch._foreach_mul_(moved, 1.0 - group["lr"] * group["weight_decay"])
        for shape, pairs in groupby(sorted(zip(moved, gradients, strict=True), key=_shape), key=_shape):
            weights, wanted = zip(*pairs, strict=True)
            steps = orthogonalized(torch.cat([u.reshape(-1, *shape) for u in wanted]))
            steps *= 0.2 * group["lr"] * max(shape) ** 0.5
            parts = steps.split([w.numel() // (shape[0] * shape[1]) for w in weights])
            torch._foreach_sub_(list(weights), [part.view_as(w) for part, w in zip(parts, weights, strict=True)])


def is_stack(parameter: Tensor) -> bool:
    """Whether a parameter is a matrix, or a stack of them, of more than one row and column."""
    return parameter.dim() > 1 and min(parameter.shape[-2:]) > 1


def orthogonalized(matrices: Tensor) -> Tensor:
    r"""About :math:`u (u^T u)^{-1/2}`: the same singular vectors, singular values between 0.7 and 1.2.

    Args:
        matrices: (S, a, b).

    >>> orthogonalized(torch.diag(torch.tensor([3.0, 1.0]))[None]).diagonal(dim1=1, dim2=2).round(decimals=1)
    tensor([[0.8000, 1.1000]])
    """
    a, b, c = _POLYNOMIAL
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=_SMALLEST)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _shape(pair: tuple[Tensor, Tensor]) -> tuple[int, int]:
    rows, columns = pair[0].shape[-2:]
    return rows, columns
