"""Irreducible (symmetric traceless) Cartesian tensors and their packed components, for any rank."""

from functools import cache
from math import factorial

import numpy as np

from invarion.exceptions import ConfigError
from invarion.geometry.harmonics import solid_harmonic
from invarion.geometry.stretched import inverse_lengths


@cache
def integer_cartesian_basis(rank: int) -> np.ndarray:
    """(2l+1, 3, ..., 3) int64: l! times the symmetric tensors of the integer harmonics, exact.

    Example:
        >>> integer_cartesian_basis(2)[2].tolist()
        [[-2, 0, 0], [0, -2, 0], [0, 0, 4]]
    """
    if rank < 0:
        raise ConfigError(f"rank is {rank}; it must be 0 or larger")
    powers = np.stack([(np.indices((3,) * rank) == axis).sum(0) for axis in range(3)], -1)
    basis = np.zeros((2 * rank + 1, *(3,) * rank), dtype=np.int64)
    for order in range(-rank, rank + 1):
        for i, j, k, value in solid_harmonic(rank, order):
            here = (powers == (i, j, k)).all(-1)
            basis[order + rank] += here * (value * factorial(i) * factorial(j) * factorial(k))
    basis.flags.writeable = False
    return basis


@cache
def cartesian_basis(rank: int) -> np.ndarray:
    """(2l+1, 3, ..., 3) float64: orthonormal basis of the symmetric traceless tensors of one rank, order m = -l..l.

    Example:
        >>> basis = cartesian_basis(3).reshape(7, -1)
        >>> bool(np.allclose(basis @ basis.T, np.eye(7)))
        True
    """
    lengths = inverse_lengths(rank).reshape(-1, *(1,) * rank)
    basis = integer_cartesian_basis(rank) / factorial(rank) * lengths
    basis.flags.writeable = False
    return basis


def unpack(components: np.ndarray, rank: int) -> np.ndarray:
    """Symmetric traceless Cartesian tensors of packed components.

    Args:
        components: (..., 2l+1) float.
        rank: l >= 0.

    Returns:
        (..., 3, ..., 3) with l trailing axes of x, y, z; full contraction with itself: the components' squared sum.

    Raises:
        ConfigError: the last axis is not 2l+1 long.
    """
    if components.shape[-1] != 2 * rank + 1:
        raise ConfigError(
            f"last axis is {components.shape[-1]} long; a tensor of rank {rank} has {2 * rank + 1} components"
        )
    return np.tensordot(components, cartesian_basis(rank), axes=1)


def pack(tensors: np.ndarray, rank: int) -> np.ndarray:
    """Packed components of the symmetric traceless part of Cartesian tensors.

    Args:
        tensors: (..., 3, ..., 3), l trailing axes of x, y, z; any tensor, its other parts are projected away.
        rank: l >= 0.

    Returns:
        (..., 2l+1) float, order m = -l..l.

    Example:
        >>> pack(np.array([1.0, 2.0, 3.0]), 1).tolist()
        [2.0, 3.0, 1.0]
    """
    if tensors.shape[tensors.ndim - rank :] != (3,) * rank:
        raise ConfigError(f"the last {rank} axes must be 3 long each; the shape is {tensors.shape}")
    axes = tuple(range(tensors.ndim - rank, tensors.ndim))
    return np.tensordot(tensors, cartesian_basis(rank), axes=(axes, tuple(range(1, rank + 1))))
