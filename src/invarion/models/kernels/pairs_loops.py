r"""Pair potentials of edges with their slopes, as a loop for one core; formulas in `invarion.models.pairs`.

With :math:`t = 2x - 1`, :math:`T_{k+1} = 2 t T_k - T_{k-1}` and :math:`T_{k+1}' = 2 T_k + 2 t T_k' - T_{k-1}'`.
Numbers are float64 inside.
"""

import math

import numpy as np

from invarion.models.kernels.compiled import compiled, inlined
from invarion.models.zbl import DECAYS, STRENGTHS

_N_EXPONENTIALS = len(DECAYS)
_GONE = 60.0  # exponent from which on an exponential is nothing beside the others


@inlined
def _screened(r, scale):
    """sum_n s_n exp(-d_n r) / r with d_n = decay_n x scale, and its slope."""
    value, slope = 0.0, 0.0
    for n in range(_N_EXPONENTIALS):
        decay = DECAYS[n] * scale
        if decay * r < _GONE:
            term = STRENGTHS[n] * math.exp(-decay * r) / r
            value += term
            slope -= term * (decay + 1.0 / r)
    return value, slope


@inlined
def _polynomial(x, weights):
    """sum_k c_k x T_k(2x - 1) and its slope with respect to x; weights begin with that of the repulsion."""
    t = 2.0 * x - 1.0
    before, now, slope_before, slope_now = t, 1.0, 1.0, 0.0  # T_{-1} = T_1
    value, slope = 0.0, 0.0
    for k in range(1, weights.size):
        value += weights[k] * now
        slope += weights[k] * slope_now
        before, now, slope_before, slope_now = (
            now,
            2.0 * t * now - before,
            slope_now,
            2.0 * now + 2.0 * t * slope_now - slope_before,
        )
    return x * value, value + 2.0 * x * slope


@compiled
def pairs(
    first, last, vectors, centers, neighbors, index, weights, charges, inverse_lengths, cutoff, length, energies, pulls
):
    """Fill energies (E,), half of each pair's, and pulls (E, 3), their slopes, of edges first..last - 1.

    `weights` (S, S, 1 + K), `charges` (S, S) in eV Angstrom and `inverse_lengths` (S, S) in 1/Angstrom are by species
    of both ends, `index` (N,) those of atoms; all arrays are flat.
    """
    n_weights, n_species = weights.size // charges.size, int(np.sqrt(charges.size))
    for e in range(first, last):
        x, y, z = np.float64(vectors[3 * e]), np.float64(vectors[3 * e + 1]), np.float64(vectors[3 * e + 2])
        r = math.sqrt(x * x + y * y + z * z)
        energy, slope = 0.0, 0.0
        if r < cutoff:
            pair = index[centers[e]] * n_species + index[neighbors[e]]
            own = weights[pair * n_weights : (pair + 1) * n_weights]
            screened, screened_slope = _screened(r, inverse_lengths[pair])
            decayed = math.exp(-r / length)
            smooth, smooth_slope = _polynomial(decayed, own)
            value = own[0] * charges[pair] * screened + smooth
            value_slope = own[0] * charges[pair] * screened_slope - smooth_slope * decayed / length
            u = r / cutoff
            rest = 1.0 - u
            f, f_slope = rest * rest * rest * (1.0 + 3.0 * u + 6.0 * u * u), -30.0 / cutoff * u * u * rest * rest
            energy, slope = 0.5 * value * f, 0.5 * (value_slope * f + value * f_slope) / r
        energies[e] = energy
        pulls[3 * e] = slope * x
        pulls[3 * e + 1] = slope * y
        pulls[3 * e + 2] = slope * z
