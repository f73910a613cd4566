"""Bases that took long to find, stored with their certificates; `generate.py` beside them makes them again."""

from collections.abc import Sequence
from importlib.resources import files

from invarion.invariants.basis import InvariantBasis


def stored_basis(kind: str, ranks: Sequence[int]) -> InvariantBasis | None:
    """The shipped basis of a kind for one tensor of each rank 0..L, or None where none is shipped.

    Args:
        kind: 'flexible' or 'separating'.
        ranks: rank of every tensor.
    """
    if tuple(ranks) != tuple(range(len(ranks))):
        return None
    file = files(__name__).joinpath(f"{kind}_{len(ranks) - 1}.json")
    return InvariantBasis.from_json(file.read_text("utf-8")) if file.is_file() else None
