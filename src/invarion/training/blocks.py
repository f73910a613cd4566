"""Least squares over more rows than memory holds: blocks of rows come, are reduced to a triangle, and go.

The triangle R of a QR factorisation of [X | y] holds all that least squares needs, and stacking two triangles and
factorising again merges them (TSQR). So memory does not grow with rows, nothing is squared, and a killed run goes on
from its last finished wave of blocks.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import scipy.linalg

from invarion.exceptions import InvarionError

Block = Callable[[], np.ndarray]
"""Makes one block of rows [X | y], (m, P + 1) float64; must be picklable where a scheduler is used."""


class Factor(NamedTuple):
    """The triangle of all rows so far.

    Attributes:
        triangle: (P + 1, P + 1) upper triangular R of [X | y].
        n_rows: rows that went in.
    """

    triangle: np.ndarray
    n_rows: int


def factorise(rows: np.ndarray) -> Factor:
    """The triangle of one block of rows (m, P + 1).

    >>> factor = factorise(np.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> factor.n_rows, abs(factor.triangle[0]).round(1).tolist()
    (2, [5.0, 2.2])
    """
    width = rows.shape[1]
    padded = rows if len(rows) >= width else np.concatenate([rows, np.zeros((width - len(rows), width))])
    # the shape of the answer depends on `mode`, which its stub does not say
    (triangle,) = cast(tuple[np.ndarray], scipy.linalg.qr(padded, mode="r", overwrite_a=True, check_finite=False))
    return Factor(np.triu(triangle[:width]), len(rows))


def merge(one: Factor, two: Factor) -> Factor:
    """The triangle of the rows of both."""
    stacked = factorise(np.concatenate([one.triangle, two.triangle]))
    return Factor(stacked.triangle, one.n_rows + two.n_rows)


def factorise_blocks(
    blocks: Sequence[Block],
    n_columns: int,
    scheduler: str | None = None,
    folder: str | Path | None = None,
    key: str = "",
    progress: bool = False,
) -> Factor:
    """The triangle of all blocks, merged in their order, so that the result does not depend on who computed what.

    Args:
        blocks: makers of rows; each is called once.
        n_columns: P + 1.
        scheduler: address of a Dask scheduler whose workers make and factorise the blocks; in this process if None.
        folder: where to keep the triangle after every wave of blocks; a run with the same key goes on from there.
        key: what the rows are made from; a folder that holds another key is refused.
        progress: whether to show a bar on stderr.

    Raises:
        InvarionError: the folder holds another fit, or Dask is needed and absent.
    """
    keeper = _Keeper(Path(folder), key, len(blocks)) if folder is not None else None
    total, done = (keeper.read(n_columns) if keeper else None) or (Factor(np.zeros((n_columns,) * 2), 0), 0)
    with _runner(scheduler) as run, _bar(progress, len(blocks), done) as advance:
        while done < len(blocks):
            wave = blocks[done : done + run.width]
            for factor in run(wave):
                total = merge(total, factor)
                advance()
            done += len(wave)
            if keeper:
                keeper.write(total, done)
    return total


def factorise_block(block: Block) -> Factor:
    """The triangle of one block; what a worker runs."""
    return factorise(block())


class _Keeper:
    """The triangle on disk and how many blocks are in it; replaced as a whole, so that a kill leaves the last one."""

    def __init__(self, folder: Path, key: str, n_blocks: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._about = folder / "factor.npz", {"key": key, "n_blocks": n_blocks}

    def read(self, n_columns: int) -> tuple[Factor, int] | None:
        if not self._path.exists():
            return None
        with np.load(self._path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about != self._about or len(stored["triangle"]) != n_columns:
                raise InvarionError(
                    f"{self._path} belongs to another fit (other data, settings or version); "
                    "give another folder, or delete this one to start again"
                )
            return Factor(stored["triangle"], int(stored["n_rows"])), int(stored["done"])

    def write(self, factor: Factor, done: int) -> None:
        temporary = self._path.with_name("factor.part.npz")
        fields = {"triangle": factor.triangle, "n_rows": factor.n_rows, "done": done}
        np.savez(temporary, about=json.dumps(self._about), **fields)
        temporary.replace(self._path)


class _Local:
    """Blocks one after another in this process."""

    width = 1

    def __call__(self, blocks: Sequence[Block]) -> Iterator[Factor]:
        return map(factorise_block, blocks)


class _Distributed:
    """A wave of blocks on a Dask cluster, at most two per worker thread in flight."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.width = 2 * max(1, sum(client.nthreads().values()))

    def __call__(self, blocks: Sequence[Block]) -> Iterator[Factor]:
        futures = [self._client.submit(factorise_block, block, pure=False) for block in blocks]
        for place, future in enumerate(futures):
            yield future.result()
            futures[place] = None


def _runner(scheduler: str | None) -> Any:
    if scheduler is None:
        return nullcontext(_Local())
    try:
        from distributed import Client
    except ImportError as error:
        raise InvarionError("a scheduler was given, but Dask is absent; pip install 'invarion[fit]'") from error
    return _Connection(Client(scheduler))


class _Connection:
    """Closes the connection to the cluster, not the cluster."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __enter__(self) -> _Distributed:
        return _Distributed(self._client)

    def __exit__(self, *failure: object) -> None:
        self._client.close()


def _bar(progress: bool, total: int, done: int) -> Any:
    return _Bar(total, done) if progress else nullcontext(lambda: None)


class _Bar:
    """A bar on stderr that moves by one block at a time."""

    def __init__(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("blocks of rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("blocks", total=total, completed=done)

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *failure: object) -> None:
        self._progress.stop()
