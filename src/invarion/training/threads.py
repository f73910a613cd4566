"""How many threads a training step is worth."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORTH = 2000  # edges and atoms of a batch that are worth a thread; steps of less are slower with it than without


@contextmanager
def threads_worth(cost: float, device: torch.device) -> Iterator[None]:
    """Within, torch and the kernels use no more threads than a batch is worth: a rule, so that runs can be repeated.

    Of small batches nothing is gained by sharing an operation out, and every start of a thread is lost.

    Args:
        cost: edges and atoms of a batch in this process.
        device: where training takes place; nothing is changed for others than the CPU.

    >>> with threads_worth(500, torch.device("cpu")):
    ...     torch.get_num_threads()
    1
    """
    allowed = torch.get_num_threads()
    used = max(1, min(allowed, int(cost) // _WORTH))
    if device.type != "cpu" or used == allowed:
        yield
        return
    logging.getLogger(__name__).info("batches of %d edges and atoms: %d of %d threads", cost, used, allowed)
    torch.set_num_threads(used)
    try:
        yield
    finally:
        torch.set_num_threads(allowed)
