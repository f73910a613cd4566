"""Straight-line programs of sums of products: what invariants are evaluated by, and what their derivatives are again.

A program computes scalars one after another, each as a sum of terms c * a * b or c * a of earlier scalars. The form is
closed under differentiation: the adjoint (reverse mode) and the tangent (forward mode) of a program are programs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

LINEAR = -1  # the right factor of a term c * a
ZERO = -1  # an output that vanishes identically
_NEGLIGIBLE = 1e-12  # coefficients are products of square roots of rationals of order one


class Term(NamedTuple):
    """c * scalar[left] * scalar[right], or c * scalar[left] where right is LINEAR."""

    coefficient: float
    left: int
    right: int


class Scaled(NamedTuple):
    """factor * scalar[place]; the zero is (0.0, ZERO)."""

    factor: float
    place: int


NOTHING = Scaled(0.0, ZERO)


@dataclass(frozen=True, eq=False)
class Program:
    """Scalars 0..n_inputs-1 are given; row k defines scalar n_inputs + k; outputs are scalars, or ZERO.

    Attributes:
        n_inputs: number of given scalars.
        rows: one sum of terms per computed scalar, each of earlier scalars only.
        outputs: index of the scalar that each output is.
    """

    n_inputs: int
    rows: tuple[tuple[Term, ...], ...]
    outputs: tuple[int, ...]

    @property
    def n_multiplications(self) -> int:
        """Multiplications of one evaluation, those by constants other than 1 and -1 included."""
        return sum((t.right != LINEAR) + (abs(t.coefficient) != 1.0) for row in self.rows for t in row)

    @property
    def n_terms(self) -> int:
        """Number of terms of all rows: the additions and fused multiply-adds of one evaluation."""
        return sum(map(len, self.rows))

    @cached_property
    def digest(self) -> str:
        """A name that programs share only if they are equal."""
        rows = [[tuple(term) for term in row] for row in self.rows]
        return sha256(repr((self.n_inputs, rows, self.outputs)).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Program) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def last_uses(self) -> tuple[tuple[int, ...], ...]:
        """For each row the scalars that no later row and no output needs."""
        last = {i: k for k, row in enumerate(self.rows) for t in row for i in t[1:] if i != LINEAR}
        ends: list[list[int]] = [[] for _ in self.rows]
        for i in sorted(last.keys() - set(self.outputs)):
            ends[last[i]].append(i)
        return tuple(map(tuple, ends))


@dataclass
class Builder:
    """Writes a program; a row proportional to an earlier one is not written again."""

    n_inputs: int
    rows: list[tuple[Term, ...]] = field(default_factory=list)
    known: dict[tuple, int] = field(default_factory=dict)

    def sum(self, parts: Iterable[tuple[float, Scaled, Scaled | None]]) -> Scaled:
        """The scalar sum of c * a * b (or c * a where b is None) over the parts."""
        terms = _collect(parts)
        if not terms:
            return NOTHING
        if len(terms) == 1 and terms[0].right == LINEAR:
            return Scaled(terms[0].coefficient, terms[0].left)
        scale = _common_factor(terms)
        row = tuple(Term(_snap(t.coefficient / scale), t.left, t.right) for t in terms)
        return Scaled(scale, self._index(row))

    def plain(self, scalar: Scaled) -> int:
        """Index of a scalar that equals the scaled one, written if need be."""
        if scalar.place == ZERO or scalar.factor == 1.0:
            return scalar.place
        return self._index((Term(scalar.factor, scalar.place, LINEAR),))

    def _index(self, row: tuple[Term, ...]) -> int:
        key = tuple((round(t.coefficient, 11), t.left, t.right) for t in row)
        if key not in self.known:
            self.known[key] = self.n_inputs + len(self.rows)
            self.rows.append(row)
        return self.known[key]


def finish(builder: Builder, outputs: Sequence[Scaled]) -> Program:
    """The program of these outputs; rows that no output needs are left out."""
    indices = [builder.plain(s) for s in outputs]
    return _prune(Program(builder.n_inputs, tuple(builder.rows), tuple(indices)))


def adjoint(program: Program) -> Program:
    """Reverse mode: (inputs x, cotangents g of the outputs) -> sum_b g_b dy_b/dx, one output per input."""
    n, shift = program.n_inputs, len(program.outputs)
    builder, new = _copy_rows(program, n + shift)
    parts: dict[int, list] = defaultdict(list)
    for b, index in enumerate(program.outputs):
        if index != ZERO:
            parts[index].append((1.0, Scaled(1.0, n + b), None))
    for k in range(len(program.rows) - 1, -1, -1):
        bar = builder.sum(parts.pop(n + k, ()))
        if bar.place == ZERO:
            continue
        for c, left, right in program.rows[k]:
            if right == LINEAR:
                parts[left].append((c, bar, None))
            else:
                parts[left].append((c, bar, new[right]))
                parts[right].append((c, bar, new[left]))
    return finish(builder, [builder.sum(parts.pop(i, ())) for i in range(n)])


def tangent(program: Program, n_moving: int) -> Program:
    """Forward mode along the first inputs: (inputs, n_moving velocities) -> velocities of the outputs.

    Args:
        program: what to differentiate.
        n_moving: number of leading inputs that move; the others stay.
    """
    n = program.n_inputs
    builder, new = _copy_rows(program, n + n_moving)
    dot = {i: Scaled(1.0, n + i) for i in range(n_moving)}
    for k, row in enumerate(program.rows):
        moved = []
        for c, left, right in row:
            if right == LINEAR:
                moved.append((c, dot.get(left, NOTHING), None))
            else:
                moved += [(c, dot.get(left, NOTHING), new[right]), (c, dot.get(right, NOTHING), new[left])]
        dot[n + k] = builder.sum(moved)
    return finish(builder, [dot.get(i, NOTHING) for i in program.outputs])


def join(first: Program, second: Program) -> Program:
    """Both programs on the same inputs, shared rows once; outputs of the first, then of the second."""
    builder, new = _copy_rows(first, first.n_inputs)
    outputs = [new[i] for i in first.outputs]
    other = _append_rows(builder, second)
    return finish(builder, outputs + [other[i] for i in second.outputs])


def insert_inputs(program: Program, position: int, count: int) -> Program:
    """The same program with further inputs that it does not use, placed before input `position`."""
    builder = Builder(program.n_inputs + count)
    moved = {i: Scaled(1.0, i + count * (i >= position)) for i in range(program.n_inputs)} | {ZERO: NOTHING}
    new = _append_rows(builder, program, moved)
    return finish(builder, [new[i] for i in program.outputs])


def _copy_rows(program: Program, n_inputs: int) -> tuple[Builder, dict[int, Scaled]]:
    """A builder with further inputs that holds the program's rows, and where each old scalar is now."""
    builder = Builder(n_inputs)
    return builder, _append_rows(builder, program)


