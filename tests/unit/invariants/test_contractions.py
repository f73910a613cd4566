"""Contractions: canonical form, names, einsum, refusals."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invarion.exceptions import BasisError
from invarion.geometry import component_slices, random_rotation, rotation_matrix, unpack
from invarion.invariants import Contraction
from invarion.invariants.canonical import automorphisms, canonical_order, permute
from invarion.invariants.contractions import contraction_data, from_matrix, read_contraction
from invarion.invariants.enumeration import enumerate_contractions

RANKS = (0, 1, 2, 3)
LEVI_CIVITA = np.array([[[(a - b) * (b - c) * (c - a) / 2 for c in range(3)] for b in range(3)] for a in range(3)])


def cartesian_value(contraction: Contraction, ranks, components: np.ndarray) -> float:
    slices = component_slices(ranks)
    operands = [unpack(components[slices[s]], ranks[s]) for s in contraction.vertices]
    if contraction.epsilon:
        operands.append(LEVI_CIVITA)
    return float(np.einsum(contraction.einsum(ranks), *operands, optimize=True))


@given(seed=st.integers(0, 10**6), data=st.data())
def test_canonical_form_forgets_the_order_of_equal_tensors_only(seed, data):
    pool = [c for degree in (3, 4, 5) for c in enumerate_contractions(RANKS, degree)]
    contraction = pool[seed % len(pool)]
    order = data.draw(st.permutations(range(contraction.degree)))
    slots = [contraction.vertices[v] for v in order]
    shuffled = from_matrix(slots, permute(contraction.matrix(), order))
    assert shuffled == contraction == contraction.canonical()


def test_canonical_form_tells_different_tensors_of_one_rank_apart():
    first = Contraction((0, 0, 1, 1), ((0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 3, 2))).canonical()
    second = Contraction((0, 0, 1, 1), ((0, 1, 1), (0, 2, 2), (1, 3, 2), (2, 3, 1))).canonical()
    assert first != second
    assert Contraction((0, 0, 0, 0), first.edges).canonical() == Contraction((0, 0, 0, 0), second.edges).canonical()


def test_canonical_order_against_all_permutations():
    rng = np.random.default_rng(0)
    for _ in range(40):
        upper = np.triu(rng.integers(0, 3, (5, 5)), 1)
        matrix = tuple(map(tuple, (upper + upper.T).tolist()))
        colours = sorted(rng.integers(0, 2, 5).tolist())
        forms = set()
        for order in permutations(range(5)):
            shuffled, tints = permute(matrix, order), [colours[v] for v in order]
            again = canonical_order(tints, shuffled)
            forms.add((permute(shuffled, again), tuple(tints[v] for v in again)))
        assert len(forms) == 1


def test_automorphisms_of_a_square():
    square = ((0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 1, 0))
    assert len(automorphisms((0, 0, 0, 0), square)) == 8
    assert len(automorphisms((0, 0, 0, 1), square)) == 2


def test_names_and_einsum():
    assert Contraction((0,)).name(RANKS) == "0"
    assert Contraction((2, 2), ((0, 1, 2),)).name(RANKS) == "2.2:ab2"
    assert Contraction((2, 2), ((0, 1, 2),)).einsum(RANKS) == "ab,ab->"
    odd = Contraction((0, 1, 2), (), (0, 1, 2))
    assert odd.einsum((1, 1, 1)) == "a,b,c,abc->"
    assert odd.name((1, 1, 1)) == "1#0.1#1.1#2:eabc"
    assert (odd.parity, odd.degree) == ("odd", 3)


def test_odd_triple_product_is_a_determinant():
    components = np.random.default_rng(1).standard_normal(9)
    vectors = components.reshape(3, 3)[:, [2, 0, 1]]  # y, z, x packing to x, y, z
    value = cartesian_value(Contraction((0, 1, 2), (), (0, 1, 2)), (1, 1, 1), components)
    assert value == pytest.approx(np.linalg.det(vectors))


@pytest.mark.parametrize("parity", ["even", "odd"])
def test_values_are_invariant_and_odd_ones_change_sign(parity):
    rng = np.random.default_rng(2)
    components = rng.standard_normal(16)
    for improper in (False, True):
        turned = rotation_matrix(random_rotation(rng, improper), RANKS) @ components
        sign = -1 if improper and parity == "odd" else 1
        for contraction in enumerate_contractions(RANKS, 4, parity):
            before = cartesian_value(contraction, RANKS, components)
            assert cartesian_value(contraction, RANKS, turned) == pytest.approx(sign * before, abs=1e-9)


def test_symmetry_that_flips_the_sign_means_zero():
    components = np.random.default_rng(3).standard_normal(16)
    flipping = [c for c in enumerate_contractions(RANKS, 4, "odd") if c.flips_sign()]
    assert flipping
    for contraction in flipping:
        assert cartesian_value(contraction, RANKS, components) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    ("contraction", "message"),
    [
        (Contraction((1, 2), ((0, 1, 1),)), "edge ends"),
        (Contraction((1, 1), ((1, 0, 1),)), "a < b"),
        (Contraction((1, 1), ((0, 2, 1),)), "a < b"),
        (Contraction((1, 1), ((0, 1, 0),)), "a < b"),
        (Contraction((4, 4), ((0, 1, 1),)), "must name one of 4"),
        (Contraction(()), "there must be some"),
        (Contraction((2, 1, 1), ((0, 1, 1), (0, 2, 1))), "sorted"),
        (Contraction((1, 1, 1), (), (2, 1, 0)), "ascending"),
        (Contraction((1, 1, 1), (), (0, 1, 7)), "ascending"),
    ],
)
def test_contractions_that_do_not_fit_are_refused(contraction, message):
    with pytest.raises(BasisError, match=message):
        contraction.check(RANKS)


def test_plain_data_round_trip():
    for contraction in (*enumerate_contractions(RANKS, 4), *enumerate_contractions(RANKS, 4, "odd")):
        assert read_contraction(contraction_data(contraction)) == contraction
