"""Rows handed along edges, as loops for one core: a sparse matrix times a dense one, and the dot products beside it.

Arrays are flat; rows have D numbers. Four edges are taken at a time, so that a sum is written once for each four.
"""

from invarion.models.kernels.compiled import compiled


@compiled
def passed(first, last, pointers, order, owners, origin, w, x, out, D):
    """out[owners[p]] = sum of w[e] x[origin[e]] over the edges `order` lists between pointers p and p + 1."""
    for p in range(first, last):
        total = out[owners[p] * D : (owners[p] + 1) * D]
        place, end = pointers[p], pointers[p + 1]
        while place + 4 <= end:
            a, b, c, d = order[place], order[place + 1], order[place + 2], order[place + 3]
            wa, wb, wc, wd = w[a], w[b], w[c], w[d]
            xa, xb = x[origin[a] * D : (origin[a] + 1) * D], x[origin[b] * D : (origin[b] + 1) * D]
            xc, xd = x[origin[c] * D : (origin[c] + 1) * D], x[origin[d] * D : (origin[d] + 1) * D]
            for i in range(D):
                total[i] += wa * xa[i] + wb * xb[i] + wc * xc[i] + wd * xd[i]
            place += 4
        while place < end:
            a = order[place]
            wa, xa = w[a], x[origin[a] * D : (origin[a] + 1) * D]
            for i in range(D):
                total[i] += wa * xa[i]
            place += 1


@compiled
def overlaps(first, last, to, origin, g, x, out, D):
    """out[e] = g[to[e]] . x[origin[e]]."""
    for e in range(first, last):
        one, other = g[to[e] * D : (to[e] + 1) * D], x[origin[e] * D : (origin[e] + 1) * D]
        total = g.dtype.type(0)
        for i in range(D):
            total += one[i] * other[i]
        out[e] = total
