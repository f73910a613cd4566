"""ACE functions, energies and derivatives on one core: W atoms of one element side by side in one vector.

Every irregular sum (pair products, functions, their adjoints) runs over lists of indices that all atoms share, so that
each entry is one vector instruction for W atoms. Nothing per edge or product outlives its tile.
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
def _space(system, W, like):
    """Working memory for one tile."""
    Q, M = system.radial.rank.size, system.angular.begin.size - 1
    blocks = scratch(like, system.tiles.most_blocks * block_size(W, Q, M))
    spare = scratch(like, max(2 * M * W, 2 * system.radial.padded))
    return Space(blocks, np.empty(system.tiles.most_blocks * W, np.int64), spare)


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


@lru_cache
def _functions(W: int) -> Callable:
    @compiled
    def functions(first, last, system, left, right, width, out, out_begin):
        """Functions of the atoms of each tile: row of atom i at out[out_begin[i]], one number per function."""
        line = zeros(out, 1, W)
        partners, tiles = system.partners, system.tiles
        space, counts = _space(system, W, out), np.empty(W * system.n_species, np.int64)
        z = scratch(out, (system.n_values + system.products.begin.size) * W)
        row = scratch(out, W)
        for tile in range(first, last):
            _fill_tile(tile, W, system, line, space, counts, z)
            element = tiles.element[tile]
            for k in range(partners.offset[element], partners.offset[element + 1]):
                value = line
                for m in range(width[k]):
                    value = add_product(
                        value, load(line, z, (left[k] + m) * W, W), load(line, z, (right[k] + m) * W, W)
                    )
                store(value, row, 0, W)
                for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
                    atom = tiles.atoms[tiles.begin[tile] + column]
                    out[out_begin[atom] + k - partners.offset[element]] = row[column]

    return functions


@lru_cache
def _slopes(W: int) -> Callable:
    @compiled
    def slopes(first, last, system, given, given_begin, out):
        """Derivatives with respect to edge vectors, from those with respect to every function of every atom."""
        line = zeros(out, 1, W)
        partners, tiles = system.partners, system.tiles
        space, counts = _space(system, W, out), np.empty(W * system.n_species, np.int64)
        size = system.n_values + system.products.begin.size
        z, zs = scratch(out, size * W), scratch(out, size * W)
        weights = scratch(out, W * np.max(partners.offset[1:] - partners.offset[:-1]))
        for tile in range(first, last):
            _fill_tile(tile, W, system, line, space, counts, z)
            element = tiles.element[tile]
            n = partners.offset[element + 1] - partners.offset[element]
            for column in range(tiles.begin[tile + 1] - tiles.begin[tile]):
                atom = tiles.atoms[tiles.begin[tile] + column]
                for k in range(n):
                    weights[k * W + column] = given[given_begin[atom] + k]
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
