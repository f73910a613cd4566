"""Exact and numerical geometry of irreducible tensors: harmonics, Cartesian tensors, stretched couplings, rotations.

Packing, everywhere in invarion: rank by rank l = 0..L, within a rank m = -l..l (l = 1 is y, z, x), real, without the
Condon-Shortley phase, orthonormal in the Cartesian sense: the squared components of one rank sum to T:T.
"""

from invarion.geometry.cartesian import cartesian_basis, pack, unpack
from invarion.geometry.harmonics import component_slices, harmonics, solid_harmonic, squared_norm
from invarion.geometry.rotations import random_rotation, rotation_matrix, wigner
from invarion.geometry.slopes import two_slopes

__all__ = [
    "cartesian_basis",
    "component_slices",
    "harmonics",
    "pack",
    "random_rotation",
    "rotation_matrix",
    "solid_harmonic",
    "squared_norm",
    "two_slopes",
    "unpack",
    "wigner",
]
