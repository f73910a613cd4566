"""Values of a basis for numpy arrays and torch tensors, from one plan."""

from functools import lru_cache
from typing import Any

import numpy as np

from invarion.invariants.basis import InvariantBasis
from invarion.invariants.contractions import Contraction
from invarion.invariants.execution import evaluate as execute
from invarion.invariants.plan import Plan, compile_plan
from invarion.invariants.straightline import LINEAR, ZERO


def evaluate(basis: InvariantBasis, tensors: Any) -> Any:
    """(..., B) values of (..., M) packed components; for torch, differentiable as often as wanted.

    Models use the fused layer of `invarion.models` instead; this is the same plan, step by step.
    """
    plan = plan_of(basis.invariants, basis.ranks)
    return execute(plan, tensors) if isinstance(tensors, np.ndarray) else _execute_in_torch(plan, tensors)


@lru_cache(maxsize=32)
def plan_of(invariants: tuple[Contraction, ...], ranks: tuple[int, ...]) -> Plan:
    """The compiled plan of a basis; bases are values, so equal ones share it."""
    return compile_plan(invariants, ranks)


def _execute_in_torch(plan: Plan, tensors: Any) -> Any:
    """One torch operation per product: simple, and open to autograd."""
    import torch

    rows = list(tensors.unbind(-1))
    for row in plan.values.rows:
        rows.append(sum(c * rows[left] if right == LINEAR else c * rows[left] * rows[right] for c, left, right in row))
    zero = torch.zeros_like(rows[0])
    return torch.stack([zero if i == ZERO else rows[i] for i in plan.values.outputs], -1)
