"""Vectors of the processor as numba values, so that a kernel's accumulators stay in registers.

A loop that numba vectorises by itself loads and stores its accumulators at every step, which holds it to a quarter of a
core's peak. A `Tile` is a block of rows x lanes numbers that lives in registers: every operation below is one vector
instruction per row (LLVM splits a row where the processor's vectors are shorter). Tiles are made, changed and stored
inside one kernel; arrays are one-dimensional and contiguous, positions count from their beginning.
"""

from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

_INDEX = ir.IntType(32)


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
    """A tile of the shape of `like` whose row r begins at array[start + r stride]."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        value = ir.Constant(arguments[0].type, ir.Undefined)
        for r in range(like.rows):
            row = place.vector(_stepped(builder, arguments[2], arguments[3], r), like.lanes)
            value = builder.insert_value(value, row, r)
        return value

    return like(like, array, start, stride), generate


@intrinsic
def store(_context, tile, array, start, stride):
    """Write row r of the tile from array[start + r stride] on."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        for r in range(tile.rows):
            place.write(_stepped(builder, arguments[2], arguments[3], r), builder.extract_value(arguments[0], r))
        return context.get_dummy_value()

    return types.void(tile, array, start, stride), generate


@intrinsic
def add_scaled(_context, tile, factor, other):
    """tile + factor * other, for a number and a tile of the same shape."""

    def generate(context, builder, signature, arguments):
        factors = [_splat(builder, arguments[1], tile.lanes)] * tile.rows
        return _multiply_add(builder, tile, arguments[0], factors, _rows(builder, tile, arguments[2]))

    return tile(tile, factor, other), generate


@intrinsic
def add_product(_context, tile, one, other):
    """tile + one * other, element by element."""

    def generate(context, builder, signature, arguments):
        factors = _rows(builder, tile, arguments[1])
        return _multiply_add(builder, tile, arguments[0], factors, _rows(builder, tile, arguments[2]))

    return tile(tile, one, other), generate


@intrinsic
def add_outer(_context, tile, array, start, stride, row):
    """Row r of the tile + array[start + r stride] * row, for a tile `row` of one row."""

    def generate(context, builder, signature, arguments):
        place = _Place(context, builder, signature.args[1], arguments[1])
        numbers = [place.number(_stepped(builder, arguments[2], arguments[3], r)) for r in range(tile.rows)]
        factors = [_splat(builder, number, tile.lanes) for number in numbers]
        return _multiply_add(builder, tile, arguments[0], factors, [builder.extract_value(arguments[4], 0)] * tile.rows)

    return tile(tile, array, start, stride, row), generate


@intrinsic
def total(_context, tile):
    """The sum of all numbers of the tile, always in the same order."""

    def generate(context, builder, signature, arguments):
        first, *rest = _rows(builder, tile, arguments[0])
        for row in rest:
            first = builder.fadd(first, row)
        return _horizontal_sum(builder, first)

    return tile.dtype(tile), generate


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


def _element(dtype: types.Float) -> ir.Type:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _bytes(element: ir.Type) -> int:
    return 4 if isinstance(element, ir.FloatType) else 8


def _rows(builder: ir.IRBuilder, tile: Tile, value: ir.Value) -> list[ir.Value]:
    return [builder.extract_value(value, r) for r in range(tile.rows)]


def _stepped(builder: ir.IRBuilder, start: ir.Value, stride: ir.Value, steps: int) -> ir.Value:
    return builder.add(start, builder.mul(stride, ir.Constant(stride.type, steps)))


def _splat(builder: ir.IRBuilder, number: ir.Value, lanes: int) -> ir.Value:
    kind = ir.VectorType(number.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(_INDEX, lanes), [0] * lanes))


def _multiply_add(
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


def _horizontal_sum(builder: ir.IRBuilder, row: ir.Value) -> ir.Value:
    """Sum over the lanes of one vector: halves are added until one number is left."""
    while row.type.count > 1:
        half, odd = divmod(row.type.count, 2)
        if odd:
            return _ordered_sum(builder, row)
        low, high = (
            builder.shuffle_vector(row, row, ir.Constant(ir.VectorType(_INDEX, half), list(range(first, first + half))))
            for first in (0, half)
        )
        row = builder.fadd(low, high)
    return builder.extract_element(row, ir.Constant(_INDEX, 0))


def _ordered_sum(builder: ir.IRBuilder, row: ir.Value) -> ir.Value:
    number = builder.extract_element(row, ir.Constant(_INDEX, 0))
    for lane in range(1, row.type.count):
        number = builder.fadd(number, builder.extract_element(row, ir.Constant(_INDEX, lane)))
    return number
