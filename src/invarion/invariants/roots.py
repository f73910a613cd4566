"""All tensors that share given values of invariants, as far as searches from random starts find them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invarion.invariants.execution import evaluate, jacobian
from invarion.invariants.plan import Plan

Floats = NDArray[np.float64]

_STEPS = 300
_CLOSE = 1e-11  # residual of a root, relative to the size of each invariant
_HOPELESS = 1e10  # damping at which a search is stuck in a local minimum


class Roots(NamedTuple):
    """Where searches ended.

    Attributes:
        points: (S, M) their ends.
        residuals: (S,) largest relative residual of each.
        found: (S,) whether the end is a root.
    """

    points: Floats
    residuals: Floats
    found: NDArray[np.bool_]


def find_roots(plan: Plan, values: Floats, starts: Floats) -> Roots:
    """Searches for x with I(x) = values by Levenberg and Marquardt's method with exact Jacobians, side by side.

    Args:
        plan: independent invariants.
        values: (B,) what they shall be.
        starts: (S, M) where the searches begin.
    """
    scale = np.abs(values) + np.sqrt(np.mean(evaluate(plan, starts) ** 2, axis=0))
    points, damping = starts.copy(), np.full(len(starts), 1e-2)
    residuals = (evaluate(plan, points) - values) / scale
    active = np.arange(len(starts))
    for _ in range(_STEPS):
        size = np.abs(residuals[active]).max(axis=1)
        active = active[(size > _CLOSE) & (damping[active] < _HOPELESS)]
        if not len(active):
            break
        slopes = jacobian(plan, points[active]) / scale[:, None]
        trial = points[active] - _step(slopes, residuals[active], damping[active])
        left = (evaluate(plan, trial) - values) / scale
        better = np.linalg.norm(left, axis=1) < np.linalg.norm(residuals[active], axis=1)
        points[active[better]], residuals[active[better]] = trial[better], left[better]
        damping[active] *= np.where(better, 0.2, 5.0)
    size = np.abs(residuals).max(axis=1)
    return Roots(points, size, size <= _CLOSE)


def _step(slopes: Floats, residuals: Floats, damping: Floats) -> Floats:
    """Least-norm damped step J^T (J J^T + lambda)^-1 r: rotations, which change nothing, are not taken."""
    normal = slopes @ slopes.transpose(0, 2, 1)
    mean = np.trace(normal, axis1=1, axis2=2) / normal.shape[1]
    normal += (damping * mean + 1e-300)[:, None, None] * np.eye(normal.shape[1])
    return np.einsum("sbm,sb->sm", slopes, np.linalg.solve(normal, residuals[..., None])[..., 0])
