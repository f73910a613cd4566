"""Sizes, ranks and costs of the bases against the project's table of facts; the float rank equals the exact one."""

import numpy as np
import pytest

from invarion.invariants import optimal_basis, published_basis
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.fields import Reals
from invarion.invariants.gradients import jacobian
from invarion.invariants.greedy import Greedy
from invarion.invariants.odd import least_odd_degree
from invarion.invariants.polynomial import expand
from invarion.invariants.strata import rank_on_strata


def float_rank(contractions, ranks, seed: int = 0) -> int:
    """Rank of the Jacobian at a random point in float64, threshold 1e-8 of the largest singular value."""
    point = np.random.default_rng(seed).standard_normal((1, sum(2 * r + 1 for r in ranks)))
    rows = jacobian(contractions, ranks, point, Reals())[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    singular = np.linalg.svd(rows, compute_uv=False)
    return int((singular > 1e-8 * singular[0]).sum())


@pytest.mark.parametrize(
    ("ranks", "max_degree", "total"),
    [((0, 1, 2, 3), 4, 20), ((0, 1, 2, 3), 5, 42), ((0, 1, 2, 3, 4), 4, 51), ((3,), 10, 120)],
)
def test_numbers_of_connected_graphs(ranks, max_degree, total):
    assert sum(len(list(enumerate_contractions(ranks, d))) for d in range(1, max_degree + 1)) == total


def test_connected_cubic_multigraphs():
    counts = [len(list(enumerate_contractions((3,), d))) for d in (2, 4, 6, 8, 10)]
    assert counts == [1, 2, 6, 20, 91]  # OEIS A000421


@pytest.mark.parametrize(
    ("max_rank", "max_degree", "members", "complete"),
    [
        (0, 1, 1, True),
        (1, 2, 2, True),
        (2, 4, 6, True),
        (3, 3, 8, False),
        (3, 4, 13, True),
        (4, 5, 22, True),
        (5, 4, 33, True),
        (6, 4, 46, True),
    ],
)
def test_optimal_sizes(max_rank, max_degree, members, complete):
    basis = optimal_basis(max_rank=max_rank, max_degree=max_degree)
    proof = basis.certificate
    assert (len(basis), proof.rank, proof.independent, proof.complete) == (members, members, True, complete)
    assert proof.dimension == (max_rank + 1) ** 2
    assert proof.orbit_dimension == (0, 2, 3)[min(max_rank, 2)]
    assert proof.check()
    assert float_rank(basis.invariants, basis.ranks) == members


@pytest.mark.parametrize(
    ("channels", "max_rank", "members"), [(2, 3, 29), (3, 3, 45), (4, 3, 61), (2, 2, 15), (4, 4, 97)]
)
def test_several_channels_are_complete_at_degree_3(channels, max_rank, members):
    basis = optimal_basis(max_rank=max_rank, max_degree=3, channels=channels)
    assert (len(basis), basis.complete, max(basis.degrees)) == (members, True, 3)
    assert basis.certificate.check()


def test_any_list_of_tensors():
    basis = optimal_basis(ranks=[1, 3, 3])
    assert len(basis) == 17 - 3
    assert basis.complete
    assert len(optimal_basis(ranks=[1, 1])) == 3
    assert len(optimal_basis(ranks=[0, 0, 0])) == 3
    assert optimal_basis(ranks=[3]).degrees == (2, 4, 6, 10)
    assert optimal_basis(ranks=[4]).degrees == (2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("max_degree", "max_rank", "members"),
    [(4, 3, 13), (4, 2, 6), (4, 1, 2), (3, 3, 7), (3, 2, 5), (3, 1, 2), (2, 3, 4), (2, 2, 3), (2, 1, 2), (1, 3, 1)],
)
def test_published_sizes(max_degree, max_rank, members):
    basis = published_basis(max_rank, max_degree)
    assert len(basis) == members == basis.certificate.rank
    assert basis.certificate.check()


def test_total_degrees():
    assert sum(optimal_basis(max_rank=3, max_degree=4).degrees) == 39
    assert sum(published_basis(3, 4).degrees) == 40
    missing = set(optimal_basis(max_rank=3, max_degree=3).names) - set(published_basis(3, 3).names)
    assert missing == {"1.2.3:ac.bc2"}  # v.(T:Q)


def test_greedy_is_cheapest_among_all_independent_sets():
    """Brute force over a small matroid: no independent set of full rank costs less."""
    from itertools import combinations

    ranks = (1, 2)
    pool = [c for d in range(1, 6) for c in enumerate_contractions(ranks, d)]
    for name in ("degree", "monomials"):
        basis = optimal_basis(ranks=ranks, max_degree=5, cost=name)
        price = {c: c.degree if name == "degree" else len(expand(c, ranks)) for c in pool}
        full = [s for s in combinations(pool, len(basis)) if len(Greedy(ranks).offer(s)) == len(basis)]
        assert sum(basis.costs) == min(sum(price[c] for c in s) for s in full)


def test_one_cost_never_beats_another_at_its_own_game():
    degree = optimal_basis(max_rank=4, max_degree=4)
    monomials = optimal_basis(max_rank=4, max_degree=4, cost="monomials")
    edges = optimal_basis(max_rank=4, max_degree=4, cost=lambda c: sum(m for *_, m in c.edges) + 1)
    assert sum(monomials.costs) < sum(len(expand(c, degree.ranks)) for c in degree.invariants)
    assert sum(edges.costs) <= min(
        sum(sum(m for *_, m in c.edges) + 1 for c in b.invariants) for b in (degree, monomials)
    )
    assert sum(degree.degrees) == sum(monomials.degrees)


@pytest.mark.parametrize(("max_rank", "degree"), [(2, 6), (3, 4), (4, 3)])
def test_least_odd_degrees(max_rank, degree):
    assert least_odd_degree(range(max_rank + 1)) == degree
    basis = optimal_basis(max_rank=max_rank, parity="both")
    assert (basis.n_odd, basis.invariants[-1].parity, basis.degrees[-1]) == (1, "odd", degree)
    assert len(basis) == basis.certificate.rank + 1
    assert basis.certificate.check()
    if degree > 3:
        low = optimal_basis(max_rank=max_rank, max_degree=degree - 1, parity="both")
        assert low.n_odd == 0
        assert f"max_degree={degree} brings one" in low.message


def test_content_that_equals_its_mirror_image_has_no_odd_invariant():
    for ranks in ([1], [2], [2, 4], [1, 1], [0]):
        assert optimal_basis(ranks=ranks, parity="both").n_odd == 0
    assert least_odd_degree([3]) == 15


DEGREE_4 = {(1,): 2, (2,): 3, (3,): 3, (1, 2): 6, (1, 3): 7, (2, 3): 8, (1, 2, 3): 13}
DEGREE_5 = {(1,): 2, (2,): 3, (3,): 3, (1, 2): 6, (1, 3): 7, (2, 3): 10, (1, 2, 3): 13}
RANK_4 = {(4,): 4, (1, 4): 6, (2, 4): 12, (3, 4): 10, (1, 2, 4): 15, (1, 3, 4): 17, (2, 3, 4): 19, (1, 2, 3, 4): 22}
NEEDED = {(1,): 2, (2,): 3, (3,): 5, (1, 2): 6, (1, 3): 8, (2, 3): 10, (1, 2, 3): 13}
NEEDED |= {(4,): 7, (1, 4): 10, (2, 4): 12, (3, 4): 14, (1, 2, 4): 15, (1, 3, 4): 17, (2, 3, 4): 19, (1, 2, 3, 4): 22}


@pytest.mark.parametrize(("max_rank", "max_degree", "have"), [(3, 4, DEGREE_4), (3, 5, DEGREE_5), (4, 4, RANK_4)])
def test_ranks_of_all_candidates_on_strata(max_rank, max_degree, have):
    ranks = tuple(range(max_rank + 1))
    pool = [c for d in range(1, max_degree + 1) for c in enumerate_contractions(ranks, d)]
    table = {shown: (needed, found) for shown, needed, found in rank_on_strata(ranks, pool)}
    for shown, found in have.items():
        assert table[shown] == (NEEDED[shown], found), shown


def test_the_published_set_on_strata():
    table = {shown: (needed, have) for shown, needed, have in published_basis(3, 4).strata()}
    assert table[1, 2, 3] == (13, 13)
    assert table[2, 3] == (10, 8)
    assert table[1, 3] == (8, 6)
    assert table[3,] == (5, 3)


@pytest.mark.parametrize("ranks", [(0, 1, 2, 3), (1, 2, 3, 4), (2, 2, 3), (3,), (0, 1, 2, 0, 1, 2)])
def test_float_rank_is_the_exact_rank(ranks):
    pool = [c for d in range(1, 5) for c in enumerate_contractions(ranks, d)]
    greedy = Greedy(ranks)
    greedy.offer(pool)
    assert float_rank(pool, ranks) == len(greedy.kept)
