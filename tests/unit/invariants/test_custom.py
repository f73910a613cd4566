"""Sets of the user's own: certified for what they are."""

import pytest

from invarion.exceptions import BasisError
from invarion.invariants import Contraction, custom_basis, optimal_basis

SQUARE = Contraction((1, 1), ((0, 1, 1),))


def test_a_known_set_gets_the_same_certificate():
    basis = optimal_basis(max_rank=3, max_degree=4, parity="both")
    again = custom_basis(reversed(basis.invariants), max_rank=3)
    assert again.certificate.check()
    assert (again.n_odd, again.parity, again.complete) == (1, "both", True)
    assert custom_basis(basis.invariants, max_rank=3).certificate == basis.certificate


def test_graphs_are_brought_into_canonical_form():
    mirrored = Contraction((3, 3, 3, 3), ((0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 3, 2)))
    assert custom_basis([mirrored], max_rank=3).invariants == (mirrored.canonical(),)


@pytest.mark.parametrize("members", [[], [SQUARE, SQUARE]])
def test_nothing_and_twice_the_same_are_refused(members):
    with pytest.raises(BasisError, match="give each once"):
        custom_basis(members, max_rank=2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(BasisError, match="must name one of 1"):
        custom_basis([SQUARE], max_rank=0)
