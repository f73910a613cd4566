"""Rotations of packed tensors, proper and improper, finite and infinitesimal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invarion.exceptions import ConfigError
from invarion.geometry import harmonics, random_rotation, rotation_matrix, wigner
from invarion.geometry.rotations import generators
from invarion.geometry.stretched import inverse_lengths


@given(seed=st.integers(0, 2**32 - 1), improper=st.booleans())
def test_random_rotations_are_orthogonal(seed, improper):
    matrix = random_rotation(np.random.default_rng(seed), improper)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(-1 if improper else 1)


@given(seed=st.integers(0, 2**32 - 1), improper=st.booleans())
def test_harmonics_turn_with_their_vector(seed, improper):
    rng = np.random.default_rng(seed)
    matrix, vectors = random_rotation(rng, improper), rng.standard_normal((4, 3))
    turned = harmonics(vectors @ matrix.T, 6)
    assert turned == pytest.approx(harmonics(vectors, 6) @ rotation_matrix(matrix, range(7)).T, abs=1e-9)


def test_products_of_rotations_are_represented():
    rng = np.random.default_rng(3)
    first, second = random_rotation(rng), random_rotation(rng)
    for rank in range(7):
        assert wigner(first @ second, rank) == pytest.approx(wigner(first, rank) @ wigner(second, rank), abs=1e-12)


@pytest.mark.parametrize("rank", range(5))
def test_generators_are_derivatives_of_rotations(rank):
    angle, scale = 1e-6, inverse_lengths(rank)
    for axis, (first, second) in enumerate(((1, 2), (2, 0), (0, 1))):
        turn = np.eye(3)
        turn[first, second], turn[second, first] = -angle, angle
        exact = np.array([[float(v) for v in row] for row in generators(rank)[axis]])
        orthonormal = exact / scale[:, None] * scale
        # a tensor's polynomial p(r) becomes p(R^-1 r): minus the angular derivative of p
        assert (wigner(turn, rank) - np.eye(2 * rank + 1)) / angle == pytest.approx(-orthonormal, abs=1e-5)


def test_matrices_of_the_wrong_shape():
    with pytest.raises(ConfigError, match=r"\(3, 3\)"):
        wigner(np.eye(4), 1)
