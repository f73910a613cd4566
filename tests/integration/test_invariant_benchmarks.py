"""The benchmarks of invariants and descriptors run at their smallest size and write what they measured."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, *arguments):
    command = [sys.executable, BENCHMARKS / script, "--smoke", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_invariant_layer(tmp_path):
    run("invariant_layer.py", "--json", tmp_path / "out.json")
    results = json.loads((tmp_path / "out.json").read_text())
    assert min(results["milliseconds"].values()) > 0
    assert {"numba", "torch"} <= set(results["peak_megabytes"])
    assert results["versions"]["torch"]


def test_qm7(tmp_path, shared):
    run("qm7.py", shared / "data/qm7/qm7.extxyz", "--json", tmp_path / "out.json", "--figure", tmp_path / "out.png")
    (result,) = json.loads((tmp_path / "out.json").read_text())["sets"].values()
    assert result["kernel_ridge"]["mae_kcal_per_mol"]["120"] < 15
    assert (tmp_path / "out.png").stat().st_size > 10_000
