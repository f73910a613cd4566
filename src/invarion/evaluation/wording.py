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
