r"""Gaussians in the inverse distance times a cutoff function, with derivatives, as loops for one core.

.. math:: s_k = g_k f, \quad g_k = e^{-\frac12 \sigma_k^2 x_k^2}, \quad x_k = 1/r - p_k, \quad p_k = 1/\mu_k

With :math:`b_k = \sigma_k^2 x_k / r^2`, the logarithmic slope of :math:`g_k`,

.. math:: s_k' = g_k (b_k f + f'), \qquad s_k'' = g_k \big((b_k^2 + b_k') f + 2 b_k f' + f''\big)

Only the range of functions that count on an edge is evaluated; the others are zero. Once values are stored,
:math:`g_k = s_k / f` spares further exponentials. Numbers are float64 inside, which costs nothing one at a time.
"""

import math

import numpy as np

from invarion.models.kernels.compiled import compiled, inlined

BLOCK = 1024  # edges whose slopes with respect to p and sigma are added up before these are added to the others'


@inlined
def _cutoff(r, cutoff, cosine, like):
    """Value, slope and second derivative of the cutoff function at r: cos^2, or the C2 polynomial."""
    if r >= cutoff:
        return 0.0, 0.0, 0.0
    x, y = r / cutoff, 1.0 - r / cutoff
    if cosine:
        angle = like.dtype.type(math.pi * x)
        cos, sin, slope = math.cos(angle), math.sin(angle), math.pi / cutoff
        return 0.5 + 0.5 * cos, -0.5 * slope * sin, -0.5 * slope * slope * cos
    slope, second = -30.0 * (x * y) ** 2 / cutoff, -60.0 * x * y * (y - x) / cutoff**2
    return y * y * y * (1.0 + 3.0 * x + 6.0 * x * x), slope, second


@inlined
def _counting(inverse, places, sigmas, threshold, exponents):
    """Fill the exponents (K,) at 1/r; the range of those below the least less the threshold, NaN kept."""
    K = places.size
    for k in range(K):
        product = sigmas[k] * (inverse - places[k])
        exponents[k] = 0.5 * product * product
    least = np.inf
    for k in range(K):
        least = min(exponents[k], least)
    low, high, bound = 0, K, least - threshold
    while low < high and exponents[low] >= bound:
        low += 1
    while low < high and exponents[high - 1] >= bound:
        high -= 1
    return low, high


@compiled
def span(places, sigmas, first, last, samples, threshold):
    """The first, and one past the last, function that counts anywhere from 1/r = first (not included) to last."""
    exponents = np.empty(places.size)
    begin, end = places.size, 0
    for n in range(1, samples):
        low, high = _counting(first + (last - first) * n / (samples - 1), places, sigmas, threshold, exponents)
        begin, end = min(begin, low), max(end, high)
    return begin, end


@compiled
def values(first, last, distances, places, sigmas, cutoff, cosine, threshold, s, support):
    """Fill s (E, K) and support (E, 2): functions below exp(threshold) of the edge's largest do not count."""
    K = places.size
    exponents = np.empty(K)
    for e in range(first, last):
        r = np.float64(distances[e])
        f, _, _ = _cutoff(r, cutoff, cosine, distances)
        low, high = _counting(1.0 / r, places, sigmas, threshold, exponents)
        if r >= cutoff:
            low, high = 0, 0
        support[2 * e], support[2 * e + 1] = low, high
        row = s[e * K : (e + 1) * K]
        row[:] = 0
        for k in range(low, high):
            row[k] = math.exp(s.dtype.type(-exponents[k])) * f


@compiled
def slopes(first, last, gs, s, distances, support, places, sigmas, cutoff, cosine, gr, gp, gsigma, shared):
    """Slopes with respect to r (E,) and, if `shared`, per block of edges to p and sigma (blocks, K)."""
    K = places.size
    for block in range(first, last):
        for e in range(block * BLOCK, min((block + 1) * BLOCK, distances.size)):
            r = np.float64(distances[e])
            f, df, _ = _cutoff(r, cutoff, cosine, distances)
            inverse, total = 1.0 / r, 0.0
            for k in range(support[2 * e], support[2 * e + 1]):
                slope, x, square = np.float64(gs[e * K + k]), inverse - places[k], sigmas[k] * sigmas[k]
                total += slope * s[e * K + k] * (square * x * inverse * inverse + df / f)
                if shared:
                    gp[block * K + k] += slope * s[e * K + k] * square * x
                    gsigma[block * K + k] -= slope * s[e * K + k] * sigmas[k] * x * x
            gr[e] = total


@compiled
def curvatures(first, last, cr, gs, s, distances, support, places, sigmas, cutoff, cosine, dgs, dr, dp, dsigma, shared):
    """Slopes of sum_e cr_e gr_e with respect to gs (E, K), r (E,) and, per block and if `shared`, to p and sigma."""
    K = places.size
    for block in range(first, last):
        for e in range(block * BLOCK, min((block + 1) * BLOCK, distances.size)):
            r = np.float64(distances[e])
            f, df, ddf = _cutoff(r, cutoff, cosine, distances)
            q, total, change = 1.0 / r, 0.0, np.float64(cr[e])
            for k in range(K):
                dgs[e * K + k] = 0
            for k in range(support[2 * e], support[2 * e + 1]):
                g, x, square = s[e * K + k] / f, q - places[k], sigmas[k] * sigmas[k]
                b = square * x * q * q
                first_, db = b * f + df, -square * q * q * q * (q + 2.0 * x)
                dgs[e * K + k] = change * g * first_
                slope = change * g * np.float64(gs[e * K + k])
                total += slope * ((b * b + db) * f + 2.0 * b * df + ddf)
                if shared:
                    dp[block * K + k] += slope * (square * x * first_ - square * q * q * f)
                    dsigma[block * K + k] += slope * (2.0 * sigmas[k] * x * q * q * f - sigmas[k] * x * x * first_)
            dr[e] = total
