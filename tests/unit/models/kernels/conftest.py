"""What tests of kernels share."""

import pytest
import torch

from invarion.models.kernels import threads


@pytest.fixture
def many_threads(monkeypatch):
    """Three threads for any amount of work, and the caller's number restored."""
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_WORTHWHILE", 0)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
