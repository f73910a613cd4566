"""Exact polynomials: by hand, harmonic facts, derivatives, LaTeX."""

from fractions import Fraction

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.geometry import random_rotation, rotation_matrix
from invarion.invariants import Contraction, published_basis
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.polynomial import Polynomial, expand

RANKS = (0, 1, 2, 3)


def test_scalars_and_squares_by_hand():
    assert expand(Contraction((0,)), RANKS) == Polynomial(RANKS, Fraction(1), (((0,), 1),))
    # Q:Q in integer harmonics: norms 1/2 (xy, yz, xz), 6 (2zz-xx-yy), 2 (xx-yy)
    square = expand(Contraction((0, 0), ((0, 1, 2),)), (2,))
    assert square.factor == Fraction(1, 2)
    assert square.terms == (((0, 0), 1), ((1, 1), 1), ((2, 2), 12), ((3, 3), 1), ((4, 4), 4))


def test_coefficients_have_no_common_divisor_and_values_are_exact():
    contraction = Contraction((1, 1, 2), ((0, 2, 1), (1, 2, 1)))
    polynomial = expand(contraction, RANKS)
    assert np.gcd.reduce([c for _, c in polynomial.terms]) == 1
    # v = z, Q = 2zz - xx - yy: v.Q.v = 2
    point = [Fraction(0)] * 16
    point[2] = point[6] = Fraction(1)
    assert polynomial(point) == 2


def test_determinant_of_a_quadrupole():
    # tr Q^3 = 3 det Q for traceless Q; Q = diag(-1, -1, 2): -3 * ... = 6
    cube = expand(Contraction((0, 0, 0), ((0, 1, 1), (0, 2, 1), (1, 2, 1))), (2,))
    point = [Fraction(0)] * 5
    point[2] = Fraction(1)
    assert cube(point) == 6


def test_number_of_monomials_of_the_published_set():
    sizes = [len(expand(c, RANKS)) for c in published_basis(3, 4).invariants]
    assert sizes == [1, 3, 5, 8, 7, 45, 8, 21, 16, 39, 24, 84, 71]


def test_float_values_turn_with_the_tensors():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((3, 16))
    turned = points @ rotation_matrix(random_rotation(rng), RANKS).T
    for contraction in enumerate_contractions(RANKS, 4):
        polynomial = expand(contraction, RANKS)
        assert polynomial.evaluate(turned) == pytest.approx(polynomial.evaluate(points), rel=1e-9, abs=1e-9)


def test_flipping_odd_contractions_expand_to_nothing():
    for contraction in enumerate_contractions((0, 1, 2), 6, "odd"):
        assert (len(expand(contraction, (0, 1, 2))) == 0) or not contraction.flips_sign()
    assert any(len(expand(c, (0, 1, 2))) for c in enumerate_contractions((0, 1, 2), 6, "odd"))


def test_euler_identity():
    polynomial = expand(Contraction((1, 1, 1, 3), ((0, 3, 1), (1, 3, 1), (2, 3, 1))), RANKS)
    point = [Fraction(k * k - 3 * k + 1, k + 1) for k in range(16)]
    assert sum(polynomial.derivative(m)(point) * point[m] for m in range(16)) == polynomial.degree * polynomial(point)


def test_latex():
    assert expand(Contraction((0, 1), ((0, 1, 1),)), (1, 1)).latex() == (
        "w^{1,0}_{-1} w^{1,1}_{-1} + w^{1,0}_{0} w^{1,1}_{0} + w^{1,0}_{1} w^{1,1}_{1}"
    )
    assert expand(Contraction((0, 0), ((0, 1, 2),)), (2,)).latex().startswith(r"\tfrac{1}{2} \left({w^{2}_{-2}}^{2} + ")
    assert Polynomial((1,), Fraction(1), ()).latex() == "0"
    assert Polynomial((1,), Fraction(-1), (((0,), 1),)).latex() == "-w^{1}_{-1}"


def test_a_contraction_that_does_not_fit():
    with pytest.raises(BasisError, match="edge ends"):
        expand(Contraction((1, 2), ((0, 1, 1),)), RANKS)
