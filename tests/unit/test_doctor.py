"""What the doctor says is what happens."""

import pytest
import torch

from invarion.doctor import examine
from invarion.models import environment


@pytest.fixture(autouse=True)
def one_thread():
    """Timing on two threads of a busy machine takes minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_says_which_path_runs_and_how_fast():
    report = examine()
    assert report["path"] == ("numba" if environment.runs_fused(torch.empty(0)) else "torch")
    assert report["threads"] == 1
    assert report["versions"]["torch"] == torch.__version__
    assert report["vector_bits"] in (128, 256, 512)
    assert 1 < report["microseconds_per_atom"] < 1e6


def test_says_why_the_plain_path_runs(monkeypatch):
    monkeypatch.setattr(environment, "_numba_found", lambda: False)
    report = examine()
    assert (report["path"], report["why"]) == ("torch", "numba is not installed")
    assert report["vector_bits"] is None


def test_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    examine()
    assert torch.equal(before, torch.random.get_rng_state())
