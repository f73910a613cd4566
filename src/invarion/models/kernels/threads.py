"""Compiled loops on several cores: ranges of rows of equal work, handed to as many threads as torch may use.

The loops release the interpreter's lock, so plain threads are enough; numba's own thread pool would bring a global
number of threads and a lock-up where two Python threads meet. Each row is computed whole by one thread: the numbers do
not depend on how many threads there are.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch

_WORTHWHILE = 500_000  # multiplications below which a second thread costs more than it saves
_PARTS = 4  # ranges per thread, so that a core that is disturbed does not hold up the others


def spread(kernel: Callable[..., None], rows: int | np.ndarray, work: int, arguments: tuple[Any, ...]) -> None:
    """Call kernel(first, last, *arguments) over ranges that cover all rows.

    Args:
        kernel: a compiled loop that writes nothing outside its rows and holds no interpreter lock.
        rows: how many rows of equal work; or (rows + 1,) where the edges of each begin, so that ranges have about equal
            numbers of edges.
        work: multiplications in all, by which it is decided whether threads are worth their start.
        arguments: what the loop takes besides.
    """
    threads = torch.get_num_threads()
    if threads == 1 or work < _WORTHWHILE:
        kernel(0, rows if isinstance(rows, int) else rows.size - 1, *arguments)
        return
    ranges = iter(pairwise(_bounds(rows, _PARTS * threads)))
    helpers = [_pool(threads - 1).submit(_drain, kernel, ranges, arguments) for _ in range(threads - 1)]
    _drain(kernel, ranges, arguments)
    for helper in helpers:
        helper.result()


def _drain(kernel: Callable[..., None], ranges: Any, arguments: tuple[Any, ...]) -> None:
    """Take the next range until there is none; taking from a shared iterator is atomic under the interpreter's lock."""
    for first, last in ranges:
        kernel(first, last, *arguments)


def _bounds(pointers: int | np.ndarray, parts: int) -> list[int]:
    """Rows at which to cut so that every part has about the same number of edges (plus one per row)."""
    if isinstance(pointers, int):
        return sorted({pointers * part // parts for part in range(parts + 1)})
    rows = pointers.size - 1
    load = pointers + np.arange(rows + 1)
    cuts = np.searchsorted(load, np.linspace(0, load[-1], parts + 1)[1:-1])
    return sorted({0, *cuts.tolist(), rows})


@lru_cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="invarion")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: the child makes its own
    os.register_at_fork(after_in_child=_pool.cache_clear)