def _append_rows(builder: Builder, program: Program, inputs: dict[int, Scaled] | None = None) -> dict[int, Scaled]:
    new = inputs or {i: Scaled(1.0, i) for i in range(program.n_inputs)} | {ZERO: NOTHING}
    for k, row in enumerate(program.rows):
        parts = [(c, new[left], None if right == LINEAR else new[right]) for c, left, right in row]
        new[program.n_inputs + k] = builder.sum(parts)
    return new


def _collect(parts: Iterable[tuple[float, Scaled, Scaled | None]]) -> list[Term]:
    """Terms in a fixed order, equal products merged, vanishing ones dropped."""
    total: dict[tuple[int, int], float] = defaultdict(float)
    for c, a, b in parts:
        factor = c * a.factor * (1.0 if b is None else b.factor)
        if factor:
            pair = (a.place, LINEAR) if b is None else (min(a.place, b.place), max(a.place, b.place))
            total[pair] += factor
    return [Term(_snap(c), *pair) for pair, c in sorted(total.items()) if abs(c) > _NEGLIGIBLE]


def _common_factor(terms: Sequence[Term]) -> float:
    """The factor that leaves most terms with coefficient 1 or -1; the first term becomes positive."""
    sizes = Counter(round(abs(t.coefficient), 11) for t in terms)
    best = max(sizes, key=lambda size: (sizes[size], -size))
    size = next(abs(t.coefficient) for t in terms if round(abs(t.coefficient), 11) == best)
    return size if terms[0].coefficient > 0 else -size


def _snap(value: float) -> float:
    """The nearest integer where rounding alone separates the value from it."""
    return float(round(value)) if abs(value - round(value)) < _NEGLIGIBLE else value


def _prune(program: Program) -> Program:
    n = program.n_inputs
    needed = {i for i in program.outputs if i >= n}
    for k in range(len(program.rows) - 1, -1, -1):
        if n + k in needed:
            needed |= {i for t in program.rows[k] for i in t[1:] if i >= n}
    kept = sorted(needed)
    new = {old: n + k for k, old in enumerate(kept)} | {i: i for i in range(LINEAR, n)}
    rows = tuple(tuple(Term(c, new[a], new[b]) for c, a, b in program.rows[i - n]) for i in kept)
    return Program(n, rows, tuple(new[i] for i in program.outputs))
