"""The fused path of ACE as torch functions: functions, energies and first derivatives; numba only."""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invarion.geometry.harmonics import raising_table
from invarion.graphs import Graph
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.edge_loops import Angular, Edges, Radial
from invarion.models.ace.loops import Partners, Sums, System, Tiles, ace_loops
from invarion.models.ace.plan import Plan
from invarion.models.kernels.arrays import flat
from invarion.models.kernels.autograd import no_second_slopes
from invarion.models.kernels.threads import spread

_KNOTS = 512  # pieces of the radial tables: the quintic error is below 1e-11 of the functions' scale


class FusedAce:
    """A descriptor's lists and tables, made once, and the kernels that run on them.

    Args:
        descriptor: whose radial coefficients are read when the tables are made; make a new one after they change.
        dtype: float32 or float64.
    """

    def __init__(self, descriptor: AceDescriptor, dtype: np.dtype) -> None:
        plan = descriptor.plan
        self.plan, self.dtype, self.loops = plan, dtype, ace_loops(dtype)
        self._radial = radial_tables(descriptor, dtype, self.loops.width)
        self._angular = _angular_lists(descriptor.max_rank, dtype)
        self._products, self._pulls = _product_lists(plan, dtype)
        self._partners = _partner_lists(plan)
        self._dots = [
            np.concatenate([getattr(dots, name) for dots in plan.dots]) for name in ("left", "right", "width")
        ]

    def energies(self, graph: Graph, index: Tensor, weights: list[Tensor]) -> Tensor:
        """Energies (N,) linear in the functions; differentiable once in the edge vectors.

        Args:
            graph: a batch of the kernel's type on the CPU.
            index: (N,) species indices.
            weights: (B_s,) of each element.
        """
        return _LinearEnergy.apply(graph.vectors, self, graph, index, torch.cat([w.detach() for w in weights]))

    def functions(self, graph: Graph, index: Tensor) -> list[Tensor]:
        """Invariants (N_s, B_s) of each element's atoms; differentiable once in the edge vectors."""
        values = _Functions.apply(graph.vectors, self, graph, index)
        counts = np.diff(self._partners.offset)
        parts = values.split([int((index == s).sum()) * int(n) for s, n in enumerate(counts)])
        return [part.view(-1, int(n)) for part, n in zip(parts, counts, strict=True)]

    def run_linear(self, graph: Graph, index: Tensor, weights: Tensor, derive: bool) -> tuple[Tensor, Tensor]:
        """Energies (N,) and, if asked for, their derivatives (E, 3)."""
        energies, slopes = graph.vectors.new_zeros(graph.n_atoms), torch.zeros_like(graph.vectors)
        system = self._system(graph, index)
        entries = flat(weights)[self._partners.function]
        arguments = (system, entries, flat(energies), slopes.view(-1).numpy(), derive)
        spread(self.loops.linear, _tile_edges(system), self._work(graph), arguments)
        return energies, slopes

    def run_functions(self, graph: Graph, index: Tensor) -> Tensor:
        """All functions of all atoms, flat: element by element, atom by atom."""
        begin, size = self._rows(index)
        out = graph.vectors.new_zeros(size)
        system = self._system(graph, index)
        spread(self.loops.functions, _tile_edges(system), self._work(graph), (system, *self._dots, flat(out), begin))
        return out

    def run_slopes(self, graph: Graph, index: Tensor, given: Tensor) -> Tensor:
        """Derivatives (E, 3) from those with respect to all functions, flat as `run_functions` returns them."""
        slopes = torch.zeros_like(graph.vectors)
        system = self._system(graph, index)
        arguments = (system, flat(given), self._rows(index)[0], slopes.view(-1).numpy())
        spread(self.loops.slopes, _tile_edges(system), self._work(graph), arguments)
        return slopes

    def _rows(self, index: Tensor) -> tuple[np.ndarray, int]:
        """Where each atom's functions begin in the flat list, and its length."""
        element = index.numpy()
        counts = np.diff(self._partners.offset)
        begin, place = np.zeros(len(element), np.int64), 0
        for s, n in enumerate(counts.tolist()):
            atoms = np.flatnonzero(element == s)
            begin[atoms] = place + n * np.arange(len(atoms))
            place += n * len(atoms)
        return begin, place

    def _work(self, graph: Graph) -> int:
        per_edge = 8 * self.plan.width
        return graph.n_atoms * self.plan.n_multiplications * 4 + len(graph.centers) * per_edge

    def _system(self, graph: Graph, index: Tensor) -> System:
        element = index.numpy()
        pointers = np.searchsorted(graph.centers.numpy(), np.arange(graph.n_atoms + 1))
        edges = Edges(pointers, element[graph.neighbors.numpy()], flat(graph.vectors))
        tiles = _tiles(element, np.diff(pointers), self.plan.n_species, self.loops.width)
        lists = (self._radial, self._angular, self._products, self._pulls, self._partners)
        return System(edges, tiles, *lists, self.plan.n_species, self.plan.n_values)


