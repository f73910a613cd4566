"""Polynomial: a contraction written out in integer harmonic coordinates, exact; the oracle for everything faster."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import gcd, lcm, sqrt
from typing import Any

import numpy as np

from invarion.geometry.harmonics import component_slices, squared_norms
from invarion.geometry.stretched import split_table_exact
from invarion.invariants.contractions import Contraction
from invarion.invariants.gradients import Vertex, contraction_path

Monomial = tuple[int, ...]
Sparse = dict[Monomial, int]
Tensor = dict[tuple[int, ...], Sparse]


@dataclass(frozen=True)
class Polynomial:
    r"""factor * (sum of integer coefficient * monomial) in integer harmonic coordinates w.

    A tensor is $\sum_m w_m S_{lm}$ with the integer harmonics of `invarion.geometry`; its packed components are
    $u_m = w_m \sqrt{S_{lm} : S_{lm}}$.

    Attributes:
        ranks: rank of every tensor; their coordinates end to end are the variables.
        factor: rational factor, so that the integer coefficients have no common divisor.
        terms: (variables of the monomial, ascending, repeated by power; coefficient), sorted.
    """

    ranks: tuple[int, ...]
    factor: Fraction
    terms: tuple[tuple[Monomial, int], ...]

    def __len__(self) -> int:
        """Number of monomials."""
        return len(self.terms)

    @property
    def degree(self) -> int:
        """Degree; 0 for the polynomial that vanishes."""
        return len(self.terms[0][0]) if self.terms else 0

    def __call__(self, coordinates: Sequence[Any]) -> Any:
        """Exact value at integer harmonic coordinates (integers or fractions)."""
        return self.factor * sum(coefficient * _product(coordinates[v] for v in m) for m, coefficient in self.terms)

    def derivative(self, variable: int) -> "Polynomial":
        """Derivative with respect to one integer harmonic coordinate."""
        found = {_without(m, variable): c * m.count(variable) for m, c in self.terms if variable in m}
        return _primitive(found, self.factor, self.ranks)

    def evaluate(self, tensors: np.ndarray) -> np.ndarray:
        """(...) float64 values at packed components (..., M), each monomial by itself."""
        scales = np.concatenate([[1 / sqrt(n) for n in squared_norms(rank)] for rank in self.ranks])
        coordinates = np.moveaxis(np.asarray(tensors, dtype=np.float64) * scales, -1, 0)
        total = np.zeros(coordinates.shape[1:])
        for monomial, coefficient in self.terms:
            total += coefficient * np.prod(coordinates[list(monomial)], axis=0)
        return float(self.factor) * total

    def latex(self) -> str:
        r"""The polynomial in coordinates $w_{slot,m}$ (or $w^{l}_{m}$ where each rank occurs once).

        Example:
            >>> expand(Contraction((1, 1), ((0, 1, 1),)), (0, 1)).latex()
            '{w^{1}_{-1}}^{2} + {w^{1}_{0}}^{2} + {w^{1}_{1}}^{2}'
        """
        symbols = _symbols(self.ranks)
        text = "".join(_latex_term(m, c, symbols) for m, c in self.terms).removeprefix(" + ") or "0"
        front = "" if self.factor == 1 else _latex_fraction(self.factor)
        return f"{front} \\left({text}\\right)" if front and len(self.terms) > 1 else front + text


def expand(contraction: Contraction, ranks: Sequence[int]) -> Polynomial:
    """Write a contraction out as a polynomial.

    Args:
        contraction: the graph.
        ranks: rank of every tensor.

    Returns:
        The polynomial, exact; without terms if the contraction vanishes identically.

    Raises:
        BasisError: the contraction does not fit the ranks.

    Example:
        >>> expand(Contraction((1, 1), ((0, 1, 1),)), (0, 1)).terms
        (((1, 1), 1), ((2, 2), 1), ((3, 3), 1))
    """
    contraction.check(ranks)
    path = contraction_path(len(contraction.vertices), contraction.edges, contraction.epsilon)
    starts = [part.start for part in component_slices(ranks)]
    factor, operands = Fraction(1), []
    for slot, vertex in zip(contraction.vertices, path.vertices, strict=False):
        scale, tensor = _linear_forms(ranks[slot], vertex, starts[slot])
        factor, operands = factor * scale, [*operands, (vertex.letters, tensor)]
    if contraction.epsilon:
        operands.append((path.vertices[-1].letters, _levi_civita()))
    for step in path.steps:
        operands.append(_multiply(operands[step.left], operands[step.right]))
    return _primitive(operands[-1][1].get((), {}), factor, tuple(ranks))


def _linear_forms(rank: int, vertex: Vertex, start: int) -> tuple[Fraction, Tensor]:
    """A split tensor: every component is an integer linear form in its coordinates, times a common factor."""
    factor, entries = _integer_table(rank, vertex.bundles, vertex.lowered)
    tensor: Tensor = {}
    for (m, *index), value in entries:
        tensor.setdefault(tuple(index), {})[(start + m,)] = value
    return factor, tensor


@cache
def _integer_table(
    rank: int, bundles: tuple[int, ...], lowered: tuple[bool, ...]
) -> tuple[Fraction, tuple[tuple[tuple[int, ...], int], ...]]:
    """Non-zero entries of the exact split table, as integers times a common factor."""
    table = split_table_exact(rank, bundles)
    for axis, (part, low) in enumerate(zip(bundles, lowered, strict=True), start=1):
        if low:
            shape = [-1 if a == axis else 1 for a in range(table.ndim)]
            table = table * np.array(squared_norms(part), dtype=object).reshape(shape)
    entries = [(where, Fraction(value)) for where, value in np.ndenumerate(table) if value != 0]
    denominator = lcm(*(v.denominator for _, v in entries))
    return Fraction(1, denominator), tuple((where, int(v * denominator)) for where, v in entries)


def _levi_civita() -> Tensor:
    """The Levi-Civita tensor as constants; the order y, z, x is an even permutation of x, y, z."""
    even = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    return {index: {(): sign} for a, b, c in even for index, sign in (((a, b, c), 1), ((a, c, b), -1))}


def _multiply(left: tuple[str, Tensor], right: tuple[str, Tensor]) -> tuple[str, Tensor]:
    """Contract two tensors of polynomials over the letters they share."""
    shared = [c for c in left[0] if c in right[0]]
    result = "".join(c for c in left[0] + right[0] if c not in shared)
    groups = _by_shared(right, shared)
    total: dict[tuple[int, ...], defaultdict[Monomial, int]] = {}
    for index, polynomial in left[1].items():
        place = dict(zip(left[0], index, strict=True))
        kept = tuple(place[c] for c in left[0] if c not in shared)
        for rest, other in groups.get(tuple(place[c] for c in shared), ()):
            _accumulate(total.setdefault(kept + rest, defaultdict(int)), polynomial, other)
    return result, {index: {m: c for m, c in p.items() if c} for index, p in total.items()}


def _by_shared(operand: tuple[str, Tensor], shared: list[str]) -> dict[tuple, list[tuple[tuple, Sparse]]]:
    """Components of a tensor by their shared indices, each with its remaining indices."""
    groups: dict[tuple, list[tuple[tuple, Sparse]]] = {}
    for index, polynomial in operand[1].items():
        place = dict(zip(operand[0], index, strict=True))
        rest = tuple(place[c] for c in operand[0] if c not in shared)
        groups.setdefault(tuple(place[c] for c in shared), []).append((rest, polynomial))
    return groups


def _accumulate(total: defaultdict[Monomial, int], left: Sparse, right: Sparse) -> None:
    """total += left * right."""
    for a, x in left.items():
        for b, y in right.items():
            total[tuple(sorted(a + b))] += x * y


def _primitive(terms: Mapping[Monomial, int], factor: Fraction, ranks: tuple[int, ...]) -> Polynomial:
    """Divide the integers by their common divisor and make the first one positive."""
    entries = sorted((m, c) for m, c in terms.items() if c)
    if not entries:
        return Polynomial(ranks, Fraction(1), ())
    divisor = gcd(*(c for _, c in entries)) * (1 if entries[0][1] > 0 else -1)
    return Polynomial(ranks, factor * divisor, tuple((m, c // divisor) for m, c in entries))


def _product(values: Iterable[Any]) -> Any:
    result: Any = 1
    for value in values:
        result = result * value
    return result


def _without(monomial: Monomial, variable: int) -> Monomial:
    """The monomial with one power of a variable less."""
    place = monomial.index(variable)
    return monomial[:place] + monomial[place + 1 :]


def _symbols(ranks: tuple[int, ...]) -> list[str]:
    """LaTeX names of all coordinates."""
    unique = len(set(ranks)) == len(ranks)
    upper = [str(rank) if unique else f"{rank},{slot}" for slot, rank in enumerate(ranks)]
    return [f"w^{{{u}}}_{{{m}}}" for u, rank in zip(upper, ranks, strict=True) for m in range(-rank, rank + 1)]


def _latex_term(monomial: Monomial, coefficient: int, symbols: list[str]) -> str:
    """One signed term, powers gathered."""
    powers = [(v, monomial.count(v)) for v in sorted(set(monomial))]
    factors = [f"{{{symbols[v]}}}^{{{n}}}" if n > 1 else symbols[v] for v, n in powers]
    size = [] if abs(coefficient) == 1 and factors else [str(abs(coefficient))]
    return (" - " if coefficient < 0 else " + ") + " ".join([*size, *factors])


def _latex_fraction(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    if value.denominator == 1:
        return sign + (str(abs(value.numerator)) if abs(value) != 1 else "")
    return f"{sign}\\tfrac{{{abs(value.numerator)}}}{{{value.denominator}}}"
