"""From coupled functions to arrays: shared pair products, then one short dot product per function."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from invarion.geometry.couplings import coupling_table
from invarion.models.ace.enumeration import Coupled, Slot


class Half(NamedTuple):
    """None, one or two slots coupled to a rank: the factor of a function."""

    slots: tuple[Slot, ...]
    rank: int


class Dots(NamedTuple):
    """Functions as dot products of stretches of Z = [A | products | 1]: B_k = sum_{m < width} Z[left + m] Z[right + m].

    Attributes:
        left, right, width: (B,) int64.
    """

    left: np.ndarray
    right: np.ndarray
    width: np.ndarray


@dataclass(frozen=True)
class Plan:
    """How to evaluate functions: sums of pairs of A-basis values, then dot products.

    A degree-4 function costs one dot product, because the coupled pairs are shared by all functions. Z holds `n_values`
    A-basis values, then `n_products` coupled pairs, then a constant 1.

    Attributes:
        radials: (n, l) of each radial function; every element of neighbours has them all.
        n_species: elements of neighbours; A is packed by element, then radial function, then m = -l..l.
        n_values: components of A.
        n_products: components of the coupled pairs.
        out, one, two: (T,) int64; product `out` sums number * A[one] * A[two]; `out` ascends.
        number: (T,) float64 coupling numbers.
        dots: for each list of functions, in the order given, their dot products.
    """

    radials: tuple[tuple[int, int], ...]
    n_species: int
    n_products: int
    out: np.ndarray
    one: np.ndarray
    two: np.ndarray
    number: np.ndarray
    dots: tuple[Dots, ...]

    @property
    def width(self) -> int:
        """Components of A for one element of neighbours."""
        return sum(2 * rank + 1 for _, rank in self.radials)

    @property
    def n_values(self) -> int:
        """Components of A."""
        return self.n_species * self.width

    @property
    def n_multiplications(self) -> int:
        """Multiply-adds per atom for the pair products and all dot products."""
        return len(self.out) + int(sum(dots.width.sum() for dots in self.dots))


def halves(function: Coupled) -> tuple[Half, Half]:
    """The two factors whose scalar product is the function; the second is empty for degree 1."""
    left, right = function.slots[:2], function.slots[2:]
    if function.degree <= 2:
        left, right = function.slots[:1], function.slots[1:]
        return Half(left, left[0].rank), Half(right, left[0].rank)
    return Half(left, function.inner), Half(right, function.inner)


def compile_plan(lists: Sequence[Sequence[Coupled]], n_species: int = 1) -> Plan:
    """The plan of several lists of functions (one per element of the central atom) that share A and pair products.

    Args:
        lists: the functions of each element.
        n_species: elements of neighbours.

    >>> from invarion.models.ace.enumeration import Truncation, enumerate_coupled
    >>> plan = compile_plan([enumerate_coupled(Truncation((1, 1, 1), (1, 1, 1)))])
    >>> plan.n_values, plan.n_products, len(plan.dots[0].left), plan.n_multiplications
    (4, 4, 5, 13)
    """
    parts = [[halves(function) for function in functions] for functions in lists]
    every = {half for pairs in parts for pair in pairs for half in pair}
    radials = tuple(sorted({(slot.n, slot.rank) for half in every for slot in half.slots}))
    order = [Slot(species, *radial) for species in range(n_species) for radial in radials]
    places = dict(zip(order, _offsets(2 * slot.rank + 1 for slot in order), strict=False))
    pairs = sorted((half for half in every if len(half.slots) == 2), key=lambda half: (half.rank, half.slots))
    n_values = sum(2 * slot.rank + 1 for slot in order)
    *starts, n_products = _offsets(2 * pair.rank + 1 for pair in pairs)
    where = {pair: n_values + start for pair, start in zip(pairs, starts, strict=True)}
    where |= {Half((slot,), slot.rank): place for slot, place in places.items()}
    where[Half((), 0)] = n_values + n_products
    dots = tuple(_dots(part, where) for part in parts)
    return Plan(radials, n_species, n_products, *_terms(pairs, places), dots)


def _terms(pairs: Sequence[Half], places: dict[Slot, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(out, one, two, number) of all pair products; the two halves of a square are added up."""
    total: dict[tuple[int, int, int], float] = {}
    start = 0
    for pair in pairs:
        table = coupling_table(pair.slots[0].rank, pair.slots[1].rank, pair.rank)
        first, second = (places[slot] for slot in pair.slots)
        for m1, m2, m in zip(*np.nonzero(table), strict=True):
            one, two = sorted((first + int(m1), second + int(m2)))
            key = (start + int(m), one, two)
            total[key] = total.get(key, 0.0) + float(table[m1, m2, m])
        start += 2 * pair.rank + 1
    keys = sorted(key for key, value in total.items() if value)
    indices = np.array(keys, dtype=np.int64).reshape(-1, 3)
    return indices[:, 0], indices[:, 1], indices[:, 2], np.array([total[key] for key in keys])


def _dots(pairs: Sequence[tuple[Half, Half]], where: dict[Half, int]) -> Dots:
    rows = [(where[left], where[right], 2 * left.rank + 1) for left, right in pairs]
    return Dots(*np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy())


def _offsets(widths: Iterable[int]) -> list[int]:
    """Where each stretch begins when stretches of these widths are laid end to end; one more for the end."""
    starts = [0]
    for width in widths:
        starts.append(starts[-1] + width)
    return starts


class GradientTerms(NamedTuple):
    """dB/dA as a sum of products: dB[function] / dA[column] += number * Z[factor] * A1[other], A1 = [A | 1].

    Attributes:
        function, column, factor, other: (G,) int64.
        number: (G,) float64.
    """

    function: np.ndarray
    column: np.ndarray
    factor: np.ndarray
    other: np.ndarray
    number: np.ndarray


def gradient_terms(plan: Plan, dots: Dots) -> GradientTerms:
    """The product rule written out, so that gradients of all functions are one gather and one sum."""
    edges = np.searchsorted(plan.out, np.arange(plan.n_products + 1))
    parts = [_pull(plan, edges, *side) for side in _sides(plan, dots)]
    return GradientTerms(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _sides(plan: Plan, dots: Dots) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(function, component of Z, its partner in Z) of every term of every dot product, from both sides."""
    function = np.repeat(np.arange(len(dots.width)), dots.width)
    step = np.arange(len(function)) - np.repeat(np.cumsum(dots.width) - dots.width, dots.width)
    left, right = dots.left[function] + step, dots.right[function] + step
    yield function, left, right
    varies = right < plan.n_values + plan.n_products
    yield function[varies], right[varies], left[varies]


def _pull(plan: Plan, edges: np.ndarray, function: np.ndarray, component: np.ndarray, partner: np.ndarray) -> tuple:
    """Terms of d(component)/dA times the partner: one for an A-basis value, the sum's terms for a pair product."""
    direct = component < plan.n_values
    one = plan.n_values + np.zeros(int(direct.sum()), dtype=np.int64)
    plain = (function[direct], component[direct], partner[direct], one, np.ones(len(one)))
    product = component[~direct] - plan.n_values
    counts = edges[product + 1] - edges[product]
    row = np.repeat(np.arange(len(product)), counts)
    term = edges[product][row] + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    f, z, number = function[~direct][row], partner[~direct][row], plan.number[term]
    swapped = (f, plan.two[term], z, plan.one[term], number)
    parts = (plain, (f, plan.one[term], z, plan.two[term], number), swapped)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
