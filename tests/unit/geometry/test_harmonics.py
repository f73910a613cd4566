"""Harmonics: exact polynomials, their norms and values, and the numpy and torch paths."""

from fractions import Fraction
from math import factorial, prod

import numpy as np
import pytest
import torch

from invarion.exceptions import ConfigError
from invarion.geometry import component_slices, harmonics, solid_harmonic, squared_norm

RANKS = range(7)


def unit_vectors(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def laplacian(terms) -> dict:
    found: dict = {}
    for *power, c in terms:
        for axis in range(3):
            if power[axis] > 1:
                lower = list(power)
                lower[axis] -= 2
                found[tuple(lower)] = found.get(tuple(lower), 0) + c * power[axis] * (power[axis] - 1)
    return {p: c for p, c in found.items() if c}


@pytest.mark.parametrize("rank", RANKS)
def test_polynomials_are_homogeneous_and_harmonic(rank):
    for order in range(-rank, rank + 1):
        terms = solid_harmonic(rank, order)
        assert all(i + j + k == rank for i, j, k, _ in terms)
        assert laplacian(terms) == {}


def test_first_ranks_by_hand():
    assert [solid_harmonic(1, m) for m in (-1, 0, 1)] == [((0, 1, 0, 1),), ((0, 0, 1, 1),), ((1, 0, 0, 1),)]
    assert solid_harmonic(2, -2) == ((1, 1, 0, 1),)
    assert solid_harmonic(2, 2) == ((0, 2, 0, -1), (2, 0, 0, 1))
    assert squared_norm(2, -2) == Fraction(1, 2)
    assert squared_norm(2, 2) == 2


@pytest.mark.parametrize("rank", RANKS)
def test_values_are_the_exact_polynomials(rank):
    vectors = np.random.default_rng(1).standard_normal((5, 3))
    part = harmonics(vectors, rank)[:, component_slices(range(rank + 1))[rank]]
    leading = factorial(rank) / prod(range(1, 2 * rank, 2))
    for order in range(-rank, rank + 1):
        values = sum(c * np.prod(vectors ** np.array(power), axis=1) for *power, c in solid_harmonic(rank, order))
        # u = T:B is proportional to the polynomial; the factor follows from sum u^2 = l!/(2l-1)!! on the sphere
        north = sum(c for *power, c in solid_harmonic(rank, 0) if power == [0, 0, rank])
        zonal = np.sqrt(leading) / north * np.sqrt(float(squared_norm(rank, 0)))
        scale = zonal / np.sqrt(float(squared_norm(rank, order)))
        assert part[:, order + rank] == pytest.approx(values * scale, abs=1e-12)


@pytest.mark.parametrize("rank", RANKS)
def test_squared_sum_on_the_sphere(rank):
    part = harmonics(unit_vectors(20), rank)[:, component_slices(range(rank + 1))[rank]]
    assert (part**2).sum(1) == pytest.approx(factorial(rank) / prod(range(1, 2 * rank, 2)), rel=1e-13)


def test_torch_equals_numpy_and_keeps_dtype():
    vectors = unit_vectors(7)
    assert harmonics(torch.tensor(vectors), 6).numpy() == pytest.approx(harmonics(vectors, 6), abs=1e-14)
    single = harmonics(torch.tensor(vectors, dtype=torch.float32), 3)
    assert single.dtype == torch.float32
    assert single.numpy() == pytest.approx(harmonics(vectors, 3), abs=1e-6)
    assert harmonics(vectors.astype(np.float32), 4).dtype == np.float32


def test_torch_derivatives_of_first_and_second_order():
    vectors = torch.tensor(unit_vectors(3), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: harmonics(x, 5), vectors)
    assert torch.autograd.gradgradcheck(lambda x: harmonics(x, 4), vectors)


@pytest.mark.parametrize("max_rank", [0, 1, 3])
def test_no_edges_and_leading_axes(max_rank):
    assert harmonics(torch.zeros((0, 3)), max_rank).shape == (0, (max_rank + 1) ** 2)
    assert harmonics(np.zeros((0, 3)), max_rank).shape == (0, (max_rank + 1) ** 2)
    stacked = unit_vectors(6).reshape(2, 3, 3)
    assert harmonics(stacked, max_rank).reshape(6, -1) == pytest.approx(harmonics(stacked.reshape(6, 3), max_rank))


def test_wrong_requests():
    with pytest.raises(ConfigError, match="max_rank is -1"):
        harmonics(np.zeros((1, 3)), -1)
    with pytest.raises(ConfigError, match="order is 3 for rank 2"):
        solid_harmonic(2, 3)
