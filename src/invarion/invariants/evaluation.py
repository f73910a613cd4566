"""Values of a basis for numpy arrays and torch tensors."""

from typing import Any

import numpy as np

from invarion.invariants.basis import InvariantBasis
from invarion.invariants.fields import Reals
from invarion.invariants.gradients import values


def evaluate(basis: InvariantBasis, tensors: Any) -> Any:
    """(..., B) values of (..., M) packed components."""
    if not isinstance(tensors, np.ndarray):
        raise NotImplementedError("torch")
    flat = values(basis.invariants, basis.ranks, tensors.reshape(-1, basis.dimension), Reals())
    return flat.reshape((*tensors.shape[:-1], len(basis)))
