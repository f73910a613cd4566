"""The fused path of ACE as a torch function: energies and their first derivatives; numba only."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invarion.geometry import two_slopes
from invarion.geometry.harmonics import raising_table
from invarion.graphs import Graph
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.edge_loops import Angular, Edges, Radial, block_size
from invarion.models.ace.loops import Kept, Partners, Sums, System, Tiles, ace_loops
from invarion.models.ace.plan import Plan
from invarion.models.ace.radial import RadialFunctions
from invarion.models.kernels.arrays import flat, zeros_like
from invarion.models.kernels.autograd import no_second_slopes
from invarion.models.kernels.threads import spread

ReadOut = Callable[[Tensor], Tensor]

_WAITING = 1 << 25  # bytes of edges and pair products that wait for the readout: few enough calls, little enough memory
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
        self._dots = [tuple(dots) for dots in plan.dots]

    def energies(self, graph: Graph, index: Tensor, weights: list[Tensor]) -> Tensor:
        """Energies (N,) linear in the functions; differentiable once in the edge vectors.

        Args:
            graph: a batch of the kernel's type on the CPU.
            index: (N,) species indices.
            weights: (B_s,) of each element.
        """
        every = torch.cat([weight.detach() for weight in weights])
        return _Energies.apply(graph.vectors, graph.centers, lambda derive: self._linear(graph, index, every, derive))

    def read_out(self, graph: Graph, index: Tensor, readouts: Sequence[ReadOut]) -> Tensor:
        """Energies (N,) of any readout of the functions, one per element; differentiable once in the edge vectors.

        What readouts depend on besides is constant: slopes in their parameters take the plain path.

        Args:
            graph: a batch of the kernel's type on the CPU.
            index: (N,) species indices.
            readouts: from functions (n, B_s) of atoms of each element to energies (n,).
        """
        return _Energies.apply(
            graph.vectors, graph.centers, lambda derive: self._read_out(graph, index, readouts, derive)
        )

    def _linear(self, graph: Graph, index: Tensor, weights: Tensor, derive: bool) -> tuple[Tensor, Tensor]:
        """Energies (N,) and, if asked for, their derivatives (E, 3)."""
        energies, slopes = graph.vectors.new_zeros(graph.n_atoms), zeros_like(graph.vectors)
        system = self._system(graph, index)
        entries = flat(weights)[self._partners.function]
        arguments = (system, entries, flat(energies), slopes.view(-1).numpy(), derive)
        spread(self.loops.linear, _tile_edges(system), self._work(graph), arguments)
        return energies, slopes

    def _read_out(
        self, graph: Graph, index: Tensor, readouts: Sequence[ReadOut], derive: bool
    ) -> tuple[Tensor, Tensor]:
        """The same for readouts, some tiles at a time: what one pass finds about edges is still there for the next."""
        energies, slopes = graph.vectors.new_zeros(graph.n_atoms), zeros_like(graph.vectors)
        system, work = self._system(graph, index), self._work(graph)
        edges, tiles = _tile_edges(system), system.tiles
        kept, n_kept = self._keep(system, graph.vectors)
        for element, (readout, dots) in enumerate(zip(readouts, self._dots, strict=True)):
            end = int(np.searchsorted(tiles.element, element, side="right"))
            for first in range(int(np.searchsorted(tiles.element, element)), end, n_kept):
                last = min(first + n_kept, end)
                part = edges[first : last + 1] - edges[first]
                share = work * (last - first) // len(tiles.element)
                atoms = torch.from_numpy(tiles.atoms[tiles.begin[first] : tiles.begin[last]])
                functions = graph.vectors.new_empty(len(atoms), len(dots[0]))
                mine = kept._replace(first=first)
                spread(self.loops.functions, part, share, (system, mine, *dots, functions.numpy()))
                energies[atoms], given = _value_and_slope(readout, functions, derive)
                if derive:
                    arguments = (system, mine, given.numpy(), slopes.view(-1).numpy())
                    spread(self.loops.slopes, part, share, arguments)
        return energies, slopes

    def _keep(self, system: System, like: Tensor) -> tuple[Kept, int]:
        """Memory for some tiles, and their number."""
        tiles, width = system.tiles, self.loops.width
        sizes = (
            tiles.most_blocks * block_size(width, len(system.radial.rank), len(system.angular.begin) - 1),
            (self.plan.n_values + len(system.products.begin)) * width,
        )
        n = max(1, min(len(tiles.element), _WAITING // (sum(sizes) * self.dtype.itemsize)))
        # torch's memory begins at a cache line
        blocks, z = (like.new_empty(n * size).numpy() for size in sizes)
        ids = np.empty(n * tiles.most_blocks * width, np.int64)
        return Kept(0, blocks, ids, np.empty(n * width * self.plan.n_species, np.int64), z), n

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


class _Energies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, centers: Tensor, run: Callable[[bool], tuple[Tensor, Tensor]]) -> Tensor:
        energies, slopes = run(ctx.needs_input_grad[0])
        ctx.save_for_backward(slopes, centers)
        return energies

    @staticmethod
    @no_second_slopes
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        slopes, centers = ctx.saved_tensors
        return slopes * grad_outputs[0][centers, None], None, None


def _value_and_slope(readout: ReadOut, functions: Tensor, derive: bool) -> tuple[Tensor, Tensor]:
    """Energies (n,) of functions (n, B) and their derivatives (n, B), of no use unless asked for."""
    if not derive:
        return readout(functions), functions
    with torch.enable_grad():
        energies = readout(functions.requires_grad_())
        (slopes,) = torch.autograd.grad(energies.sum(), functions)
    return energies.detach(), slopes.contiguous()


def radial_tables(descriptor: AceDescriptor, dtype: np.dtype, lanes: int) -> Radial:
    """Quintic Hermite pieces of every radial function and pair of elements, from exact values and two derivatives."""
    radial, plan = descriptor.radial, descriptor.plan
    species = plan.n_species
    padded = -(-len(plan.radials) // lanes) * lanes
    table = np.zeros((species, species, _KNOTS, 6, padded))
    cutoffs = radial.cutoffs.double().cpu().numpy()
    with torch.inference_mode(False):
        double = radial.double_copy()
        # pairs of equal cutoffs have the same base functions
        first = {cutoff: np.argwhere(cutoffs == cutoff)[0].tolist() for cutoff in np.unique(cutoffs)}
        base = {cutoff: _base_slopes(double, *pair) for cutoff, pair in first.items()}
    for pair in np.ndindex(cutoffs.shape):
        f, d, c = ((part @ double.coefficients[pair].T).numpy() for part in base[cutoffs[pair]])
        table[pair][:, :, : len(plan.radials)] = _quintic(f, d, c, float(cutoffs[pair]) / _KNOTS)
    starts = np.cumsum([0, *(2 * rank + 1 for _, rank in plan.radials)])[:-1]
    ranks = np.array([rank for _, rank in plan.radials], dtype=np.int64)
    steps = (_KNOTS / cutoffs).reshape(-1).astype(dtype)
    limits = cutoffs.reshape(-1).astype(dtype)
    return Radial(table.reshape(-1).astype(dtype), _KNOTS, padded, steps, limits, ranks, starts.astype(np.int64))


def _base_slopes(radial: RadialFunctions, a: int, b: int) -> tuple[Tensor, Tensor, Tensor]:
    """Base functions (knots + 1, K) of a pair of elements, and their first and second derivatives."""
    distances = torch.linspace(0.0, float(radial.cutoffs[a, b]), _KNOTS + 1, dtype=torch.float64)
    distances[0] = 1e-3 * distances[1]  # where r is divided by, there is no limit by arithmetic
    pair = [torch.full((len(distances),), s) for s in (a, b)]
    return two_slopes(lambda r: radial.base(r, *pair), distances)


def _quintic(f: np.ndarray, d: np.ndarray, c: np.ndarray, step: float) -> np.ndarray:
    """(knots, 6, Q) coefficients of t^0..t^5 on each piece, from values and two derivatives (knots + 1, Q)."""
    d, c = d * step, c * step**2
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
