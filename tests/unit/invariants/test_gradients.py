"""Values and gradients over the reals and modulo primes, against einsum, differences and exact polynomials."""

from fractions import Fraction

import numpy as np
import pytest

from invarion.geometry.stretched import inverse_lengths, reduce
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.fields import PRIMES, PrimeField, Reals
from invarion.invariants.gradients import contraction_path, jacobian, values
from invarion.invariants.polynomial import expand

RANKS = (0, 1, 2, 3, 4)
SIZE = 25
POOL = [c for degree in (1, 2, 3, 4) for c in enumerate_contractions(RANKS, degree)][::2]
POOL += list(enumerate_contractions(RANKS, 4, "odd"))[::6]


def test_real_values_are_the_expanded_polynomials():
    points = np.random.default_rng(0).standard_normal((3, SIZE))
    found = values(POOL, RANKS, points, Reals())
    for column, contraction in enumerate(POOL):
        assert found[:, column] == pytest.approx(expand(contraction, RANKS).evaluate(points), rel=1e-9, abs=1e-9)


def test_real_gradients_against_differences():
    points, step = np.random.default_rng(1).standard_normal((2, SIZE)), 1e-6
    found = jacobian(POOL, RANKS, points, Reals())
    for m in range(SIZE):
        shift = np.eye(SIZE)[m] * step
        up, down = (values(POOL, RANKS, points + s * shift, Reals()) for s in (1, -1))
        assert found[:, :, m] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("prime", PRIMES)
def test_residues_are_the_exact_values_and_derivatives(prime):
    field = PrimeField(prime)
    point = np.random.default_rng(2).integers(-9, 10, SIZE)
    found = values(POOL[::7], RANKS, point[None] % prime, field)[0]
    slopes = jacobian(POOL[::7], RANKS, point[None] % prime, field)[0]
    coordinates = [Fraction(int(x)) for x in point]
    for row, contraction in enumerate(POOL[::7]):
        polynomial = expand(contraction, RANKS)
        assert found[row] == reduce(Fraction(polynomial(coordinates)), prime)
        for m in range(0, SIZE, 4):
            assert slopes[row, m] == reduce(Fraction(polynomial.derivative(m)(coordinates)), prime)


def test_several_tensors_of_one_rank():
    ranks = (2, 3, 2)
    points = np.random.default_rng(3).standard_normal((2, 17))
    pool = [c for degree in (2, 3, 4) for c in enumerate_contractions(ranks, degree)]
    found = values(pool, ranks, points, Reals())
    for column, contraction in enumerate(pool):
        assert found[:, column] == pytest.approx(expand(contraction, ranks).evaluate(points))


def test_integer_coordinates_are_scaled_components():
    contraction = POOL[5]
    point = np.random.default_rng(4).integers(-3, 4, SIZE)
    scaled = point / np.concatenate([inverse_lengths(rank) for rank in RANKS])
    exact = float(expand(contraction, RANKS)([Fraction(int(x)) for x in point]))
    assert values([contraction], RANKS, scaled[None], Reals())[0, 0] == pytest.approx(exact)


def test_no_contractions_and_paths():
    assert values([], RANKS, np.zeros((2, SIZE)), Reals()).shape == (2, 0)
    assert jacobian([], RANKS, np.zeros((2, SIZE)), Reals()).shape == (2, 0, SIZE)
    assert contraction_path(1, ()).steps == ()
    assert len(contraction_path(4, ((0, 1, 1), (0, 2, 1), (1, 3, 1), (2, 3, 1))).steps) == 3
