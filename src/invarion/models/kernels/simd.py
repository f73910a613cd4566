"""Vectors of the processor as numba values, so that a kernel's accumulators stay in registers.

A loop that numba vectorises by itself loads and stores its accumulators at every step, which holds it to a quarter of a
core's peak. A `Tile` is a block of rows x lanes numbers that lives in registers: every operation below is one vector
instruction per row (LLVM splits a row where the processor's vectors are shorter). Tiles are made, changed and stored
inside one kernel; arrays are one-dimensional and contiguous, positions count from their beginning.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

_INDEX = ir.IntType(32)


@cache
def vector_bytes() -> int:
    """Width in bytes of the widest vectors that this processor works on: 64, 32 or 16."""
    features = numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten()
    return 64 if "+avx512f" in features else 32 if "+avx" in features else 16


def lanes(dtype: np.dtype) -> int:
    """How many numbers of this type one vector holds."""
    return vector_bytes() // dtype.itemsize


class Tile(types.Type):
    """The numba type of rows x lanes numbers in registers."""

    def __init__(self, dtype: types.Float, rows: int, lanes: int) -> None:
        self.dtype, self.rows, self.lanes = dtype, rows, lanes
        super().__init__(f"Tile({dtype}, {rows}, {lanes})")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: Tile) -> None:
        row = ir.VectorType(_element(tile.dtype), tile.lanes)
        super().__init__(manager, tile, ir.ArrayType(row, tile.rows))


@intrinsic(prefer_literal=True)
def zeros(_context, like, rows, lanes):
    """A tile of zeros of the array's type; rows and lanes are constants."""
    tile = Tile(like.dtype, rows.literal_value, lanes.literal_value)

    def generate(context, builder, signature, arguments):
        return ir.Constant(context.get_value_type(tile), None)

    return tile(like, rows, lanes), generate


@intrinsic
def load(_context, like, array, start, stride):
    """A tile of the shape and type of `like` whose row r begins at array[start + r stride]."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        starts = [_stepped(builder, arguments[2], arguments[3], r) for r in range(like.rows)]
        rows = [place.vector(start, like.lanes) for start in starts]
        return tile_of(context, builder, like, [_rounded(builder, row, _element(like.dtype)) for row in rows])

    return like(like, array, start, stride), generate


@intrinsic
def store(_context, tile, array, start, stride):
    """Write row r of the tile, in the array's type, from array[start + r stride] on."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        for r, row in enumerate(rows_of(builder, tile, arguments[0])):
            place.write(_stepped(builder, arguments[2], arguments[3], r), _rounded(builder, row, place.element))
        return context.get_dummy_value()

    return types.void(tile, array, start, stride), generate


@intrinsic
def add_scaled(_context, tile, factor, other):
    """tile + factor * other, for a number and a tile of the same shape."""

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[1], signature.args[1], tile.dtype)
        factors = [splat(builder, number, tile.lanes)] * tile.rows
        return multiply_add(builder, tile, arguments[0], factors, rows_of(builder, tile, arguments[2]))

    return tile(tile, factor, other), generate


@intrinsic
def add_product(_context, tile, one, other):
    """tile + one * other, element by element."""

    def generate(context, builder, signature, arguments):
        factors = rows_of(builder, tile, arguments[1])
        return multiply_add(builder, tile, arguments[0], factors, rows_of(builder, tile, arguments[2]))

    return tile(tile, one, other), generate


@intrinsic
def add_outer(_context, tile, array, start, stride, row):
    """Row r of the tile + array[start + r stride] * row, for a tile `row` of one row."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        numbers = [place.number(_stepped(builder, arguments[2], arguments[3], r)) for r in range(tile.rows)]
        factors = [splat(builder, number, tile.lanes) for number in numbers]
        return multiply_add(builder, tile, arguments[0], factors, [builder.extract_value(arguments[4], 0)] * tile.rows)

    return tile(tile, array, start, stride, row), generate


@intrinsic
def total(_context, tile):
    """The sum of all numbers of the tile, always in the same order."""

    def generate(context, builder, signature, arguments):
        first, *rest = rows_of(builder, tile, arguments[0])
        for row in rest:
            first = builder.fadd(first, row)
        return _horizontal_sum(builder, first)

    return tile.dtype(tile), generate


@intrinsic
def transposed(_context, like, tile):
    """The columns of the tile as rows of the shape of `like`, which are longer than the tile is high: zeros follow.

    Lanes, and the lanes of `like`, are powers of two.
    """

    def generate(context, builder, signature, arguments):
        zero = ir.Constant(ir.VectorType(_element(tile.dtype), tile.lanes), None)
        rows = rows_of(builder, tile, arguments[1]) + [zero] * (like.lanes - tile.rows)
        return tile_of(context, builder, like, _transpose(builder, rows))

    return like(like, tile), generate


@intrinsic(prefer_literal=True)
def prefetch(_context, array, start, count):
    """Ask for the memory of `count` numbers (a constant) from array[start] on, which will be read soon."""
    per_line = 512 // array.dtype.bitwidth

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        for offset in range(0, count.literal_value, per_line):
            place = builder.gep(data, [builder.add(arguments[1], ir.Constant(arguments[1].type, offset))])
            _prefetch(builder, builder.bitcast(place, ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(array, start, count), generate


class _Place:
    """Addresses inside a one-dimensional array while code is generated."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value) -> None:
        self.builder = builder
        self.data = context.make_array(array_type)(context, builder, array).data
        self.element = _element(array_type.dtype)

    def number(self, position: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.gep(self.data, [position]))

    def vector(self, position: ir.Value, lanes: int) -> ir.Value:
        kind = ir.VectorType(self.element, lanes)
        value = self.builder.load(self.builder.bitcast(self.builder.gep(self.data, [position]), kind.as_pointer()))
        value.align = _bytes(self.element)
        return value

    def write(self, position: ir.Value, value: ir.Value) -> None:
        place = self.builder.bitcast(self.builder.gep(self.data, [position]), value.type.as_pointer())
        self.builder.store(value, place).align = _bytes(self.element)


