"""Processes that train together: who they are (torchrun says so), and the one sum that they exchange."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number.
        size: how many there are.
        local_size: how many of them are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over processes; the tensor itself is left as it is."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total


def processes() -> Processes:
    """What torchrun says of this process; one alone where torchrun has not started it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Processes()
    return Processes(
        rank=int(os.environ["RANK"]),
        size=int(os.environ["WORLD_SIZE"]),
        local_size=int(os.environ["LOCAL_WORLD_SIZE"]),
    )
