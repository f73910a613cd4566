r"""Rows of C numbers brought to unit size, with derivatives, as loops for one core.

With :math:`y = x - \langle x \rangle` (or x itself) and :math:`w = (f + \langle y^2 \rangle)^{-1/2}`, means over the
row, the result is :math:`u = w y`. For a slope g and a change v of the slope with respect to x (their mean taken off as
that of x was), and :math:`m = \langle g u \rangle, p = \langle g v \rangle, q = \langle v u \rangle`,

.. math:: \partial_x = w (g - m u), \qquad
          \partial_g \partial = w (v - q u), \qquad
          \partial_x \partial = -w^2 \big((p - 3 q m) u + m v + q g\big)

and :math:`-\tfrac{C}{2} w^2 m`, :math:`C w^3 (\tfrac32 q m - \tfrac12 p)` are the slopes with respect to f.
"""

import math

from invarion.models.kernels.compiled import compiled, inlined


@inlined
def _mean(values):
    total = values.dtype.type(0)
    for c in range(values.size):
        total += values[c]
    return total / values.dtype.type(values.size)


@inlined
def _mean_product(one, other):
    total = one.dtype.type(0)
    for c in range(one.size):
        total += one[c] * other[c]
    return total / one.dtype.type(one.size)


@inlined
def _take_off(values, mean):
    for c in range(values.size):
        values[c] -= mean


@compiled
def values(first, last, x, floors, u, w, B, C, centered):
    """Fill u (N, B, C) and w (N, B) for rows of x; floors f (B,)."""
    for row in range(first, last):
        here, unit = x[row * C : (row + 1) * C], u[row * C : (row + 1) * C]
        mean = _mean(here) if centered else x.dtype.type(0)
        for c in range(C):
            unit[c] = here[c] - mean
        factor = x.dtype.type(1 / math.sqrt(floors[row % B] + _mean_product(unit, unit)))
        for c in range(C):
            unit[c] *= factor
        w[row] = factor


@compiled
def slopes(first, last, g, u, w, gx, gf, C, centered):
    """Fill gx (N, B, C), and gf (N, B) with each row's slope with respect to its floor."""
    for row in range(first, last):
        slope, unit, result = g[row * C : (row + 1) * C], u[row * C : (row + 1) * C], gx[row * C : (row + 1) * C]
        m, factor = _mean_product(slope, unit), w[row]
        for c in range(C):
            result[c] = factor * (slope[c] - m * unit[c])
        if centered:
            _take_off(result, _mean(result))
        gf[row] = -0.5 * C * factor * factor * m


@compiled
def curvatures(first, last, v, g, u, w, dg, dx, df, C, centered):
    """Slopes of sum v gx with respect to g, x (N, B, C) and each row's floor (N, B)."""
    for row in range(first, last):
        change, slope, unit = v[row * C : (row + 1) * C], g[row * C : (row + 1) * C], u[row * C : (row + 1) * C]
        of_slope, of_x, factor = dg[row * C : (row + 1) * C], dx[row * C : (row + 1) * C], w[row]
        of_slope[:] = change
        if centered:
            _take_off(of_slope, _mean(change))
        m, p, q = _mean_product(slope, unit), _mean_product(slope, of_slope), _mean_product(of_slope, unit)
        along, square = (p - q * m - q * m - q * m), factor * factor
        for c in range(C):
            of_x[c] = -square * (along * unit[c] + m * of_slope[c] + q * slope[c])
            of_slope[c] = factor * (of_slope[c] - q * unit[c])
        if centered:
            _take_off(of_x, _mean(of_x))
        df[row] = C * square * factor * (1.5 * q * m - 0.5 * p)
