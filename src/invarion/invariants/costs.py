"""Additive costs of contractions, and the order in which equally cheap ones are tried."""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from numbers import Real

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction

Price = Callable[[Contraction], float]
Cost = str | Price


def cost_function(cost: Cost, ranks: Sequence[int]) -> tuple[str, Price]:
    """Name and function of a cost.

    Args:
        cost: 'degree', 'monomials' (terms of the expanded polynomial), or a function of a contraction.
        ranks: rank of every tensor.

    Raises:
        BasisError: an unknown name.
    """
    if callable(cost):
        return getattr(cost, "__name__", "custom"), lambda contraction: _finite(cost(contraction), contraction)
    if cost == "degree":
        return cost, lambda contraction: contraction.degree
    if cost == "monomials":
        from invarion.invariants.polynomial import expand

        return cost, lambda contraction: len(expand(contraction, ranks))
    raise BasisError(f"cost is {cost!r}; allowed are 'degree', 'monomials' or a function of a contraction")


def _finite(value: object, contraction: Contraction) -> float:
    """What a caller's function says a contraction costs."""
    if isinstance(value, Real) and isfinite(value):
        return float(value)
    raise BasisError(f"the cost of {contraction} is {value!r}; it must be a finite number")


def by_cost(contractions: Iterable[Contraction], cost: Price) -> list[Contraction]:
    """Cheapest first; ties by degree, then number of contracted index pairs, then the graph itself."""
    return sorted(contractions, key=lambda c: (cost(c), c.degree, sum(m for *_, m in c.edges), c))
