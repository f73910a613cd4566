"""From edges to A-basis values and back, on one core: W edges of an atom side by side in one vector.

A block holds W edges to one element of neighbour: radial functions, their slopes, the packed tensors of the unit
vectors, those vectors (y, z, x) and the inverse lengths; W numbers each. Lanes without an edge are zero.
"""

from typing import NamedTuple

import numpy as np

from invarion.models.kernels.compiled import compiled, inlined
from invarion.models.kernels.simd import add_product, add_scaled, load, store, total


class Edges(NamedTuple):
    """pointers (N+1,) into the edges of each atom; element (E,) of the neighbour; vectors (3 E,)."""

    pointers: np.ndarray
    element: np.ndarray
    vectors: np.ndarray


class Radial(NamedTuple):
    """Quintic pieces [pair, knot, power, function] of all radial functions, functions padded to whole vectors.

    steps and cutoffs count pairs center x S + neighbour; rank and start (offset in A) count functions.
    """

    table: np.ndarray
    knots: int
    padded: int
    steps: np.ndarray
    cutoffs: np.ndarray
    rank: np.ndarray
    start: np.ndarray


class Angular(NamedTuple):
    """Component m of a packed tensor: over begin[m]..begin[m+1], the sum of number x component[source] x unit[axis]."""

    begin: np.ndarray
    source: np.ndarray
    axis: np.ndarray
    number: np.ndarray


class Space(NamedTuple):
    """Memory that one call works in: blocks and edge numbers, and room for a few vectors."""

    blocks: np.ndarray
    ids: np.ndarray
    spare: np.ndarray


@inlined
def block_size(W, Q, M):
    """Numbers in one block."""
    return (2 * Q + M + 4) * W


@inlined
def _put_radial(distance, pair, lane, place, W, radial, line, space):
    """All radial functions and slopes at one distance into one lane of a block."""
    x = distance * radial.steps[pair]
    knot = min(int(x), radial.knots - 1)
    t = radial.table.dtype.type(x - knot)
    base = (pair * radial.knots + knot) * 6 * radial.padded
    for v in range(0, radial.padded, W):
        value, slope = load(line, radial.table, base + 5 * radial.padded + v, W), line
        for power in range(4, -1, -1):
            slope = add_scaled(value, t, slope)
            value = add_scaled(load(line, radial.table, base + power * radial.padded + v, W), t, value)
        store(value, space.spare, v, W)
        store(slope, space.spare, radial.padded + v, W)
    for q in range(radial.rank.size):
        space.blocks[place + q * W + lane] = space.spare[q]
        slope_place = place + (radial.rank.size + q) * W + lane
        space.blocks[slope_place] = space.spare[radial.padded + q] * radial.steps[pair]


@inlined
def _put_angular(place, unit, W, angular, line, blocks):
    """Packed tensors of W unit vectors, each rank from the one below; rank 0 is 1 on every lane, used or not."""
    for lane in range(W):
        blocks[place + lane] = 1.0
    for m in range(1, angular.begin.size - 1):
        value = line
        for k in range(angular.begin[m], angular.begin[m + 1]):
            below = load(line, blocks, place + angular.source[k] * W, W)
            product = add_product(line, below, load(line, blocks, unit + angular.axis[k] * W, W))
            value = add_scaled(value, angular.number[k], product)
        store(value, blocks, place + m * W, W)


