"""Values as people read them, the same in tables of the terminal and of the report."""

from collections.abc import Mapping
from typing import Any


def spell(value: Any) -> str:
    """A value as people read it: four digits, thousands apart, lists by commas.

    >>> spell({"atoms": 13500, "error": 0.98765})
    'atoms 13 500, error 0.9877'
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}".replace(",", " ")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {spell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(spell(item) for item in value)
    return str(value)


def spell_basis(basis: Any) -> str | None:
    """A basis as a model file's header holds it, in a few words; None without one.

    Args:
        basis: of a HIP-HOP-NN (contractions of tensors of some ranks) or of an ACE model (functions by element).

    >>> spell_basis({"kind": "optimal", "ranks": [0, 1], "invariants": [[[0], []], [[1, 1], [[0, 1, 1]]]]})
    '2 invariants (optimal) of tensors of ranks 0, 1'
    """
    if not isinstance(basis, Mapping):
        return basis
    if "functions" in basis:
        return f"{sum(map(len, basis['functions']))} functions ({basis['kind']})"
    ranks = ", ".join(map(str, basis["ranks"][:12])) + (", ..." if len(basis["ranks"]) > 12 else "")
    return f"{len(basis['invariants'])} invariants ({basis['kind']}) of tensors of ranks {ranks}"
