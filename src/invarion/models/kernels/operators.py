"""Compiled functions as differentiable operators of torch.

Eagerly an operator is an autograd function: calling one through `torch.library` costs several times as much, and loads
torch's compiler, seconds and a hundred megabytes. While torch compiles a model, the same function is the operator that
is registered there, opaque to the compiler and with shapes and slopes known to it.
"""

from collections.abc import Callable
from typing import Any

import torch


class Operator:
    """A function of tensors and numbers with known slopes.

    Args:
        name: in torch's register, below "invarion::".
        compute: the function; annotated, because the register wants to know its types. Arguments begin with tensors.
        like: the same for shapes alone: new tensors of the right shape and type, whatever is in them.
        keep: (context, inputs, output) to save what slopes need; None where there are no slopes.
        slopes: (context, *slopes of outputs) to the slopes of all inputs.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[..., Any],
        like: Callable[..., Any],
        keep: Callable[..., None] | None = None,
        slopes: Callable[..., Any] | None = None,
    ) -> None:
        self._registered = torch.library.custom_op(f"invarion::{name}", compute, mutates_args=())
        self._registered.register_fake(like)
        if keep is not None and slopes is not None:
            self._registered.register_autograd(slopes, setup_context=keep)
        self._function = _function(name, compute, keep, slopes)

    def __call__(self, *arguments: Any) -> Any:
        """The function's value."""
        if torch.compiler.is_compiling():
            return self._registered(*arguments)
        return self._function.apply(*arguments)


def _function(
    name: str, compute: Callable[..., Any], keep: Callable[..., None] | None, slopes: Callable[..., Any] | None
) -> type[torch.autograd.Function]:
    def forward(ctx: Any, *arguments: Any) -> Any:
        result = compute(*arguments)
        if keep is not None:
            keep(ctx, arguments, result)
        return result

    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        if slopes is None:
            raise NotImplementedError(
                f"{name} has no further derivative; use_kernel('torch') has derivatives of any order"
            )
        return slopes(ctx, *grad_outputs)

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(name, (torch.autograd.Function,), members)
