"""The invariant layer: tensors of every atom and channel to invariants, with first and second derivatives."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from invarion.exceptions import ConfigError
from invarion.invariants import InvariantBasis
from invarion.invariants.plan import Plan, compile_plan
from invarion.invariants.straightline import LINEAR, ZERO, Program
from invarion.models.environment import runs_fused
from invarion.models.kernels.autograd import no_second_slopes
from invarion.models.levels import ProgramLevels

_CACHE = 1 << 19  # numbers held at once on a CPU


def invariants(tensors: Tensor, plan: Plan, kernel: str = "auto") -> Tensor:
    """Invariants of every environment and channel; differentiable twice.

    Args:
        tensors: (N, M, C) floating, packed components of C independent channels.
        plan: invariants of M components.
        kernel: "auto" takes machine code generated for the plan wherever it runs (a CPU, float32 or float64, numba
            installed), "torch" plain torch operations, "numba" the machine code or an error.

    Returns:
        (N, B, C).

    Raises:
        ConfigError: tensors are not (N, M, C), or kernel is "numba" where it cannot run.

    References:
        arXiv:2503.23515 for the invariants of HIP-HOP-NN.
    """
    if tensors.ndim != 3 or tensors.shape[1] != plan.n_inputs:
        raise ConfigError(f"tensors have shape {tuple(tensors.shape)}; allowed is (N, {plan.n_inputs}, C)")
    return _Values.apply(tensors, plan, kernel)


class InvariantLayer(nn.Module):
    """`invariants` of a basis as a module; TorchScript runs the plan level by level.

    Args:
        basis: one tensor per rank; anything with `invariants` and `ranks`.
        kernel: as for `invariants`.
    """

    def __init__(self, basis: InvariantBasis, kernel: str = "auto") -> None:
        super().__init__()
        self.plan = compile_plan(basis.invariants, basis.ranks)
        self.kernel = kernel
        self.levels = ProgramLevels(self.plan.values)

    def forward(self, tensors: Tensor) -> Tensor:
        """(N, M, C) in, (N, B, C) out."""
        if torch.jit.is_scripting():
            return self.levels(tensors)
        else:  # noqa: RET505 - the compiler of TorchScript must not see what follows
            return self._invariants(tensors)

    @torch.jit.unused
    def _invariants(self, tensors: Tensor) -> Tensor:
        return invariants(tensors, self.plan, self.kernel)


class _Values(Function):
    """y(x); nothing but x is kept."""

    @staticmethod
    def forward(ctx: Any, tensors: Tensor, plan: Plan, kernel: str) -> Tensor:
        ctx.save_for_backward(tensors)
        ctx.plan, ctx.kernel = plan, kernel
        return run(plan.values, kernel, tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        return _Gradient.apply(*ctx.saved_tensors, *grad_outputs, ctx.plan, ctx.kernel), None, None


class _Gradient(Function):
    """sum_b g_b dy_b/dx as a function of x and g, itself differentiable once."""

    @staticmethod
    def forward(ctx: Any, tensors: Tensor, cotangents: Tensor, plan: Plan, kernel: str) -> Tensor:
        ctx.save_for_backward(tensors, cotangents)
        ctx.plan, ctx.kernel = plan, kernel
        return run(plan.gradient, kernel, tensors, cotangents)

    @staticmethod
    @no_second_slopes
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None]:
        both = run(ctx.plan.curvature, ctx.kernel, *ctx.saved_tensors, *grad_outputs)
        second, first = both.split((ctx.plan.n_inputs, ctx.plan.n_outputs), dim=1)
        return second, first, None, None


def run(program: Program, kernel: str, *inputs: Tensor) -> Tensor:
    """A program on tensors (N, *, C) whose middle axes, laid end to end, are its inputs; (N, outputs, C) out.

    Args:
        program: what to compute.
        kernel: as for `invariants`.
        inputs: all of one dtype and device.

    Raises:
        ConfigError: kernel is "numba" where it cannot run.
    """
    if torch.compiler.is_compiling() or not runs_fused(inputs[0], kernel):
        return _run_plain(program, *inputs)
    from invarion.models.kernels.program_kernel import run as run_fused

    return run_fused(program, *inputs)


def _run_plain(program: Program, *inputs: Tensor) -> Tensor:
    """A program in torch operations: on a CPU over blocks of N that stay in the cache, elsewhere over all at once."""
    n_atoms, _, channels = inputs[0].shape
    result = inputs[0].new_empty(n_atoms, len(program.outputs), channels)
    for part in _blocks(inputs[0], program):
        rows = [row for tensor in inputs for row in tensor[part].transpose(0, 1).contiguous()]
        for b, row in enumerate(_outputs(program, rows)):
            result[part, b] = row
    return result


def _blocks(like: Tensor, program: Program) -> Iterator[slice]:
    n_atoms, _, channels = like.shape
    whole = like.device.type != "cpu" or torch.compiler.is_compiling()
    step = n_atoms if whole else _CACHE // ((program.n_inputs + len(program.rows)) * max(channels, 1))
    return (slice(start, start + max(step, 1)) for start in range(0, n_atoms, max(step, 1)))


def _outputs(program: Program, rows: list[Any]) -> Iterator[Tensor | float]:
    """The rows of the outputs; those that are done with are let go."""
    for row, ended in zip(program.rows, program.last_uses, strict=True):
        (c, left, right), *others = row
        total = rows[left] * (c if right == LINEAR else rows[right])
        if right != LINEAR and c != 1.0:
            total *= c
        for c, left, right in others:
            _ = total.add_(rows[left], alpha=c) if right == LINEAR else total.addcmul_(rows[left], rows[right], value=c)
        rows.append(total)
        for i in ended:
            rows[i] = None
    return (0.0 if i == ZERO else rows[i] for i in program.outputs)
