r"""Muon for the matrices of a network, AdamW for all else.

AdamW scales every weight's step by itself, and so moves a matrix mostly along the few directions in which its slopes
are large. Muon makes all singular values of the step equal: the many weak directions, which are what is left to learn
in a potential that is nearly right, move as fast as the strong ones.
"""

from collections.abc import Callable, Iterable, Sequence
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
    both take the same learning rate. A parameter of more than two dimensions is one matrix: the last dimension, what
    comes out of a layer, are its columns; all others, what goes in, its rows.

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
        matrices = {"params": [p for p in chosen if is_matrix(p)], "weight_decay": weight_decay, "matrices": True}
        others = decay_groups((p for p in chosen if not is_matrix(p)), weight_decay)
        groups = [matrices, *({**group, "matrices": False} for group in others)]
        groups = [group for group in groups if group["params"]]
        self.momentum = momentum
        super().__init__(groups, lr=lr, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]  # torch has overloads
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
        """Muon's step for the matrices."""
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
        steps = orthogonalized([u.flatten(0, -2) for u in gradients])
        torch._foreach_mul_(steps, [0.2 * group["lr"] * max(step.shape) ** 0.5 for step in steps])
        torch._foreach_sub_(moved, [step.view_as(w) for step, w in zip(steps, moved, strict=True)])


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW, none of them empty: what has two dimensions or more decays, biases and scales do not."""
    chosen = list(parameters)
    groups = [
        {"params": [p for p in chosen if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in chosen if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter, its last dimension taken as columns, has more than one row and more than one column."""
    return parameter.dim() > 1 and parameter.shape[-1] > 1 and parameter.numel() > parameter.shape[-1]


def orthogonalized(matrices: Sequence[Tensor]) -> list[Tensor]:
    r"""About :math:`u (u^T u)^{-1/2}`: the same singular vectors, singular values between 0.7 and 1.2.

    The iteration runs on :math:`u^T u`, for all matrices with the same number of columns at once, so that tall matrices
    cost no more than two products of their own.

    Args:
        matrices: (a, b) each; where there are more columns than rows, rows and columns change places.

    >>> orthogonalized([torch.diag(torch.tensor([3.0, 1.0]))])[0].diagonal().round(decimals=1)
    tensor([0.8000, 1.1000])
    """
    tall = [u if u.shape[0] >= u.shape[1] else u.mT for u in matrices]
    places = sorted(range(len(tall)), key=lambda i: tall[i].shape[1])
    result = list(matrices)
    for _, members in groupby(places, key=lambda i: tall[i].shape[1]):
        chosen = list(members)
        roots = _inverse_roots(torch.stack([tall[i].mT @ tall[i] for i in chosen]))
        for i, root in zip(chosen, roots, strict=True):
            turned = tall[i] @ root
            result[i] = turned if tall[i] is matrices[i] else turned.mT.contiguous()
    return result


def _inverse_roots(squares: Tensor) -> Tensor:
    """About the inverse square root of each of (S, b, b) positive matrices; small eigenvalues only begin to grow."""
    a, b, c = _POLYNOMIAL
    sizes = squares.diagonal(dim1=1, dim2=2).sum(1).clamp(min=_SMALLEST**2)[:, None, None]
    squares = squares / sizes
    product = sizes.rsqrt() * torch.eye(squares.shape[1], dtype=squares.dtype, device=squares.device)
    for left in reversed(range(_ITERATIONS)):  # u <- u (a + b u^T u + c (u^T u)^2), seen through u^T u
        factor = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = product @ factor
        if left:
            squares = squares @ factor @ factor
    return product
