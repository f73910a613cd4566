"""A straight-line program as vector code: every scalar is one vector of lanes in a register.

The kernel walks environments x channels a vector of lanes at a time: it copies the inputs of these lanes into scratch
rows that stay in the first-level cache, runs the program on them and copies the outputs back. Long programs are cut
into segments, between which values rest in scratch rows, so that the time to compile grows linearly.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from llvmlite import ir

from invarion.invariants.straightline import LINEAR, ZERO, Program, Term

_INDEX = ir.IntType(64)
_SEGMENT = 400  # terms between two cuts
NAME = "kernel"


@dataclass(frozen=True)
class Shape:
    """What a kernel is generated for besides its program.

    Attributes:
        inputs: how many of the program's inputs come from each array.
        bits: 32 or 64, the floating-point type.
        lanes: numbers per vector.
    """

    inputs: tuple[int, ...]
    bits: int
    lanes: int

    @property
    def number(self) -> ir.Type:
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @property
    def vector(self) -> ir.Type:
        return ir.VectorType(self.number, self.lanes)


def generate(program: Program, shape: Shape) -> str:
    """LLVM code of `kernel(first, last, total, channels, inputs..., output)`.

    It computes vectors first..last-1 of `total` environments x channels; inputs are (N, rows, channels) arrays and the
    output (N, outputs, channels), all contiguous.

    Args:
        program: what to compute.
        shape: arrays, type and vector length.

    Returns:
        Text of a module with that one public function.
    """
    module = ir.Module(name="invarion")
    layout = _Layout(program)
    segments = [_segment(module, program, shape, layout, k) for k in range(layout.n_segments)]
    _kernel(module, program, shape, layout, segments)
    return str(module)


class _Layout:
    """Which scratch row holds which scalar, and which segment computes which rows."""

    def __init__(self, program: Program):
        n = program.n_inputs
        starts = accumulate((len(row) for row in program.rows), initial=0)
        parts = [start // _SEGMENT for start in starts][:-1]
        self.segments = [[k for k, _ in group] for _, group in groupby(enumerate(parts), key=lambda x: x[1])] or [[]]
        home = {n + k: s for s, rows in enumerate(self.segments) for k in rows}
        used = ((home[n + k], i) for k, row in enumerate(program.rows) for t in row for i in t[1:])
        crossing = {i for s, i in used if i >= n and home[i] != s}
        crossing |= {i for i in program.outputs if i >= n and home[i] != len(self.segments) - 1}
        self.crossing = {i: n + len(program.outputs) + p for p, i in enumerate(sorted(crossing))}
        self.output = n  # outputs follow the inputs
        self.n_rows = n + len(program.outputs) + len(crossing)

    @property
    def n_segments(self) -> int:
        return len(self.segments)

    def row(self, scalar: int) -> int:
        """Scratch row of an input or of a scalar that another segment uses."""
        return self.crossing.get(scalar, scalar)


def _segment(module: ir.Module, program: Program, shape: Shape, layout: _Layout, which: int) -> ir.Function:
    """void segment(vector* scratch): the rows of one segment; the last one also writes the outputs."""
    kind = ir.FunctionType(ir.VoidType(), [shape.vector.as_pointer()])
    function = ir.Function(module, kind, f"segment{which}")
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    values: dict[int, ir.Value] = {}

    def value(scalar: int) -> ir.Value:
        if scalar not in values:
            values[scalar] = builder.load(builder.gep(function.args[0], [_INDEX(layout.row(scalar))]))
        return values[scalar]

    def keep(row: int, vector: ir.Value) -> None:
        builder.store(vector, builder.gep(function.args[0], [_INDEX(row)]))

    for k in layout.segments[which]:
        scalar = program.n_inputs + k
        values[scalar] = _sum(builder, shape, program.rows[k], value)
        if scalar in layout.crossing:
            keep(layout.crossing[scalar], values[scalar])
    if which == layout.n_segments - 1:
        for b, scalar in enumerate(program.outputs):
            keep(layout.output + b, _constant(shape, 0.0) if scalar == ZERO else value(scalar))
    builder.ret_void()
    return function


def _sum(builder: ir.IRBuilder, shape: Shape, terms: Sequence[Term], value: Callable[[int], ir.Value]) -> ir.Value:
    """The sum of a row's terms, by fused multiply-adds where the processor has them."""
    name = f"llvm.fmuladd.v{shape.lanes}f{shape.bits}"
    multiply_add = builder.module.declare_intrinsic(name, (), ir.FunctionType(shape.vector, [shape.vector] * 3))
    total: Any = None
    for c, left, right in terms:
        one = value(left)
        other = _constant(shape, c) if right == LINEAR else value(right)
        if right != LINEAR and c == -1.0:
            one = builder.fneg(one)
        elif right != LINEAR and c != 1.0:
            one = builder.fmul(one, _constant(shape, c))
        total = builder.fmul(one, other) if total is None else builder.call(multiply_add, [one, other, total])
    return total


