"""Rotations of vectors and of packed tensors, and the integer matrices of infinitesimal rotations."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import factorial

import numpy as np

from invarion.exceptions import ConfigError
from invarion.geometry.harmonics import component_slices, solid_harmonic
from invarion.geometry.stretched import stretched_table

_YZX = (1, 2, 0)


def random_rotation(rng: np.random.Generator, improper: bool = False) -> np.ndarray:
    """(3, 3) float64 rotation, uniform in SO(3); with `improper`, one of determinant -1."""
    w, x, y, z = _unit(rng.standard_normal(4))
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return -matrix if improper else matrix


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def wigner(matrix: np.ndarray, rank: int) -> np.ndarray:
    """How packed components of one rank turn when vectors turn by `matrix`.

    Args:
        matrix: (3, 3) orthogonal; a reflection acts with the tensor's natural parity (-1)^l.
        rank: l >= 0.

    Returns:
        (2l+1, 2l+1) orthogonal D with harmonics(R r) = D harmonics(r).

    Raises:
        ConfigError: the matrix is not (3, 3).

    Example:
        >>> bool(np.allclose(wigner(np.eye(3), 4), np.eye(9)))
        True
    """
    if matrix.shape != (3, 3):
        raise ConfigError(f"a rotation matrix must have shape (3, 3); got {matrix.shape}")
    turned, vector = np.ones((1, 1)), matrix[np.ix_(_YZX, _YZX)]
    for l in range(1, rank + 1):  # noqa: E741 - the letter of ranks
        table = stretched_table(l, l - 1)
        turned = np.einsum("mab,ac,bd,ncd->mn", table, turned, vector, table, optimize=True)
    return turned


def rotation_matrix(matrix: np.ndarray, ranks: Sequence[int]) -> np.ndarray:
    """(M, M) block matrix that turns tensors of these ranks packed end to end, M = sum of 2l+1."""
    slices = component_slices(ranks)
    result = np.zeros((slices[-1].stop,) * 2) if slices else np.zeros((0, 0))
    for rank, part in zip(ranks, slices, strict=True):
        result[part, part] = wigner(matrix, rank)
    return result


@cache
def generators(rank: int) -> tuple[tuple[tuple[Fraction, ...], ...], ...]:
    r"""Infinitesimal rotations about x, y, z in integer harmonic coordinates, exact.

    Column m of generator a holds the coordinates of $L_a S_{lm}$, with $L_z = x \partial_y - y \partial_x$ and cyclic.

    Returns:
        Three (2l+1, 2l+1) matrices of fractions.
    """
    polynomials = [{t[:3]: t[3] for t in solid_harmonic(rank, m)} for m in range(-rank, rank + 1)]
    matrices = []
    for first, second in ((1, 2), (2, 0), (0, 1)):
        columns = [_coordinates(_rotate(p, first, second), polynomials) for p in polynomials]
        matrices.append(tuple(zip(*columns, strict=True)))
    return tuple(matrices)


def _rotate(polynomial: dict, first: int, second: int) -> dict:
    """x_first d/dx_second - x_second d/dx_first of a polynomial."""
    result: dict = {}
    for up, down, sign in ((first, second, 1), (second, first, -1)):
        for power, value in polynomial.items():
            if power[down]:
                moved = list(power)
                moved[down] -= 1
                moved[up] += 1
                result[tuple(moved)] = result.get(tuple(moved), 0) + sign * power[down] * value
    return result


def _coordinates(polynomial: dict, family: list[dict]) -> list[Fraction]:
    """Expansion of a harmonic polynomial in the integer harmonics of its rank, which are orthogonal."""
    return [Fraction(_pair(polynomial, member), _pair(member, member)) for member in family]


def _pair(left: dict, right: dict) -> int:
    """Apolar product: sum of a_ijk b_ijk i! j! k!."""
    common = left.keys() & right.keys()
    return sum(left[p] * right[p] * factorial(p[0]) * factorial(p[1]) * factorial(p[2]) for p in common)
