"""Streamed least squares: the same triangle whoever computes it, whatever dies on the way."""

import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from invarion.exceptions import InvarionError
from invarion.training.blocks import factorise, factorise_blocks, merge


def make_rows(seed, n_rows=200, n_columns=12):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, n_columns)) * np.logspace(0, -6, n_columns)
    return np.column_stack([rows, rows @ np.arange(n_columns) + 1e-3 * rng.normal(size=n_rows)])


def blocks(n=7, **sizes):
    return [partial(make_rows, seed, **sizes) for seed in range(n)]


def gram(factor):
    return factor.triangle.T @ factor.triangle


def test_triangle_holds_what_least_squares_needs():
    everything = np.concatenate([block() for block in blocks()])
    factor = factorise_blocks(blocks(), 13)
    assert factor.n_rows == len(everything)
    np.testing.assert_allclose(gram(factor), everything.T @ everything, rtol=1e-9, atol=1e-12)
    weights = np.linalg.lstsq(everything[:, :-1], everything[:, -1], rcond=None)[0]
    found = np.linalg.solve(factor.triangle[:-1, :-1], factor.triangle[:-1, -1])
    np.testing.assert_allclose(found, weights, rtol=1e-6)


def test_short_and_empty_blocks_are_taken():
    parts = [factorise(make_rows(0, n_rows=3)), factorise(np.zeros((0, 13))), factorise(make_rows(1, n_rows=40))]
    total = merge(merge(parts[0], parts[1]), parts[2])
    everything = np.concatenate([make_rows(0, n_rows=3), make_rows(1, n_rows=40)])
    assert total.n_rows == 43
    np.testing.assert_allclose(gram(total), everything.T @ everything, rtol=1e-10, atol=1e-14)


class Fails:
    """A block whose maker dies."""

    def __call__(self):
        raise KeyboardInterrupt


def test_a_stopped_run_goes_on_without_repeating_blocks(tmp_path):
    made = []

    def note(seed):
        made.append(seed)
        return make_rows(seed)

    with pytest.raises(KeyboardInterrupt):
        factorise_blocks([partial(note, 0), partial(note, 1), Fails(), partial(note, 3)], 13, folder=tmp_path, key="a")
    whole = [partial(note, seed) for seed in range(4)]
    resumed = factorise_blocks(whole, 13, folder=tmp_path, key="a")
    assert made == [0, 1, 2, 3]
    np.testing.assert_array_equal(resumed.triangle, factorise_blocks(blocks(4), 13).triangle)


def test_a_folder_of_another_fit_is_refused(tmp_path):
    factorise_blocks(blocks(2), 13, folder=tmp_path, key="a")
    with pytest.raises(InvarionError, match="another fit"):
        factorise_blocks(blocks(2), 13, folder=tmp_path, key="b")


KILLED = """
import os, signal, sys
from functools import partial
sys.path.insert(0, {here!r})
from test_blocks import make_rows
from invarion.training.blocks import factorise_blocks

class Dies:
    def __call__(self):
        os.kill(os.getpid(), signal.SIGKILL)

factorise_blocks([partial(make_rows, 0), partial(make_rows, 1), Dies()], 13, folder={folder!r}, key="k")
"""


def test_a_killed_process_leaves_its_finished_blocks(tmp_path):
    script = KILLED.format(here=os.path.dirname(__file__), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    with np.load(tmp_path / "factor.npz") as stored:
        assert int(stored["done"]) == 2
    resumed = factorise_blocks(blocks(3), 13, folder=tmp_path, key="k")
    np.testing.assert_array_equal(resumed.triangle, factorise_blocks(blocks(3), 13).triangle)


def test_two_workers_of_a_cluster_give_the_same_bits():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra: fit)")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        found = factorise_blocks(blocks(9), 13, scheduler=cluster.scheduler_address)
    np.testing.assert_array_equal(found.triangle, factorise_blocks(blocks(9), 13).triangle)
