"""Rotation invariants of symmetric traceless tensors: complete, independent, flexible and separating sets, with proof.

Needs numpy only. Names are imported when they are first used.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invarion.invariants.basis import InvariantBasis as InvariantBasis
    from invarion.invariants.certificate import Certificate as Certificate
    from invarion.invariants.contractions import Contraction as Contraction
    from invarion.invariants.molien import molien_counts as molien_counts
    from invarion.invariants.optimal import optimal_basis as optimal_basis
    from invarion.invariants.published import published_basis as published_basis

_MODULES = MappingProxyType(
    {
        "Ambiguity": "completeness",
        "Certificate": "certificate",
        "Contraction": "contractions",
        "InvariantBasis": "basis",
        "Polynomial": "polynomial",
        "ambiguity": "completeness",
        "certify": "certificate",
        "conditioned_basis": "conditioned",
        "conditioning": "conditioned",
        "enumerate_contractions": "enumeration",
        "custom_basis": "custom",
        "flexible_basis": "flexible",
        "molien_counts": "molien",
        "optimal_basis": "optimal",
        "published_basis": "published",
        "separating_basis": "separating",
    }
)

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'invarion.invariants' has no attribute {name!r}")
    return getattr(import_module(f"invarion.invariants.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