class _LinearEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, fused: FusedAce, graph: Graph, index: Tensor, weights: Tensor) -> Tensor:
        energies, slopes = fused.run_linear(graph, index, weights, ctx.needs_input_grad[0])
        ctx.save_for_backward(slopes, graph.centers)
        return energies

    @staticmethod
    @no_second_slopes
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        slopes, centers = ctx.saved_tensors
        return slopes * grad_outputs[0][centers, None], None, None, None, None


class _Functions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, fused: FusedAce, graph: Graph, index: Tensor) -> Tensor:
        ctx.fused, ctx.graph, ctx.index = fused, graph, index
        return fused.run_functions(graph, index)

    @staticmethod
    @no_second_slopes
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.fused.run_slopes(ctx.graph, ctx.index, grad_outputs[0]), None, None, None


def radial_tables(descriptor: AceDescriptor, dtype: np.dtype, lanes: int) -> Radial:
    """Quintic Hermite pieces of every radial function and pair of elements, from exact values and two derivatives."""
    radial, plan = descriptor.radial, descriptor.plan
    species = plan.n_species
    padded = -(-len(plan.radials) // lanes) * lanes
    table = np.zeros((species, species, _KNOTS, 6, padded))
    cutoffs = radial.cutoffs.double().cpu().numpy()
    for a in range(species):
        for b in range(species):
            table[a, b, :, :, : len(plan.radials)] = _quintic(descriptor, a, b, float(cutoffs[a, b]))
    starts = np.cumsum([0, *(2 * rank + 1 for _, rank in plan.radials)])[:-1]
    ranks = np.array([rank for _, rank in plan.radials], dtype=np.int64)
    steps = (_KNOTS / cutoffs).reshape(-1).astype(dtype)
    limits = cutoffs.reshape(-1).astype(dtype)
    return Radial(table.reshape(-1).astype(dtype), _KNOTS, padded, steps, limits, ranks, starts.astype(np.int64))


def _quintic(descriptor: AceDescriptor, a: int, b: int, cutoff: float) -> np.ndarray:
    """(knots, 6, Q) coefficients of t^0..t^5 on each piece."""
    step = cutoff / _KNOTS
    distances = torch.linspace(0.0, cutoff, _KNOTS + 1, dtype=torch.float64)
    pair = [torch.full((len(distances),), s) for s in (a, b)]
    radial = descriptor.radial.double_copy()

    def values(r: Tensor) -> Tensor:
        return radial(r, *pair)

    def slopes(r: Tensor) -> Tensor:
        return torch.func.jvp(values, (r,), (torch.ones_like(r),))[1]

    with torch.no_grad():
        f = values(distances)
        d, c = torch.func.jvp(slopes, (distances,), (torch.ones_like(distances),))[:2]
    f, d, c = f.numpy(), d.numpy() * step, c.numpy() * step**2
    rise = f[1:] - f[:-1] - d[:-1] - 0.5 * c[:-1]
    turn, bend = d[1:] - d[:-1] - c[:-1], c[1:] - c[:-1]
    last = (10 * rise - 4 * turn + 0.5 * bend, -15 * rise + 7 * turn - bend, 6 * rise - 3 * turn + 0.5 * bend)
    return np.stack([f[:-1], d[:-1], 0.5 * c[:-1], *last], 1)


@lru_cache
def _angular_lists(max_rank: int, dtype: np.dtype) -> Angular:
    begin, source, axis, number = [0, 0], [], [], []
    for rank in range(1, max_rank + 1):
        table = np.eye(3) if rank == 1 else raising_table(rank)
        for m in range(2 * rank + 1):
            rows = np.flatnonzero(np.abs(table[:, m]) > 1e-14)
            source += [(rank - 1) ** 2 + int(row) // 3 for row in rows]
            axis += [int(row) % 3 for row in rows]
            number += table[rows, m].tolist()
            begin.append(len(number))
    starts, sources, axes = (np.array(x, dtype=np.int64) for x in (begin, source, axis))
    return Angular(starts, sources, axes, np.array(number, dtype=dtype))


def _product_lists(plan: Plan, dtype: np.dtype) -> tuple[Sums, Sums]:
    """Pair products from A, and slopes of A from those of the products and A."""
    begin = np.searchsorted(plan.out, np.arange(plan.n_products + 1))
    forward = Sums(begin, plan.one.copy(), plan.two.copy(), plan.number.astype(dtype))
    target, other = np.concatenate([plan.one, plan.two]), np.concatenate([plan.two, plan.one])
    product, number = np.tile(plan.out + plan.n_values, 2), np.tile(plan.number, 2)
    order = np.argsort(target, kind="stable")
    starts = np.searchsorted(target[order], np.arange(plan.n_values + 1))
    return forward, Sums(starts, product[order], other[order], number[order].astype(dtype))


def _partner_lists(plan: Plan) -> Partners:
    size = plan.n_values + plan.n_products + 1
    offset = np.cumsum([0, *(len(dots.width) for dots in plan.dots)])
    begins, columns, functions = [], [], []
    place = 0
    for element, dots in enumerate(plan.dots):
        function = np.repeat(np.arange(len(dots.width)), dots.width)
        step = np.arange(len(function)) - np.repeat(np.cumsum(dots.width) - dots.width, dots.width)
        left, right = dots.left[function] + step, dots.right[function] + step
        row, column = np.concatenate([left, right]), np.concatenate([right, left])
        order = np.lexsort((column, row))
        begins.append(place + np.searchsorted(row[order], np.arange(size + 1)))
        columns.append(column[order])
        functions.append(np.tile(function, 2)[order] + offset[element])
        place += len(order)
    begin, partner, owner = (np.concatenate(part).astype(np.int64) for part in (begins, columns, functions))
    return Partners(begin, partner, owner, offset)


def _tiles(element: np.ndarray, n_edges: np.ndarray, n_species: int, width: int) -> Tiles:
    """Atoms of each element in their order, up to `width` to a tile."""
    atoms = np.argsort(element, kind="stable")
    begin, kinds, place = [0], [], 0
    for s, count in enumerate(np.bincount(element, minlength=n_species).tolist()):
        ends = [*range(place + width, place + count, width), place + count] if count else []
        begin += ends
        kinds += [s] * len(ends)
        place += count
    # every element of neighbour may leave one block half filled
    blocks = -(-n_edges[atoms] // width) + n_species
    most = max((int(blocks[a:b].sum()) for a, b in pairwise(begin)), default=1)
    return Tiles(atoms, np.array(begin), np.array(kinds, dtype=np.int64), most)


def _tile_edges(system: System) -> np.ndarray:
    """(T + 1,) edges before each tile, by which tiles are shared out to threads."""
    counts = np.diff(system.edges.pointers)[system.tiles.atoms]
    return np.concatenate([[0], np.cumsum(counts)])[system.tiles.begin]
