"""The benchmarks of speed run at their smallest size and write what they measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def measured(tmp_path):
    def run(script, *arguments):
        command = [sys.executable, BENCHMARKS / script, "--smoke", "--json", tmp_path / "out.json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "out.json").read_text())

    return run


def test_roofline(measured, tmp_path):
    found = measured("roofline.py", "--table", tmp_path / "table.md")
    assert min(found["peaks"].values()) > 0
    (result,) = found["results"]
    assert len(result["stages"]) == 8 * 3
    assert all(min(row["multiply_adds_per_atom"], row["us_per_atom"]) > 0 for row in result["stages"])
    assert "environment sum" in (tmp_path / "table.md").read_text()


def test_molecular_dynamics(measured):
    for run in measured("md_speed.py")["results"]:
        assert 0 < run["list_share"] + run["graph_share"] < 1


def test_scaling(measured):
    points = [point for sweep in measured("scaling.py")["sweeps"].values() for point in sweep]
    assert all(point["us_per_atom"] > 0 for point in points)


def test_training_steps(measured):
    (result,) = measured("train_throughput.py")["results"]
    assert result["ms_per_step"] > 0


def test_speed(measured, tmp_path):
    results = measured("speed.py", "--packages", "invarion", "--table", tmp_path / "table.md")["results"]
    assert [result["mode"] for result in results] == ["infer", "train"]
    assert all(result["us_per_atom"] > 0 for result in results)
