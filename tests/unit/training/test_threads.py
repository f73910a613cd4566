"""How many threads a training step gets."""

import pytest
import torch

from invarion.training.threads import threads_worth


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cost", "device", "used"),
    [(0.0, "cpu", 1), (648.0, "cpu", 1), (3999.0, "cpu", 1), (7000.0, "cpu", 3), (1e6, "cpu", 4), (10.0, "cuda", 4)],
)
def test_a_batch_gets_the_threads_that_it_is_worth(four_threads, cost, device, used):
    with threads_worth(cost, torch.device(device)):
        assert torch.get_num_threads() == used
    assert torch.get_num_threads() == 4


def test_threads_come_back_after_an_error(four_threads):
    with pytest.raises(RuntimeError, match="stopped"), threads_worth(10.0, torch.device("cpu")):
        raise RuntimeError("stopped")
    assert torch.get_num_threads() == 4
