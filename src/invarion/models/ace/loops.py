"""ACE functions, energies and derivatives on one core: W atoms of one element side by side in one vector.

Every irregular sum (pair products, functions, their adjoints) runs over lists of indices that all atoms share, so that
each entry is one vector instruction for W atoms. What there is per edge and product is held for the tile at hand; where
a readout comes between functions and their slopes, for some tiles at a time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from invarion.models.ace.edge_loops import Angular, Edges, Radial, Space, add_up, block_size, fill_blocks, pull_edges
from invarion.models.kernels.compiled import compiled, inlined, scratch
from invarion.models.kernels.simd import add_product, add_scaled, lanes, load, store, zeros


class Tiles(NamedTuple):
    """atoms in the order of tiles, begin (T+1,) of each tile in it, element (T,) of its atoms, most blocks of any."""

    atoms: np.ndarray
    begin: np.ndarray
    element: np.ndarray
    most_blocks: int


class Sums(NamedTuple):
    """out[i] is the sum over begin[i]..begin[i+1] of number x one x two, two lists of positions."""

    begin: np.ndarray
    one: np.ndarray
    two: np.ndarray
    number: np.ndarray


class Partners(NamedTuple):
    """Functions of all elements as a symmetric list: component i of Z meets component `column` in `function`.

    The rows of element s begin at s x (length of Z + 1); functions (B,) of element s begin at offset[s].
    """

    begin: np.ndarray
    column: np.ndarray
    function: np.ndarray
    offset: np.ndarray


class System(NamedTuple):
    """All that the kernels read."""

    edges: Edges
    tiles: Tiles
    radial: Radial
    angular: Angular
    products: Sums
    pulls: Sums
    partners: Partners
    n_species: int
    n_values: int


class Kept(NamedTuple):
    """What passes over some tiles leave for later ones, a stretch for each tile from number `first` on.

    blocks and ids of `Space`, the number of blocks of each atom and element, and Z.
    """

    first: int
    blocks: np.ndarray
    ids: np.ndarray
    counts: np.ndarray
    z: np.ndarray


class AceLoops(NamedTuple):
    """Compiled kernels of one floating type, and how many atoms a tile has at most."""

    functions: Callable
    slopes: Callable
    linear: Callable
    width: int


@lru_cache
def ace_loops(dtype: np.dtype) -> AceLoops:
    """Kernels for float32 or float64."""
    width = lanes(dtype)
    return AceLoops(_functions(width), _slopes(width), _linear(width), width)


@inlined
def _spare(system, W, like):
    """Room for a few vectors."""
    return scratch(like, max(2 * (system.angular.begin.size - 1) * W, 2 * system.radial.padded))


@inlined
def _space(system, W, like):
    """Working memory for one tile."""
    size = block_size(W, system.radial.rank.size, system.angular.begin.size - 1)
    blocks = scratch(like, system.tiles.most_blocks * size)
    return Space(blocks, np.empty(system.tiles.most_blocks * W, np.int64), _spare(system, W, like))


@compiled
def _fill_tile(tile, W, system, line, space, counts, z):
    """Z of a tile's atoms, and the number of blocks of each atom and element."""
    tiles, S = system.tiles, system.n_species
    width = system.n_values // S
    first = 0
    for v in range(0, system.n_values * W, W):
        store(line, z, v, W)
    for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
        atom = tiles.atoms[tiles.begin[tile] + column]
        for species in range(S):
            pair = tiles.element[tile] * S + species
            n = fill_blocks(atom, pair, species, first, W, system.edges, system.radial, system.angular, line, space)
            M = system.angular.begin.size - 1
            add_up(column, species * width, first, n, W, M, system.radial, line, space, z)
            counts[column * S + species] = n
            first += n
    n_products = system.products.begin.size - 1
    for p in range(n_products):
        store(_sum(p, system.products, z, z, W, line, line), z, (system.n_values + p) * W, W)
    for lane in range(W):
        z[(system.n_values + n_products) * W + lane] = 1.0


@inlined
def _sum(i, sums, left, right, W, line, value):
    """value + sum of number x left x right over one row of a list."""
    for k in range(sums.begin[i], sums.begin[i + 1]):
        product = add_product(line, load(line, left, sums.one[k] * W, W), load(line, right, sums.two[k] * W, W))
        value = add_scaled(value, sums.number[k], product)
    return value


