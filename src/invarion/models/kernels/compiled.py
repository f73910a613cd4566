"""How loops are compiled: once per processor, kept on disk, free of the interpreter's lock.

Sums may be re-ordered when a loop is compiled, never from one run to the next; infinities and NaN keep their meaning.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel: called from Python, compiled for the types of its first call."""
    return njit(fastmath={"reassoc", "contract", "nsz"}, nogil=True, error_model="numpy", cache=True)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of kernels, which becomes part of each that calls it."""
    return njit(fastmath={"reassoc", "contract", "nsz"}, forceinline=True, error_model="numpy")(function)


@inlined
def scratch(like, size):
    """Zeros of an array's type from a cache line on: a vector across two lines is not forwarded from store to load."""
    per_line = 64 // like.itemsize
    raw = np.zeros(size + per_line, like.dtype)
    start = (-raw.ctypes.data // like.itemsize) % per_line
    return raw[start : start + size]
