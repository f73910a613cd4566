"""What a run depends on besides its state: a run that is taken up again must be the same run."""

import hashlib
from typing import Any

import torch
from torch import Tensor

from invarion.files import plain, to_json
from invarion.potential import Potential
from invarion.training.batches import PackedSet
from invarion.training.options import TrainOptions

_FREE = frozenset({"max_epochs", "max_minutes", "dtype", "device", "trackers", "progress"})
"""Options that may change when a run goes on: how long it is, where it runs and what it shows."""

_DIGITS = 6  # of eV: a fit of references to the same data is the same, but for rounding
_FIGURES = 5  # the same of the size of fitted coefficients


def identify(
    potential: Potential,
    dtype: torch.dtype,
    options: TrainOptions,
    train: PackedSet,
    valid: PackedSet | None,
) -> dict[str, Any]:
    """Plain values that must be equal for a run to go on.

    Args:
        potential: whose settings, species, reference energies, scale and pair potential count.
        dtype: of the training.
        options: of the run.
        train: the training set.
        valid: the validation set, if there is one.
    """
    config = potential.config
    kind = getattr(config, "kind", type(config).__name__)
    return {
        "model": f"{kind} with settings {hashlib.sha256(to_json(config).encode()).hexdigest()[:16]}",
        "species": list(potential.species),
        "reference energies": [round(each, _DIGITS) for each in potential.references.tolist()],
        "scale": round(float(potential.scale), _DIGITS),
        "pair potential": [f"{float(each.norm()):.{_FIGURES}g}" for each in _fitted(potential)],
        "dtype": str(dtype).removeprefix("torch."),
        "training set": train.fingerprint(),
        "validation set": "none" if valid is None else valid.fingerprint(),
        **{name: plain(value) for name, value in options.model_dump(mode="json").items() if name not in _FREE},
    }


def _fitted(potential: Potential) -> list[Tensor]:
    """What of the pair potential was fitted to data."""
    return [] if potential.pairs is None else list(potential.pairs.state_dict().values())