@compiled
def fill_blocks(atom, pair, species, first, W, edges, radial, angular, line, space):
    """Blocks of an atom's edges to one element, from block `first` on; returns how many."""
    Q, M = radial.rank.size, angular.begin.size - 1
    size = block_size(W, Q, M)
    count = 0
    for e in range(edges.pointers[atom], edges.pointers[atom + 1]):
        if edges.element[e] != species:
            continue
        x, y, z = edges.vectors[3 * e], edges.vectors[3 * e + 1], edges.vectors[3 * e + 2]
        distance = np.sqrt(x * x + y * y + z * z)
        if distance >= radial.cutoffs[pair]:
            continue
        lane, place = count % W, (first + count // W) * size
        if lane == 0:
            for v in range(0, size, W):
                store(line, space.blocks, place + v, W)
            for other in range(W):
                space.ids[(first + count // W) * W + other] = -1
        unit = place + (2 * Q + M) * W + lane
        space.blocks[unit], space.blocks[unit + W], space.blocks[unit + 2 * W] = (
            y / distance,
            z / distance,
            x / distance,
        )
        space.blocks[unit + 3 * W] = 1.0 / distance
        space.ids[(first + count // W) * W + lane] = e
        _put_radial(distance, pair, lane, place, W, radial, line, space)
        count += 1
    blocks = (count + W - 1) // W
    for b in range(first, first + blocks):
        _put_angular(b * size + 2 * Q * W, b * size + (2 * Q + M) * W, W, angular, line, space.blocks)
    return blocks


@compiled
def add_up(column, start, first, n_blocks, W, M, radial, line, space, z):
    """A of one atom and element of neighbour: radial x angular summed over blocks, into one column of the tile."""
    Q = radial.rank.size
    size = block_size(W, Q, M)
    for q in range(Q):
        rank = radial.rank[q]
        for m in range(2 * rank + 1):
            value = line
            for b in range(first, first + n_blocks):
                place = b * size
                one = load(line, space.blocks, place + (2 * Q + rank * rank + m) * W, W)
                value = add_product(value, load(line, space.blocks, place + q * W, W), one)
            z[(start + radial.start[q] + m) * W + column] = total(value)


@compiled
def pull_edges(column, start, first, n_blocks, W, radial, angular, line, space, slopes, out):
    """Slopes of one atom's edge vectors to one element, from one column of the slopes of A, into out (3 E,)."""
    Q, M = radial.rank.size, angular.begin.size - 1
    for b in range(first, first + n_blocks):
        place = b * block_size(W, Q, M)
        for v in range(0, 2 * M * W, W):
            store(line, space.spare, v, W)
        for q in range(Q):
            rank = radial.rank[q]
            value, slope = load(line, space.blocks, place + q * W, W), load(line, space.blocks, place + (Q + q) * W, W)
            for m in range(2 * rank + 1):
                number = slopes[(start + radial.start[q] + m) * W + column]
                u, v = (rank * rank + m) * W, (M + rank * rank + m) * W
                store(add_scaled(load(line, space.spare, u, W), number, value), space.spare, u, W)
                store(add_scaled(load(line, space.spare, v, W), number, slope), space.spare, v, W)
        _pull_vectors(b, place, W, Q, angular, line, space, out)


@inlined
def _pull_vectors(b, place, W, Q, angular, line, space, out):
    """Radial slopes act along the unit vector; a tensor of rank l changes by l x (rank l-1 raised by the change)."""
    M = angular.begin.size - 1
    tensors, unit = place + 2 * Q * W, place + (2 * Q + M) * W
    inverse = load(line, space.blocks, unit + 3 * W, W)
    along, gx, gy, gz = line, line, line, line
    rank, last, minus = 0, 1, space.spare.dtype.type(-1.0)
    for m in range(M):
        if m == last:
            rank += 1
            last += 2 * rank + 1
        turned = add_scaled(
            line, space.spare.dtype.type(rank), add_product(line, load(line, space.spare, m * W, W), inverse)
        )
        tensor = load(line, space.blocks, tensors + m * W, W)
        along = add_product(along, load(line, space.spare, (M + m) * W, W), tensor)
        along = add_scaled(along, minus, add_product(line, turned, tensor))
        for k in range(angular.begin[m], angular.begin[m + 1]):
            term = add_product(line, turned, load(line, space.blocks, tensors + angular.source[k] * W, W))
            if angular.axis[k] == 0:
                gy = add_scaled(gy, angular.number[k], term)
            elif angular.axis[k] == 1:
                gz = add_scaled(gz, angular.number[k], term)
            else:
                gx = add_scaled(gx, angular.number[k], term)
    store(add_product(gx, along, load(line, space.blocks, unit + 2 * W, W)), space.spare, 0, W)
    store(add_product(gy, along, load(line, space.blocks, unit, W)), space.spare, W, W)
    store(add_product(gz, along, load(line, space.blocks, unit + W, W)), space.spare, 2 * W, W)
    for lane in range(W):
        e = space.ids[b * W + lane]
        if e >= 0:
            out[3 * e], out[3 * e + 1], out[3 * e + 2] = (
                space.spare[lane],
                space.spare[W + lane],
                space.spare[2 * W + lane],
            )