def _prefetch(builder: ir.IRBuilder, place: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [place.type, *[_INDEX] * 3])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, keep, data = (ir.Constant(_INDEX, value) for value in (0, 3, 1))
    builder.call(function, [place, read, keep, data])


def _element(dtype: types.Float) -> ir.Type:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _bytes(element: ir.Type) -> int:
    return 4 if isinstance(element, ir.FloatType) else 8


def rows_of(builder: ir.IRBuilder, tile: Tile, value: ir.Value) -> list[ir.Value]:
    """The rows of a tile as vectors, while code is generated."""
    return [builder.extract_value(value, r) for r in range(tile.rows)]


def tile_of(context: Any, builder: ir.IRBuilder, tile: Tile, rows: Iterable[ir.Value]) -> ir.Value:
    """A tile of these rows, while code is generated."""
    value = ir.Constant(context.get_value_type(tile), ir.Undefined)
    for r, row in enumerate(rows):
        value = builder.insert_value(value, row, r)
    return value


def _rounded(builder: ir.IRBuilder, row: ir.Value, element: ir.Type) -> ir.Value:
    """The vector in another floating type."""
    kind = ir.VectorType(element, row.type.count)
    if kind == row.type:
        return row
    return builder.fpext(row, kind) if _bytes(element) == 8 else builder.fptrunc(row, kind)


def _stepped(builder: ir.IRBuilder, start: ir.Value, stride: ir.Value, steps: int) -> ir.Value:
    return builder.add(start, builder.mul(stride, ir.Constant(stride.type, steps)))


def splat(builder: ir.IRBuilder, number: ir.Value, lanes: int) -> ir.Value:
    """A vector with the number in every lane, while code is generated."""
    kind = ir.VectorType(number.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(_INDEX, lanes), [0] * lanes))


def multiply_add(
    builder: ir.IRBuilder, tile: Tile, value: ir.Value, ones: list[ir.Value], others: list[ir.Value]
) -> ir.Value:
    """The tile + one * other row by row; fused where the processor can, never a call to a library."""
    kind = others[0].type
    name = f"llvm.fmuladd.v{tile.lanes}f{8 * _bytes(kind.element)}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    for r, (one, other) in enumerate(zip(ones, others, strict=True)):
        row = builder.call(function, [one, other, builder.extract_value(value, r)])
        value = builder.insert_value(value, row, r)
    return value


def _transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Columns as rows, by squares: within a square, halves change places, then quarters, down to single numbers."""
    height, width = len(rows), rows[0].type.count
    side = min(height, width)
    if width > side:
        parts = [shuffled(builder, row, row, range(at, at + side)) for at in range(0, width, side) for row in rows]
        return [row for at in range(0, len(parts), side) for row in _transpose(builder, parts[at : at + side])]
    if height > side:
        squares = [_transpose(builder, rows[at : at + side]) for at in range(0, height, side)]
        return [_concatenate(builder, list(row)) for row in zip(*squares, strict=True)]
    step = 1
    while step < side:
        for i in (i for i in range(side) if not i & step):
            a, b = rows[i], rows[i + step]
            rows[i] = shuffled(builder, a, b, [side + n - step if n & step else n for n in range(side)])
            rows[i + step] = shuffled(builder, a, b, [side + n if n & step else n + step for n in range(side)])
        step *= 2
    return rows


def _concatenate(builder: ir.IRBuilder, rows: list[ir.Value]) -> ir.Value:
    while len(rows) > 1:
        pairs = zip(rows[::2], rows[1::2], strict=True)
        rows = [shuffled(builder, a, b, range(2 * a.type.count)) for a, b in pairs]
    return rows[0]


def shuffled(builder: ir.IRBuilder, one: ir.Value, other: ir.Value, places: Iterable[int]) -> ir.Value:
    """The numbers at these places of the two vectors laid end to end."""
    mask = list(places)
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, len(mask)), mask))


def _horizontal_sum(builder: ir.IRBuilder, row: ir.Value) -> ir.Value:
    """Sum over the lanes of one vector: halves are added until one number is left."""
    while row.type.count > 1:
        half, odd = divmod(row.type.count, 2)
        if odd:
            return _ordered_sum(builder, row)
        low, high = (shuffled(builder, row, row, range(first, first + half)) for first in (0, half))
        row = builder.fadd(low, high)
    return builder.extract_element(row, ir.Constant(_INDEX, 0))


def _ordered_sum(builder: ir.IRBuilder, row: ir.Value) -> ir.Value:
    number = builder.extract_element(row, ir.Constant(_INDEX, 0))
    for lane in range(1, row.type.count):
        number = builder.fadd(number, builder.extract_element(row, ir.Constant(_INDEX, lane)))
    return number
