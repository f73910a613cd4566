"""Large systems part by part: what a layer holds per edge and per component exists for a few hundred atoms at a time.

Held for all atoms at once, these numbers take some 60 kB per atom of a copper crystal and 64 features, and a third of
the time goes into pages of memory that the operating system has to clear. Part by part, the backward pass computes them
again, which costs less.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_WHOLE = 1 << 27  # numbers that may be held at once before a system is taken in parts
_PART = 1 << 23  # numbers held for one part: few enough for memory to be reused instead of returned and cleared

Sums = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(vectors, rows of features, centers, rows read, number of atoms) to environment tensors (N, M, C)."""


class Part(NamedTuple):
    """A range of atoms and the range of their edges."""

    atoms: slice
    edges: slice


def parts(centers: Tensor, n_atoms: int, per_atom: int) -> list[Part]:
    """Ranges of atoms to work through; one range where everything fits at once.

    Args:
        centers: (E,) sorted.
        n_atoms: N.
        per_atom: numbers that a layer holds per atom, its edges' included.
    """
    step = max(1, n_atoms if n_atoms * per_atom <= _WHOLE else _PART // per_atom)
    atoms = [*range(0, n_atoms, step), n_atoms]
    edges = torch.searchsorted(centers, torch.tensor(atoms, device=centers.device)).tolist()
    return [Part(slice(*a), slice(*e)) for a, e in zip(pairwise(atoms), pairwise(edges), strict=True)]


def in_parts(
    sums: Sums,
    head: Callable[[Tensor], Tensor],
    vectors: Tensor,
    mixed: Tensor,
    ends: tuple[Tensor, Tensor],
    ranges: list[Part],
) -> Tensor:
    """head(sums(...)) part by part, differentiable once with respect to vectors and mixed features.

    Args:
        sums: environment tensors of atoms.
        head: from tensors (N, M, C) to features (N, C), atom by atom.
        vectors: (E, 3) in Angstrom.
        mixed: (R, K, C) features to read.
        ends: centers (E,) and the row of `mixed` that each edge reads (E,).
        ranges: all atoms, in order.
    """
    return _InParts.apply(vectors, mixed, sums, head, ends, ranges)


class _InParts(Function):
    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        mixed: Tensor,
        sums: Sums,
        head: Callable[[Tensor], Tensor],
        ends: tuple[Tensor, Tensor],
        ranges: list[Part],
    ) -> Tensor:
        ctx.save_for_backward(vectors, mixed, *ends)
        ctx.plan = sums, head, ranges
        return torch.cat([head(_sums_of(sums, part, vectors[part.edges], mixed, *ends)) for part in ranges])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        vectors, mixed, centers, rows = ctx.saved_tensors
        sums, head, ranges = ctx.plan
        slopes, of_mixed = torch.empty_like(vectors), torch.zeros_like(mixed) if ctx.needs_input_grad[1] else None
        for part in ranges:
            read, local = _rows_read(rows[part.edges], mixed.shape[0])
            with torch.enable_grad():
                moved = vectors[part.edges].detach().requires_grad_()
                features = mixed[read].requires_grad_(of_mixed is not None)
                tensors = _sums_of(sums, part._replace(edges=slice(None)), moved, features, centers[part.edges], local)
                output = head(tensors)
            wanted = (moved, features) if of_mixed is not None else (moved,)
            slopes[part.edges], *rest = torch.autograd.grad(output, wanted, grad_outputs[0][part.atoms])
            if of_mixed is not None:
                of_mixed.index_add_(0, read, rest[0])
        return slopes, of_mixed, None, None, None, None


def _sums_of(sums: Sums, part: Part, vectors: Tensor, mixed: Tensor, centers: Tensor, rows: Tensor) -> Tensor:
    n_atoms = part.atoms.stop - part.atoms.start
    return sums(vectors, mixed, centers[part.edges] - part.atoms.start, rows[part.edges], n_atoms)


def _rows_read(rows: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
    """The different rows that are read, and for each edge its place among them."""
    read = torch.zeros(n_rows, dtype=torch.bool, device=rows.device).index_fill_(0, rows, True)
    return read.nonzero()[:, 0], (read.cumsum(0) - 1)[rows]
