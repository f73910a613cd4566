"""Exact gradients of ACE functions with respect to the A-basis values, modulo a prime."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from invarion.geometry.couplings import couple
from invarion.invariants.fields import PrimeField
from invarion.models.ace.enumeration import Coupled, Slot
from invarion.models.ace.plan import Half, halves


def slot_layout(functions: Sequence[Coupled]) -> dict[Slot, slice]:
    """Where each slot that occurs lies in a vector of scaled A-basis values, m = -l..l; slots in ascending order."""
    slots = sorted({slot for function in functions for slot in function.slots})
    ends = np.cumsum([0, *(2 * slot.rank + 1 for slot in slots)]).tolist()
    return {slot: slice(a, b) for slot, (a, b) in zip(slots, pairwise(ends), strict=True)}


def gradients_modulo(functions: Sequence[Coupled], point: np.ndarray, field: PrimeField) -> np.ndarray:
    """Gradients of functions at a point, in the scaled coordinates of `invarion.geometry.couplings`.

    Those coordinates are a linear change of the A-basis values over the complex numbers and every function gets one
    factor, so that ranks are the same as for the functions themselves.

    Args:
        functions: B functions.
        point: (M,) residues, packed as `slot_layout(functions)` says.
        field: the arithmetic.

    Returns:
        (B, M) residues.
    """
    layout = slot_layout(functions)
    known: dict[Half, tuple[np.ndarray, np.ndarray]] = {}
    rows = np.zeros((len(functions), len(point)), dtype=np.int64)
    for row, function in enumerate(functions):
        left, right = halves(function)
        for half in (left, right):
            if half not in known:
                known[half] = _half(half, layout, point, field)
        rows[row] = _dot_gradient(left.rank, known[left], known[right], field.prime)
    return rows


def _half(half: Half, layout: dict[Slot, slice], point: np.ndarray, field: PrimeField) -> tuple[np.ndarray, np.ndarray]:
    """Values (2L+1,) and gradients (2L+1, M) of one factor of a function."""
    width, p = 2 * half.rank + 1, field.prime
    values, slopes = np.zeros(width, np.int64), np.zeros((width, len(point)), np.int64)
    places = [layout[slot] for slot in half.slots]
    if not places:
        values[0] = 1
    elif len(places) == 1:
        values[:] = point[places[0]]
        slopes[np.arange(width), np.arange(places[0].start, places[0].stop)] = 1
    else:
        one, two = half.slots
        for (m1, m2), number in couple(one.rank, two.rank, half.rank).numbers.items():
            m, i, j = m1 + m2 + half.rank, places[0].start + m1 + one.rank, places[1].start + m2 + two.rank
            number %= p
            values[m] = (values[m] + number * (point[i] * point[j] % p)) % p
            slopes[m, i] = (slopes[m, i] + number * point[j]) % p
            slopes[m, j] = (slopes[m, j] + number * point[i]) % p
    return values, slopes


def _dot_gradient(rank: int, left: tuple[np.ndarray, ...], right: tuple[np.ndarray, ...], prime: int) -> np.ndarray:
    """Gradient of the scalar product of two factors; m is paired with -m."""
    if not right[1].any():
        return left[1][0]
    numbers = couple(rank, rank, 0).numbers
    weights = np.array([numbers[m, -m] % prime for m in range(-rank, rank + 1)], dtype=np.int64)
    from_left = (weights * right[0][::-1] % prime)[:, None] * left[1] % prime
    from_right = (weights[::-1] * left[0][::-1] % prime)[:, None] * right[1] % prime
    return (from_left.sum(0) + from_right.sum(0)) % prime
