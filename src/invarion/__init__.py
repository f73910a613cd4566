"""invarion: smallest complete sets of rotation invariants, with proof, and interatomic potentials made of them.

The root is lazy (PEP 562): a name is imported when it is first used, so `import invarion` costs milliseconds and
`import invarion.invariants` needs numpy only.
"""

from importlib import import_module
from types import MappingProxyType
from typing import Any

__version__ = "0.1.0"

_ROOMS = MappingProxyType(
    {
        "InvariantBasis": "invarion.invariants",
        "ambiguity": "invarion.invariants",
        "flexible_basis": "invarion.invariants",
        "optimal_basis": "invarion.invariants",
        "published_basis": "invarion.invariants",
        "separating_basis": "invarion.invariants",
        "read": "invarion.data",
        "split": "invarion.data",
        "Graph": "invarion.graphs",
        "graph": "invarion.neighbors",
        "Potential": "invarion.potential",
        "Prediction": "invarion.potential",
        "ace": "invarion.models",
        "ace_basis": "invarion.models",
        "hip_hop_nn": "invarion.models",
        "hip_nn": "invarion.models",
        "hip_nn_ts": "invarion.models",
        "convert_hippynn": "invarion.models",
        "committee": "invarion.committees",
        "load": "invarion.checkpoint",
        "save": "invarion.checkpoint",
        "Calculator": "invarion.engines.ase",
        "InvariantDescriptor": "invarion.engines.sklearn",
        "export_yace": "invarion.engines.yace",
        "TrainOptions": "invarion.training",
        "fit": "invarion.training",
        "train": "invarion.training",
        "InvarionError": "invarion.exceptions",
    }
)

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'invarion' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
