"""The examples run from their files and show what their text says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """Errors by method and set, number of features first, as the example prints them."""
    figure = tmp_path_factory.mktemp("example") / "curves.png"
    command = [sys.executable, ROOT / "examples" / "qm7" / "plot_learning_curves.py", figure]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert figure.stat().st_size > 10_000
    rows = re.findall(r"^(kernel ridge|trees) +(\w+) +([\d. ]+)$", done.stdout, flags=re.MULTILINE)
    return {(method, name): [float(number) for number in row.split()] for method, name, row in rows}


def test_sizes_of_the_sets(curves):
    assert {name: row[0] for (_, name), row in curves.items()} == {"full": 360, "optimal": 77, "truncated": 77}


def test_learning_curves_fall(curves):
    assert len(curves) == 6
    for row in curves.values():
        assert row[-1] < row[-3] < row[1]


def test_the_optimal_set_learns_as_well_as_all_and_better_than_as_many(curves):
    for method in ("kernel ridge", "trees"):
        full, optimal, truncated = (curves[method, name][-1] for name in ("full", "optimal", "truncated"))
        assert optimal < 1.1 * full
        assert optimal < truncated
