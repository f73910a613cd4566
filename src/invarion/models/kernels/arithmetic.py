"""Arithmetic of tiles: Python's operators, comparisons lane by lane, and the functions that radial kernels need.

A library's exponential takes one number at a time. These are polynomials after a reduction of the argument, for all
lanes at once; every lane takes the same steps, so a result does not depend on its neighbours or on its place.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from invarion.models.kernels.compiled import inlined
from invarion.models.kernels.simd import Tile, add_scaled, multiply_add, rows_of, shuffled, splat, tile_of

_LARGEST = 708.0  # exp(-708) is the smallest power of e that float64 holds with all its digits
_LOG2_E = 1.0 / math.log(2.0)
_LN2_HIGH = math.ldexp(math.floor(math.ldexp(math.log(2.0), 32)), -32)  # times any exponent of float64 it is exact
_LN2_LOW = 2.3190468138462996e-17 + (math.log(2.0) - _LN2_HIGH)  # log(2) itself is rounded: with what that cut off
_SINE = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(11))
_COSINE = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(12))


def exponential_series(dtype: np.dtype) -> tuple[float, ...]:
    """Coefficients for `exp_of_minus` whose remainder, up to half of log(2), is below a tenth of the type's epsilon."""
    return tuple((-1.0) ** n / math.factorial(n) for n in range(8 if dtype == np.float32 else 14))


@inlined
def exp_of_minus(zero, x, series):
    """exp(-x) for x >= 0, to rounding of float64 or as far as the series goes; 0 from 708 on, NaN for NaN.

    With n the nearest integer to -x / log(2), exp(-x) = 2^n exp(-(x + n log(2))).
    """
    n = nearest(smaller(x, zero + _LARGEST) * -_LOG2_E)
    rest = add_scaled(add_scaled(x, _LN2_HIGH, n), _LN2_LOW, n)
    return below(polynomial(rest, series) * power_of_two(n), x, _LARGEST)


@inlined
def sine_and_cosine(x):
    """Both, for 0 <= x <= pi/2, to rounding of float64."""
    square = x * x
    return x * polynomial(square, _SINE), polynomial(square, _COSINE)


def _operator(python: Callable[..., Any], instruction: str) -> None:
    """Make an operator of Python work between tiles, and between a tile and a number."""

    @intrinsic
    def combine(_context, one, other):
        tile = one if isinstance(one, Tile) else other

        def generate(context, builder, signature, arguments):
            sides = [_spread_out(context, builder, tile, *side) for side in zip(signature.args, arguments, strict=True)]
            rows = [getattr(builder, instruction)(a, b) for a, b in zip(*sides, strict=True)]
            return tile_of(context, builder, tile, rows)

        return tile(one, other), generate

    @overload(python, jit_options={"forceinline": True})
    def _(one, other):
        if isinstance(one, Tile) or isinstance(other, Tile):
            return lambda one, other: combine(one, other)
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


@intrinsic
def polynomial(_context, x, coefficients):
    """sum_n coefficients[n] x^n, for a tuple of numbers."""

    def generate(context, builder, signature, arguments):
        numbers = [builder.extract_value(arguments[1], n) for n in range(len(coefficients))]
        *rest, last = [[splat(builder, number, x.lanes)] * x.rows for number in numbers]
        powers, total = rows_of(builder, x, arguments[0]), tile_of(context, builder, x, last)
        for rows in reversed(rest):
            start = tile_of(context, builder, x, rows)
            total = multiply_add(builder, x, start, powers, rows_of(builder, x, total))
        return total

    return x(x, coefficients), generate


@intrinsic
def smaller(_context, one, other):
    """The smaller of both, lane by lane; the other where `one` is NaN."""

    def generate(context, builder, signature, arguments):
        pairs = zip(*(rows_of(builder, one, argument) for argument in arguments), strict=True)
        rows = [builder.select(builder.fcmp_ordered("<", a, b), a, b) for a, b in pairs]
        return tile_of(context, builder, one, rows)

    return one(one, other), generate