def _constant(shape: Shape, c: float) -> ir.Constant:
    return ir.Constant(shape.vector, [ir.Constant(shape.number, c)] * shape.lanes)


def _kernel(
    module: ir.Module, program: Program, shape: Shape, layout: _Layout, segments: Sequence[ir.Function]
) -> None:
    """The loop over vectors of lanes."""
    pointers = [shape.number.as_pointer()] * (len(shape.inputs) + 1)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INDEX] * 4 + pointers), NAME)
    first, last, total, channels, *arrays = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    scratch = builder.alloca(shape.vector, _INDEX(layout.n_rows))
    rows = [*shape.inputs, len(program.outputs)]
    places = [*accumulate(shape.inputs[:-1], initial=0), layout.output]
    load, store = _copy(module, shape, inwards=True), _copy(module, shape, inwards=False)
    with _loop(builder, first, last) as block:
        start = builder.mul(block, _INDEX(shape.lanes))
        for number, (array, count, place) in enumerate(zip(arrays, rows, places, strict=True)):
            if number == len(shape.inputs):
                for segment in segments:
                    builder.call(segment, [scratch])
            row = builder.bitcast(builder.gep(scratch, [_INDEX(place)]), array.type)
            builder.call(
                store if number == len(shape.inputs) else load, [array, row, _INDEX(count), channels, start, total]
            )
    builder.ret_void()


def _copy(module: ir.Module, shape: Shape, inwards: bool) -> ir.Function:
    """void copy(array, scratch, rows, channels, start, total): lanes start.. of all rows, into or out of scratch rows.

    Lane q is channel q % channels of environment q // channels. Lanes of one environment are copied as a vector.
    """
    pointer = shape.number.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, *[_INDEX] * 4])
    function = ir.Function(module, kind, "load" if inwards else "store")
    function.linkage = "internal"
    array, scratch, rows, channels, start, total = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    atom, channel = builder.udiv(start, channels), builder.urem(start, channels)
    stop = builder.add(channel, _INDEX(shape.lanes))
    whole = builder.icmp_unsigned("<=", stop, channels)
    with builder.if_else(whole) as (together, apart):
        with together:
            begin = builder.add(builder.mul(builder.mul(atom, rows), channels), channel)
            with _loop(builder, _INDEX(0), rows) as row:
                outer = builder.gep(array, [builder.add(begin, builder.mul(row, channels))])
                inner = builder.gep(scratch, [builder.mul(row, _INDEX(shape.lanes))])
                _move(builder, outer, inner, inwards, shape, vector=True)
        with apart:
            left = builder.sub(total, start)
            count = builder.select(builder.icmp_unsigned("<", left, _INDEX(shape.lanes)), left, _INDEX(shape.lanes))
            with _loop(builder, _INDEX(0), count) as lane:
                place = builder.add(start, lane)
                atom, channel = builder.udiv(place, channels), builder.urem(place, channels)
                begin = builder.add(builder.mul(builder.mul(atom, rows), channels), channel)
                with _loop(builder, _INDEX(0), rows) as row:
                    outer = builder.gep(array, [builder.add(begin, builder.mul(row, channels))])
                    inner = builder.gep(scratch, [builder.add(builder.mul(row, _INDEX(shape.lanes)), lane)])
                    _move(builder, outer, inner, inwards, shape, vector=False)
    builder.ret_void()
    return function


def _move(builder: ir.IRBuilder, outer: ir.Value, inner: ir.Value, inwards: bool, shape: Shape, vector: bool) -> None:
    """One vector or one number, between an array and a scratch row."""
    if vector:
        outer, inner = (builder.bitcast(p, shape.vector.as_pointer()) for p in (outer, inner))  # type: ignore[assignment]  # two
    source, target = (outer, inner) if inwards else (inner, outer)
    builder.store(builder.load(source, align=shape.bits // 8), target, align=shape.bits // 8)


@contextmanager
def _loop(builder: ir.IRBuilder, first: ir.Value, last: ir.Value) -> Iterator[ir.Value]:
    """Code inside runs for first <= counter < last."""
    function = builder.function
    before, head, body, done = builder.block, *(function.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    counter = builder.phi(_INDEX)
    counter.add_incoming(first, before)
    builder.cbranch(builder.icmp_unsigned("<", counter, last), body, done)
    builder.position_at_end(body)
    yield counter
    counter.add_incoming(builder.add(counter, _INDEX(1)), builder.block)
    builder.branch(head)
    builder.position_at_end(done)