@compiled
def _pull_tile(tile, W, system, line, space, counts, z, slopes, out):
    """From slopes of Z to those of A, in place, and on to the edge vectors."""
    tiles, S = system.tiles, system.n_species
    for i in range(system.n_values):
        own = load(line, slopes, i * W, W)
        store(_sum(i, system.pulls, slopes, z, W, line, own), slopes, i * W, W)
    first = 0
    for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
        for species in range(S):
            start, n = species * (system.n_values // S), counts[column * S + species]
            pull_edges(column, start, first, n, W, system.radial, system.angular, line, space, slopes, out)
            first += n


@inlined
def _stretch(array, i, size):
    return array[i * size : (i + 1) * size]


@inlined
def _kept_space(tile, W, system, kept, spare):
    """Working memory, counts and Z of one tile within what is kept."""
    i, most = tile - kept.first, system.tiles.most_blocks
    size = block_size(W, system.radial.rank.size, system.angular.begin.size - 1)
    space = Space(_stretch(kept.blocks, i, most * size), _stretch(kept.ids, i, most * W), spare)
    z = _stretch(kept.z, i, (system.n_values + system.products.begin.size) * W)
    return space, _stretch(kept.counts, i, W * system.n_species), z


@lru_cache
def _functions(W: int) -> Callable:
    @compiled
    def functions(first, last, system, kept, left, right, width, out):
        """Functions of the atoms of tiles kept.first + (first..last - 1), of one element: a row for each atom."""
        line = zeros(out, 1, W)
        tiles = system.tiles
        spare, row = _spare(system, W, out), scratch(out, W)
        for tile in range(kept.first + first, kept.first + last):
            space, counts, z = _kept_space(tile, W, system, kept, spare)
            _fill_tile(tile, W, system, line, space, counts, z)
            start = tiles.begin[tile] - tiles.begin[kept.first]
            for k in range(width.size):
                value = line
                for m in range(width[k]):
                    value = add_product(
                        value, load(line, z, (left[k] + m) * W, W), load(line, z, (right[k] + m) * W, W)
                    )
                store(value, row, 0, W)
                for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
                    out[start + column, k] = row[column]

    return functions


@lru_cache
def _slopes(W: int) -> Callable:
    @compiled
    def slopes(first, last, system, kept, given, out):
        """Derivatives with respect to edge vectors, from those with respect to what `functions` gave for its tiles."""
        line = zeros(out, 1, W)
        partners, tiles = system.partners, system.tiles
        size = system.n_values + system.products.begin.size
        spare, zs, weights = _spare(system, W, out), scratch(out, size * W), scratch(out, W * given.shape[1])
        for tile in range(kept.first + first, kept.first + last):
            space, counts, z = _kept_space(tile, W, system, kept, spare)
            element, start = tiles.element[tile], tiles.begin[tile] - tiles.begin[kept.first]
            for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
                for k in range(given.shape[1]):
                    weights[k * W + column] = given[start + column, k]
            for i in range(size):
                value, row = line, element * (size + 1) + i
                for k in range(partners.begin[row], partners.begin[row + 1]):
                    weight = load(line, weights, (partners.function[k] - partners.offset[element]) * W, W)
                    value = add_product(value, weight, load(line, z, partners.column[k] * W, W))
                store(value, zs, i * W, W)
            _pull_tile(tile, W, system, line, space, counts, z, zs, out)

    return slopes


@lru_cache
def _linear(W: int) -> Callable:
    @compiled
    def linear(first, last, system, weights, energies, out, derive):
        """Energies of a linear combination, and their derivatives with respect to edge vectors, in one pass."""
        line = zeros(out, 1, W)
        partners, tiles = system.partners, system.tiles
        space, counts = _space(system, W, out), np.empty(W * system.n_species, np.int64)
        size = system.n_values + system.products.begin.size
        z, zs, row = scratch(out, size * W), scratch(out, size * W), scratch(out, W)
        for tile in range(first, last):
            _fill_tile(tile, W, system, line, space, counts, z)
            energy = line
            for i in range(size):
                value, place = line, tiles.element[tile] * (size + 1) + i
                for k in range(partners.begin[place], partners.begin[place + 1]):
                    value = add_scaled(value, weights[k], load(line, z, partners.column[k] * W, W))
                store(value, zs, i * W, W)
                # every function is bilinear in Z, so that half the product of Z and its slope is the energy
                energy = add_product(energy, value, load(line, z, i * W, W))
            store(energy, row, 0, W)
            for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
                energies[tiles.atoms[tiles.begin[tile] + column]] = 0.5 * row[column]
            if derive:
                _pull_tile(tile, W, system, line, space, counts, z, zs, out)

    return linear
