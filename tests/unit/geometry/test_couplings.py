"""Couplings against sympy's Clebsch-Gordan numbers and against rotations."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.geometry.couplings import clebsch_gordan, complex_from_real, couple, couple_real, coupling_table

TRIANGLES = [(a, b, c) for a, b, c in itertools.product(range(4), repeat=3) if abs(a - b) <= c <= a + b]


@pytest.mark.parametrize("ranks", TRIANGLES)
def test_equals_sympy(ranks):
    cg = pytest.importorskip("sympy.physics.quantum.cg", reason="sympy has the oracle")
    l1, l2, l3 = ranks
    for m1, m2 in itertools.product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if abs(m1 + m2) > l3:
            continue
        root = clebsch_gordan(l1, m1, l2, m2, l3, m1 + m2)
        assert float(root) == pytest.approx(float(cg.CG(l1, m1, l2, m2, l3, m1 + m2).doit()), abs=1e-13)


@pytest.mark.parametrize("ranks", [*TRIANGLES, (6, 6, 6), (5, 4, 2), (6, 3, 9)])
def test_rows_are_exactly_orthonormal(ranks):
    l1, l2, l3 = ranks
    entries = couple_real(l1, l2, l3)
    for m in range(-l3, l3 + 1):
        assert sum((root.square for key, root in entries.items() if key[2] == m), Fraction(0)) == 1
    table = coupling_table(l1, l2, l3)
    np.testing.assert_allclose(np.einsum("abM,abN->MN", table, table), np.eye(2 * l3 + 1), atol=1e-14)


@pytest.mark.parametrize("ranks", TRIANGLES)
def test_real_couplings_are_the_complex_ones_in_another_basis(ranks):
    l1, l2, l3 = ranks
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1), complex)
    for m1, m2 in itertools.product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if abs(m1 + m2) <= l3:
            table[m1 + l1, m2 + l2, m1 + m2 + l3] = float(clebsch_gordan(l1, m1, l2, m2, l3, m1 + m2))
    u1, u2, u3 = (complex_from_real(degree) for degree in ranks)
    real = np.einsum("abc,aA,bB,cC->ABC", table, u1, u2, u3.conj())
    phase = 1j if sum(ranks) % 2 else 1
    np.testing.assert_allclose(real / phase, coupling_table(*ranks), atol=1e-14)


def test_two_vectors_couple_to_their_dot_and_cross_product():
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    packed = [v[[1, 2, 0]] for v in (a, b)]
    dot = np.einsum("a,b,abM->M", *packed, coupling_table(1, 1, 0))
    cross = np.einsum("a,b,abM->M", *packed, coupling_table(1, 1, 1))
    np.testing.assert_allclose(dot, [-(a @ b) / 3**0.5])
    np.testing.assert_allclose(np.abs(cross), np.abs(np.cross(a, b)[[1, 2, 0]]) / 2**0.5)


def test_numbers_are_coprime_integers():
    numbers = couple(6, 5, 4).numbers.values()
    assert all(isinstance(number, int) for number in numbers)
    assert np.gcd.reduce(np.array(list(numbers), dtype=object)) == 1


def test_no_triangle_is_refused():
    with pytest.raises(BasisError, match="do not couple"):
        couple(1, 1, 3)
