"""Straight-line programs on tensors by machine code that is generated for them."""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from invarion.invariants.straightline import Program
from invarion.models.kernels import program_ir
from invarion.models.kernels.machine_code import MachineCode, fingerprint
from invarion.models.kernels.program_ir import Shape, generate
from invarion.models.kernels.simd import vector_bytes
from invarion.models.kernels.threads import spread

_VECTORS = 32  # vectors of lanes that one thread takes at once


def run(program: Program, *inputs: Tensor) -> Tensor:
    """A program on CPU tensors (N, *, C) whose middle axes, laid end to end, are its inputs.

    Args:
        program: what to compute.
        inputs: float32 or float64, all of the same type.

    Returns:
        (N, outputs, C).
    """
    n_atoms, _, channels = inputs[0].shape
    result = inputs[0].new_empty(n_atoms, len(program.outputs), channels)
    total = n_atoms * channels
    if total == 0:
        return result
    function, lanes = _compiled(program, tuple(t.shape[1] for t in inputs), 8 * result.element_size())
    arrays = [tensor.detach().contiguous() for tensor in inputs]
    addresses = [array.data_ptr() for array in (*arrays, result)]
    vectors = -(-total // lanes)

    def kernel(first: int, last: int) -> None:
        function(first * _VECTORS, min(last * _VECTORS, vectors), total, channels, *addresses)

    spread(kernel, np.arange(-(-vectors // _VECTORS) + 1), program.n_terms * total, ())
    return result


@lru_cache(maxsize=256)
def _compiled(program: Program, inputs: tuple[int, ...], bits: int) -> tuple[Callable[..., None], int]:
    """The kernel of a program, a function that holds no interpreter lock, and how many lanes it takes at once."""
    shape = Shape(inputs, bits, 8 * vector_bytes() // bits)
    source = Path(program_ir.__file__).read_text()
    code = MachineCode(fingerprint(source, program.digest, repr(shape)), lambda: generate(program, shape))
    kinds = [ctypes.c_int64] * 4 + [ctypes.c_void_p] * (len(shape.inputs) + 1)
    function = ctypes.CFUNCTYPE(None, *kinds)(code.kernel)
    return _Kernel(code, function), shape.lanes


class _Kernel(NamedTuple):
    """A function, and the machine code that must live as long."""

    code: MachineCode
    function: Callable[..., None]

    def __call__(self, *arguments: int) -> None:
        self.function(*arguments)
