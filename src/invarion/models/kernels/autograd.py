"""What a backward pass is really going to use of an operator's slopes, and that it cannot be passed through again."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.autograd.function import once_differentiable

_Backward = TypeVar("_Backward", bound=Callable[..., Any])

_will_execute = getattr(torch._C, "_will_engine_execute_node", None)  # not in torch's public interface


def wanted(ctx: Any, position: int) -> bool:
    """Whether the backward pass that is running uses the slope with respect to this tensor argument.

    `ctx.needs_input_grad` says only that the argument depends on something differentiable: slopes with respect to
    weights would be computed, and thrown away, whenever forces are. Where torch cannot tell, the answer is yes.

    Args:
        ctx: context of an operator's backward function.
        position: place among the operator's arguments; tensors come first among them.
    """
    if not ctx.needs_input_grad[position] or _will_execute is None:
        return ctx.needs_input_grad[position]
    try:
        return _will_execute(ctx.next_functions[position][0])
    except RuntimeError:  # the argument itself is what the slope is asked for
        return True


def no_second_slopes(backward: _Backward) -> _Backward:
    """torch's `once_differentiable`, whose type forgets the names of arguments, for a `backward` that keeps them."""
    return cast(_Backward, once_differentiable(backward))
