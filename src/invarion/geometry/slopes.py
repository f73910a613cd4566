"""First and second derivatives of tables of functions; torch.func has the same, but to load it takes two seconds."""

from collections.abc import Callable

import torch
from torch import Tensor


def two_slopes(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values (n, Q) of functions of one variable at `at` (n,), first and second derivatives, by reverse mode.

    >>> value, first, second = two_slopes(lambda r: r[:, None] ** 3, torch.tensor([2.0]))
    >>> value.item(), first.item(), second.item()
    (8.0, 12.0, 12.0)
    """
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = function(at)
        first = [torch.autograd.grad(column.sum(), at, create_graph=True)[0] for column in value.unbind(1)]
        second = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in first]
    return value.detach(), torch.stack(first, 1).detach(), torch.stack(second, 1)
