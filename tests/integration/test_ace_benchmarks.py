"""The ACE benchmark scripts run, at their smallest size, and say what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--smoke", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_large_fit_finds_what_made_the_rows(tmp_path):
    run("large_fit.py", "--out", str(tmp_path / "fit.json"))
    found = json.loads((tmp_path / "fit.json").read_text())
    assert found["rows"] == 20_000
    assert found["noise_found"] == pytest.approx(0.1, rel=0.02)
    assert found["largest_deviation_in_standard_errors"] < 5.0


def test_speed_is_measured_with_and_without_the_rival(tmp_path):
    run("ace_speed.py", "--out", str(tmp_path / "speed.json"))
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found["functions"]["reduced 45 (N = 3, L = 3)"] == 45
    assert all(value > 0 for value in found["microseconds_per_atom"].values())


@pytest.mark.slow
def test_the_comparison_runs_every_case(shared, tmp_path):
    text = run("reduced_ace.py", "--out", str(tmp_path))
    for case in "abcdefg":
        assert f"({case})" in text
    assert (tmp_path / "reduced_ace.png").stat().st_size > 10_000
    before = {path: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    for path, found in before.items():
        path.write_text(json.dumps(found | {"microseconds_per_atom": -1.0}))
    run("reduced_ace.py", "--out", str(tmp_path), "--costs")
    for path, found in before.items():
        again = json.loads(path.read_text())
        assert again["microseconds_per_atom"] > 0
        assert again["test"] == found["test"]
