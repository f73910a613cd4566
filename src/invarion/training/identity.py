"""What a run depends on besides its state: a run that is taken up again must be the same run."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from invarion.files import plain, to_json
from invarion.training.batches import PackedSet
from invarion.training.options import TrainOptions

_FREE = frozenset({"max_epochs", "max_minutes", "dtype", "device", "trackers", "progress"})
"""Options that may change when a run goes on: how long it is, where it runs and what it shows."""


def identify(
    config: Any,
    species: Sequence[int],
    dtype: torch.dtype,
    options: TrainOptions,
    train: PackedSet,
    valid: PackedSet | None,
) -> dict[str, Any]:
    """Plain values that must be equal for a run to go on.

    Args:
        config: the model's settings.
        species: atomic numbers that it knows.
        dtype: of the training.
        options: of the run.
        train: the training set.
        valid: the validation set, if there is one.
    """
    kind = getattr(config, "kind", type(config).__name__)
    return {
        "model": f"{kind} with settings {hashlib.sha256(to_json(config).encode()).hexdigest()[:16]}",
        "species": list(species),
        "dtype": str(dtype).removeprefix("torch."),
        "training set": train.fingerprint(),
        "validation set": "none" if valid is None else valid.fingerprint(),
        **{name: plain(value) for name, value in options.model_dump(mode="json").items() if name not in _FREE},
    }
