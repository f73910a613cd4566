"""Straight-line programs run by numpy: each scalar is a row over many environments, one cache-sized block at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invarion.exceptions import BasisError
from invarion.invariants.plan import Plan
from invarion.invariants.straightline import LINEAR, ZERO, Program

_CACHE = 1 << 19  # numbers held at once: what a core's caches hold
_SHORTEST = 1024  # rows shorter than this spend their time in calls


def evaluate(plan: Plan, tensors: NDArray[Any]) -> NDArray[Any]:
    """Invariants of many environments.

    Args:
        plan: what to evaluate.
        tensors: (..., M) float32 or float64, packed components.

    Returns:
        (..., B) of the same dtype.

    Raises:
        BasisError: the last axis is not M long.
    """
    return run(plan.values, (_checked(plan, tensors),))


def pull_back(plan: Plan, tensors: NDArray[Any], cotangents: NDArray[Any]) -> NDArray[Any]:
    """Derivative of sum_b g_b I_b with respect to the tensors.

    Args:
        plan: what to differentiate.
        tensors: (..., M) packed components.
        cotangents: (..., B) factors g.

    Returns:
        (..., M).
    """
    return run(plan.gradient, (_checked(plan, tensors), cotangents))


def jacobian(plan: Plan, tensors: NDArray[Any]) -> NDArray[Any]:
    """Derivatives of every invariant with respect to every component, exact to rounding.

    Args:
        plan: what to differentiate.
        tensors: (..., M) packed components.

    Returns:
        (..., B, M).
    """
    tensors = _checked(plan, tensors)
    shape = (*tensors.shape[:-1], plan.n_outputs)
    seeds = np.broadcast_to(np.eye(plan.n_outputs, dtype=tensors.dtype), (*shape, plan.n_outputs))
    return run(plan.gradient, (np.broadcast_to(tensors[..., None, :], (*shape, plan.n_inputs)), seeds))


def run(program: Program, inputs: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """A program on arrays whose last axes, laid end to end, are its inputs.

    Args:
        program: what to compute.
        inputs: arrays of the same leading shape and dtype.

    Returns:
        (..., number of outputs).
    """
    flat = [array.reshape(-1, array.shape[-1]) for array in inputs]
    result = np.empty((flat[0].shape[0], len(program.outputs)), dtype=inputs[0].dtype)
    for part in blocks(len(result), program):
        rows = [row for array in flat for row in np.ascontiguousarray(array[part].T)]
        for b, row in enumerate(_outputs(program, rows)):
            result[part, b] = row
    return result.reshape(*inputs[0].shape[:-1], len(program.outputs))


def blocks(length: int, program: Program) -> Iterator[slice]:
    """Pieces of an axis so short that all scalars of a program stay in a core's cache."""
    step = max(_SHORTEST, _CACHE // (program.n_inputs + len(program.rows)))
    return (slice(start, start + step) for start in range(0, length, step))


def _outputs(program: Program, rows: list[Any]) -> Iterator[Any]:
    scratch = np.empty_like(rows[0])
    for row, ended in zip(program.rows, program.last_uses, strict=True):
        total: Any = None
        for c, left, right in row:
            product = np.multiply(rows[left], c if right == LINEAR else rows[right], out=_room(total, scratch))
            if right != LINEAR and c != 1.0:
                product *= c
            total = product if total is None else np.add(total, product, out=total)
        rows.append(total)
        for i in ended:
            rows[i] = None
    return (0.0 if i == ZERO else rows[i] for i in program.outputs)


def _room(total: NDArray | None, scratch: NDArray) -> NDArray | None:
    """Where a product goes: a new array for the first of a sum, scratch space for the others."""
    return None if total is None else scratch


def _checked(plan: Plan, tensors: NDArray[Any]) -> NDArray[Any]:
    if tensors.ndim == 0 or tensors.shape[-1] != plan.n_inputs:
        wanted = f"ranks {plan.ranks} need (..., {plan.n_inputs})"
        raise BasisError(f"tensors have shape {tensors.shape}, but {wanted}: 2 rank + 1 components per rank")
    return tensors
