"""Training: gradient descent (`train`, `TrainOptions`) and linear solves (`fit`); nothing is imported before use."""

from importlib import import_module
from types import MappingProxyType
from typing import Any

_PLACES = MappingProxyType(
    {
        "LossMix": "invarion.training.options",
        "TrainOptions": "invarion.training.options",
        "TrainingError": "invarion.training.failures",
        "TrainingInterrupted": "invarion.training.failures",
        "FitOptions": "invarion.training.linear",
        "fit": "invarion.training.linear",
        "solve": "invarion.training.linear",
        "train": "invarion.training.run",
    }
)

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'invarion.training' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
