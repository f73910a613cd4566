"""Arithmetic modulo primes: exact where int64 and float64 would overflow or round."""

import numpy as np
import pytest

from invarion.exceptions import CertificateError
from invarion.invariants.fields import PRIMES, PrimeField, is_prime
from invarion.invariants.independence import RowSpace, determinant, minor, orbit_dimension


def test_primes_are_the_largest_below_the_limit():
    below = [n for n in range(2**28 - 1, PRIMES[-1] - 1, -2) if all(n % q for q in range(3, int(n**0.5) + 1, 2))]
    assert tuple(below) == PRIMES


def test_primality_against_trial_division():
    for n in (*range(2000), 2047, 2**31 - 1, 2**28 - 57, 268435399 * 3):
        assert is_prime(n) == (n > 1 and all(n % q for q in range(2, min(n, int(n**0.5) + 1))))


@pytest.mark.parametrize("number", [2, 97, 2**28 - 1, 2**31 - 1, 2**24])
def test_a_modulus_must_be_a_prime_of_the_right_size(number):
    with pytest.raises(CertificateError, match="not a prime between"):
        PrimeField(number)


@pytest.mark.parametrize("inner", [1, 127, 128, 3000])
def test_sums_of_the_largest_residues(inner):
    field = PrimeField(PRIMES[0])
    left = np.full((3, inner), field.prime - 1)
    right = np.full((inner, 2), field.prime - 2)
    wanted = inner * (field.prime - 1) * (field.prime - 2) % field.prime
    assert (field.matmul(left, right) == wanted).all()
    assert (field.einsum("Zab,Zb->Za", left[None], right.T[:1]) == wanted).all()


def test_products_against_python_integers():
    field = PrimeField(PRIMES[1])
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, field.prime, (4, 50)), rng.integers(0, field.prime, (50, 6))
    exact = left.astype(object) @ right.astype(object) % field.prime
    assert (field.matmul(left, right) == exact).all()


def test_determinant_and_inverse():
    field = PrimeField(PRIMES[0])
    rng = np.random.default_rng(1)
    matrix = rng.integers(-5, 6, (7, 7))
    wanted = round(np.linalg.det(matrix.astype(float))) % field.prime
    assert determinant(matrix, field) == wanted
    assert determinant(np.array([[0, 1], [1, 0]]), field) == field.prime - 1
    assert determinant(np.array([[1, 2], [2, 4]]), field) == 0
    assert field.inverse(12345) * 12345 % field.prime == 1


def test_row_space_keeps_the_first_independent_rows():
    field = PrimeField(PRIMES[0])
    rng = np.random.default_rng(2)
    basis = rng.integers(0, 100, (60, 80))
    rows = np.concatenate(
        [basis[:20], basis[:20] * 3, basis[5:25] + basis[0], basis[20:], basis @ np.eye(80, dtype=int)]
    )
    space = RowSpace(80, field)
    kept = space.offer(rows)
    assert kept == [*range(20), *range(55, 60), *range(65, 100)]
    assert space.rank == 60 == len(space.pivots)
    assert space.offer(rows) == []


def test_row_space_stops_at_the_limit_and_goes_on():
    field = PrimeField(PRIMES[0])
    rows = np.eye(300, dtype=np.int64)
    space = RowSpace(300, field)
    assert space.offer(rows, limit=7) == list(range(7))
    assert space.offer(rows, limit=0) == []
    assert space.offer(rows) == list(range(7, 300))


def test_minor_is_the_largest():
    field = PrimeField(PRIMES[0])
    rows, columns, value = minor(np.array([[0, 0, 1], [0, 0, 2], [0, 5, 0]]), field)
    assert (rows, columns) == ((0, 2), (1, 2))
    assert value == field.prime - 5


@pytest.mark.parametrize(
    ("ranks", "dimension"),
    [((0,), 0), ((0, 0), 0), ((1,), 2), ((0, 1), 2), ((1, 1), 3), ((2,), 3), ((6,), 3), ((0, 1, 2), 3)],
)
def test_orbit_dimension_is_computed(ranks, dimension):
    assert orbit_dimension(ranks, PrimeField(PRIMES[0])) == dimension
