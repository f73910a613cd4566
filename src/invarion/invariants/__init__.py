"""Rotation invariants of symmetric traceless tensors: complete, independent, flexible and separating sets, with proof.

Needs numpy only. Names are imported when they are first used.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invarion.invariants.basis import InvariantBasis as InvariantBasis
    from invarion.invariants.certificate import Certificate as Certificate
    from invarion.invariants.certificate import certify as certify
    from invarion.invariants.completeness import Ambiguity as Ambiguity
    from invarion.invariants.completeness import ambiguity as ambiguity
    from invarion.invariants.conditioned import conditioned_basis as conditioned_basis
    from invarion.invariants.conditioned import conditioning as conditioning
    from invarion.invariants.contractions import Contraction as Contraction
    from invarion.invariants.custom import custom_basis as custom_basis
    from invarion.invariants.enumeration import enumerate_contractions as enumerate_contractions
    from invarion.invariants.flexible import all_pairs_basis as all_pairs_basis
    from invarion.invariants.flexible import anchored_basis as anchored_basis
    from invarion.invariants.flexible import flexible_basis as flexible_basis
    from invarion.invariants.molien import molien_counts as molien_counts
    from invarion.invariants.optimal import optimal_basis as optimal_basis
    from invarion.invariants.polynomial import Polynomial as Polynomial
    from invarion.invariants.published import published_basis as published_basis
    from invarion.invariants.separating import separating_basis as separating_basis

_MODULES = MappingProxyType(
    {
        "Ambiguity": "completeness",
        "Certificate": "certificate",
        "Contraction": "contractions",
        "InvariantBasis": "basis",
        "Polynomial": "polynomial",
        "all_pairs_basis": "flexible",
        "ambiguity": "completeness",
        "anchored_basis": "flexible",
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