@intrinsic
def least(_context, tile):
    """The smallest number of a tile of one row, whose lanes are a power of two."""

    def generate(context, builder, signature, arguments):
        (row,) = rows_of(builder, tile, arguments[0])
        while row.type.count > 1:
            half = row.type.count // 2
            low, high = (shuffled(builder, row, row, range(first, first + half)) for first in (0, half))
            row = builder.select(builder.fcmp_ordered("<", low, high), low, high)
        return builder.extract_element(row, ir.Constant(ir.IntType(32), 0))

    return tile.dtype(tile), generate


@intrinsic
def below(_context, value, x, bound):
    """The value where x is below the bound or NaN, else zero."""

    def generate(context, builder, signature, arguments):
        limit = context.cast(builder, arguments[2], signature.args[2], x.dtype)
        values, places = rows_of(builder, value, arguments[0]), rows_of(builder, x, arguments[1])
        rows = [
            builder.select(_is_below(builder, place, limit), a, ir.Constant(a.type, None))
            for a, place in zip(values, places, strict=True)
        ]
        return tile_of(context, builder, value, rows)

    return value(value, x, bound), generate


@intrinsic
def lanes_below(_context, x, bound):
    """Bit n of the result: whether number n of a tile of one row is below the bound or NaN."""

    def generate(context, builder, signature, arguments):
        limit = context.cast(builder, arguments[1], signature.args[1], x.dtype)
        found = _is_below(builder, rows_of(builder, x, arguments[0])[0], limit)
        return builder.zext(builder.bitcast(found, ir.IntType(x.lanes)), ir.IntType(64))

    return types.int64(x, bound), generate


@intrinsic
def between(_context, value, first, last):
    """A tile of one row with zeros before lane `first` and from lane `last` on."""

    def generate(context, builder, signature, arguments):
        (row,) = rows_of(builder, value, arguments[0])
        kind = ir.VectorType(ir.IntType(32), value.lanes)
        lanes = ir.Constant(kind, list(range(value.lanes)))
        ends = [splat(builder, builder.trunc(end, kind.element), value.lanes) for end in arguments[1:]]
        inside = builder.and_(builder.icmp_signed(">=", lanes, ends[0]), builder.icmp_signed("<", lanes, ends[1]))
        return tile_of(context, builder, value, [builder.select(inside, row, ir.Constant(row.type, None))])

    return value(value, types.int64, types.int64), generate


@intrinsic
def nearest(_context, x):
    """The nearest integers."""

    def generate(context, builder, signature, arguments):
        rows = []
        for row in rows_of(builder, x, arguments[0]):
            name = f"llvm.nearbyint.v{x.lanes}f{x.dtype.bitwidth}"
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(row.type, [row.type]), name)
            rows.append(builder.call(function, [row]))
        return tile_of(context, builder, x, rows)

    return x(x), generate


@intrinsic
def power_of_two(_context, n):
    """2^n in float64 for integers from -1022 to 1023."""

    def generate(context, builder, signature, arguments):
        rows = []
        for row in rows_of(builder, n, arguments[0]):
            # to 32 bits first: few processors turn numbers of 64 bits into integers several at a time
            integers = builder.fptosi(row, ir.VectorType(ir.IntType(32), n.lanes))
            biased = builder.add(integers, ir.Constant(integers.type, [1023] * n.lanes))
            wide = builder.zext(biased, ir.VectorType(ir.IntType(64), n.lanes))
            bits = builder.shl(wide, ir.Constant(wide.type, [52] * n.lanes))
            rows.append(builder.bitcast(bits, row.type))
        return tile_of(context, builder, n, rows)

    return n(n), generate


@intrinsic
def first_bit(_context, bits):
    """Place of the lowest bit that is set."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@intrinsic
def end_of_bits(_context, bits):
    """One past the place of the highest bit that is set."""

    def generate(context, builder, signature, arguments):
        zeros_above = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 64), zeros_above)

    return types.int64(types.int64), generate


def _is_below(builder: ir.IRBuilder, row: ir.Value, limit: ir.Value) -> ir.Value:
    return builder.fcmp_unordered("<", row, splat(builder, limit, row.type.count))


def _spread_out(context: Any, builder: ir.IRBuilder, tile: Tile, kind: Any, value: ir.Value) -> list[ir.Value]:
    """Rows of a tile, or of a number in every place of such a tile."""
    if isinstance(kind, Tile):
        return rows_of(builder, kind, value)
    return [splat(builder, context.cast(builder, value, kind, tile.dtype), tile.lanes)] * tile.rows
