"""Reduced ACE: a functionally independent subset of the functions, chosen in a stated order and certified."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from invarion.exceptions import BasisError
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.independence import RowSpace
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.certificate import certify_functions
from invarion.models.ace.enumeration import Coupled
from invarion.models.ace.gradients import gradients_modulo, slot_layout


def reduce_basis(
    full: AceBasis, selection: str = "balanced", min_per_degree: Mapping[int, int] | None = None
) -> AceBasis:
    """A functionally independent subset of a basis, as complete as the basis is, with certificates.

    Functional independence is a matroid: keeping every function that is independent of those kept before gives a set
    of the same size whatever the order, and of least total cost when the order is by cost.

    Args:
        full: the candidates.
        selection: "cheapest": lowest degree first, within a degree smallest sum of radial indices and ranks;
            "balanced": the same, but every degree above 1 has at least a tenth of the members, taken first, of
            functions that are no products of lower ones.
        min_per_degree: least number of members of given degrees, for instance {4: 10}; overrides the shares.

    Raises:
        BasisError: an unknown selection, or more members asked for than can be independent.

    References:
        arXiv:2503.23515.
    """
    if selection not in ("cheapest", "balanced"):
        raise BasisError(f"selection is {selection!r}; without structures it can be 'cheapest' or 'balanced'")
    known: dict[tuple[Coupled, ...], list[int]] = {}
    for functions in full.functions:
        if functions not in known:
            known[functions] = select(functions, selection, min_per_degree)
    return certified(full.choose([known[functions] for functions in full.functions], "reduced"))


def certified(basis: AceBasis) -> AceBasis:
    """The same basis with a certificate of functional independence per element."""
    proofs = {functions: certify_functions(functions) for functions in set(basis.functions)}
    return replace(basis, certificates=tuple(proofs[functions] for functions in basis.functions))


def select(
    functions: Sequence[Coupled], selection: str = "balanced", min_per_degree: Mapping[int, int] | None = None
) -> list[int]:
    """Places of the functions that `reduce_basis` keeps, ascending.

    >>> from invarion.models.ace.enumeration import Truncation, enumerate_coupled
    >>> functions = enumerate_coupled(Truncation((1,) * 4, (3,) * 4))
    >>> len(functions), len(select(functions, "cheapest"))
    (36, 13)
    """
    order = sorted(range(len(functions)), key=lambda i: cost(functions[i]))
    ordered = [functions[i] for i in order]
    rows = independence_rows(ordered)
    degrees = np.array([function.degree for function in ordered])
    space = RowSpace(rows.shape[1], PrimeField(PRIMES[1]))
    kept = space.offer(rows[degrees == 1])
    shares = dict(min_per_degree or {})
    if selection == "balanced" and not shares:
        shares = _least_shares(rows, degrees)
    connected = np.array([not is_product(function) for function in ordered])
    for degree in sorted(shares, reverse=True):
        members = np.flatnonzero((degrees == degree) & connected & (degrees > 1))
        chosen = space.offer(rows[members], shares[degree])
        if min_per_degree and degree > 1 and len(chosen) < shares[degree]:
            raise BasisError(f"only {len(chosen)} independent functions of degree {degree}, not {shares[degree]}")
        kept += members[chosen].tolist()
    kept += space.offer(rows)
    return sorted(order[i] for i in kept)


def is_product(function: Coupled) -> bool:
    """Whether a function is a product of functions of lower degree, which carries no new information.

    >>> from invarion.models.ace.enumeration import Slot
    >>> is_product(Coupled((Slot(0, 1, 0), Slot(0, 1, 2), Slot(0, 2, 2)), 2))
    True
    """
    scalar = any(slot.rank == 0 for slot in function.slots)
    return function.degree > 1 and (scalar or (function.degree == 4 and function.inner == 0))


def cost(function: Coupled) -> tuple:
    """The order in which functions are offered: degree, sum of radial indices and ranks, then slots and inner rank."""
    return function.degree, sum(slot.n + slot.rank for slot in function.slots), function.slots, function.inner


def independence_rows(functions: Sequence[Coupled], seed: int = 1) -> np.ndarray:
    """(B, M) gradients at a random point modulo a prime; their rank is the functional one but for a chance < 1e-4."""
    field = PrimeField(PRIMES[1])
    size = sum(part.stop - part.start for part in slot_layout(functions).values())
    return gradients_modulo(functions, field.random(np.random.default_rng((seed, size)), size), field)


def _least_shares(rows: np.ndarray, degrees: np.ndarray) -> dict[int, int]:
    """At least a tenth of the members for every degree above 1.

    The cheapest sets stop at degree 3 with several radial functions and are blind to environments that share all 4-body
    information; two functions of degree 4 already tell such pairs apart, and every further one costs accuracy, because
    it takes the place of a smoother function.
    """
    space = RowSpace(rows.shape[1], PrimeField(PRIMES[1]))
    total = len(space.offer(rows))
    higher = sorted(set(degrees[degrees > 1].tolist()), reverse=True)
    return dict.fromkeys(higher, -(-total // 10))
