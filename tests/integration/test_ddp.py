"""Two processes train as one does on the same global batches."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ddp_run import OPTIONS, run

HERE = Path(__file__).parent


def torchrun(folder: Path, *arguments: str) -> None:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(HERE / "ddp_run.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    command += [str(folder), *arguments]
    subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True, timeout=300)


def log(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v and k != "time_s"} for row in csv.DictReader(file)]


def test_two_processes_equal_one_and_can_be_resumed(tmp_path):
    torchrun(tmp_path / "two", "3")
    torchrun(tmp_path / "two", "5", "resume")
    alone = run(tmp_path / "one").state_dict()
    first, second = (torch.load(tmp_path / "two" / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    deviation = max(float((first[name] - alone[name]).abs().max()) for name in alone)
    assert deviation <= 1e-8
    for mine, theirs in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-8)


def test_two_processes_end_together_when_the_time_is_up(tmp_path):
    torchrun(tmp_path, "100000", "briefly")
    first, second = (torch.load(tmp_path / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(log(tmp_path)) < 100000


def test_the_comparison_can_tell_runs_apart(tmp_path):
    one, other = (run(tmp_path / str(s), OPTIONS.model_copy(update={"seed": s})).state_dict() for s in (0, 1))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) > 1e-4
