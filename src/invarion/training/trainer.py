"""Lightning's trainer without what this package does itself, and a process left as it was found."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy
from typing_extensions import override

from invarion.training.checkpoints import AtomicCheckpointIO
from invarion.training.options import TrainOptions
from invarion.training.processes import Processes

_LOUD = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")


class NoProfiler(PassThroughProfiler):
    """Measures nothing at no cost: Lightning's own makes a context manager for each of some forty calls per step."""

    _nothing: AbstractContextManager[None] = nullcontext()

    @override
    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]  # wider than a generator
        """A context that does nothing."""
        return self._nothing


def make_trainer(
    options: TrainOptions,
    device: torch.device,
    everyone: Processes,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    folder: Path,
) -> pl.Trainer:
    """A trainer that does nothing per step but the step.

    Args:
        options: of the run.
        device: where to train.
        everyone: the processes.
        callbacks: in the order of their hooks.
        loggers: of the trackers.
        folder: of the run.
    """
    several = everyone.size > 1
    environment: ClusterEnvironment = TorchElasticEnvironment() if several else LightningEnvironment()
    return pl.Trainer(
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=_devices(device, everyone),
        num_nodes=everyone.size // everyone.local_size,
        strategy=DDPStrategy(find_unused_parameters=True, broadcast_buffers=False) if several else "auto",
        plugins=[AtomicCheckpointIO(), environment],
        max_epochs=-1 if options.max_epochs is None else options.max_epochs,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        default_root_dir=folder,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
        profiler=NoProfiler(),
        use_distributed_sampler=False,
    )


@contextmanager
def left_as_found() -> Iterator[None]:
    """Whatever Lightning changes in the process is put back: warnings, log levels, signals, random state, grad mode."""
    levels = {name: logging.getLogger(name).level for name in _LOUD}
    interrupt = signal.getsignal(signal.SIGINT)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    grad = torch.is_grad_enabled()
    try:
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.random.fork_rng(devices=devices):
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        torch.set_grad_enabled(grad)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if threading.current_thread() is threading.main_thread() and interrupt is not None:
            signal.signal(signal.SIGINT, interrupt)


def _devices(device: torch.device, everyone: Processes) -> Any:
    if everyone.size > 1 or device.type == "cpu":
        return everyone.local_size
    return [device.index or 0]
