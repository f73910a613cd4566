"""The benchmark of bases runs at its smallest size and writes what it prints."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_smoke(tmp_path):
    results, plot = tmp_path / "bases.json", tmp_path / "bases.png"
    command = [sys.executable, str(BENCHMARKS / "bases.py"), "--smoke", "--growth"]
    done = subprocess.run([*command, "--json", results, "--plot", plot], capture_output=True, text=True, check=True)
    data = json.loads(results.read_text())
    assert [row["members"] for row in data["goals"][:2]] == [13, 22]
    assert set(data["growth"]) == {"rank", "degree", "channels"}
    assert "ranks <= 3, degree <= 4" in done.stdout
    assert plot.stat().st_size > 1000
