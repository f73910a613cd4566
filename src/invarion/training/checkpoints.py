"""The last checkpoint: everything that a run needs to go on, written whole or not at all, read without pickled code."""

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from invarion.exceptions import InvarionError
from invarion.files import write_atomically
from invarion.training.failures import TrainingError
from invarion.training.module import TrainingModule

FORMAT = 1
"""Number of the form of what this package adds to Lightning's checkpoints."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes to a temporary file in the same folder and renames it: whatever happens, the last good file is there."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: the disk is full or the folder cannot be written; the checkpoint that was there still is.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_atomically(path, content.getvalue())
        except InvarionError as error:
            state = "the one of the epoch before is intact, resume from it" if Path(path).is_file() else "there is none"
            raise TrainingError(f"the checkpoint of epoch {checkpoint['epoch'] + 1}: {error}; {state}") from error

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint; tensors and plain values only, never code."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


class LastCheckpoint(Checkpoint):
    """Writes the checkpoint at the end of every epoch, after everything else has had its say.

    Args:
        path: of the file.
        identity: what the run depends on besides its state, plain values; a run that resumes must have the same.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._identity = dict(identity)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it, unless the weights have become useless."""
        if isinstance(pl_module, TrainingModule):
            pl_module.check_weights()
        trainer.save_checkpoint(self._path)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what `check_identity` compares."""
        checkpoint["invarion"] = {"format": FORMAT, "identity": self._identity}


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a checkpoint that `train` has written.

    Args:
        path: of `last.ckpt`.

    Raises:
        TrainingError: it is missing, damaged, or not of this package.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{path} is not there: nothing to resume; start the run without resume") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first = str(error).strip().partition("\n")[0]
        raise TrainingError(f"{path} is damaged or not a checkpoint ({first}); start anew in another folder") from error
    number = content.get("invarion", {}).get("format") if isinstance(content, dict) else None
    if number != FORMAT:
        raise TrainingError(f"{path} is not a checkpoint of this version (its format is {number}, not {FORMAT})")
    return content


def check_identity(checkpoint: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse to go on with another model, other data or other options than the run began with.

    Args:
        checkpoint: what `read_checkpoint` returned.
        identity: of the run that wants to go on.

    Raises:
        TrainingError: names what differs.
    """
    before = checkpoint["invarion"]["identity"]
    other = sorted(key for key in {*before, *identity} if before.get(key) != identity.get(key))
    if other:
        changes = "; ".join(f"{key} was {_short(before.get(key))} and is {_short(identity.get(key))}" for key in other)
        raise TrainingError(
            f"cannot resume: {changes}; give the run what it began with (max_epochs and max_minutes may change), "
            "or start a new one in another folder"
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
