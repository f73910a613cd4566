"""Greedy selection: unlucky points are replaced, and what rests on chance is counted."""

import numpy as np
import pytest

from invarion.invariants import optimal_basis
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.greedy import Greedy

RANKS = (0, 1, 2, 3)
POOL = [c for degree in range(1, 5) for c in enumerate_contractions(RANKS, degree)]


@pytest.mark.parametrize("unlucky", [0, 1])
def test_an_unlucky_point_is_drawn_again(unlucky):
    greedy = Greedy(RANKS)
    greedy.offer(POOL[:4])
    greedy._trials[unlucky]._point = np.zeros(16, dtype=np.int64)  # every gradient of degree > 1 vanishes there
    greedy.offer(POOL[4:])
    lucky = Greedy(RANKS)
    lucky.offer(POOL)
    assert greedy.kept == lucky.kept
    assert greedy.complete
    assert greedy._trials[unlucky]._point.any()


def test_rejections_that_a_count_proves_do_not_rest_on_chance():
    greedy = Greedy((2,))
    greedy.offer([c for degree in range(1, 8) for c in enumerate_contractions((2,), degree)])
    assert len(greedy.kept) == 2
    assert greedy.n_unproved == 0
    assert greedy.error_bound == 0
    search = optimal_basis(max_rank=3, max_degree=4).search
    assert search is not None
    assert (search.n_unproved, search.error_bound) == (0, 0.0)


def test_other_rejections_are_counted_with_their_chance():
    search = optimal_basis(ranks=[3]).search
    assert search is not None
    # of the graphs of degree 4, 6, 8 all but one, all but one, all; one of degree 10 before the member is found
    assert search.n_unproved == (2 - 1) + (6 - 1) + 20 + 1
    assert 0 < search.error_bound < 1e-10


def test_limits_and_copies():
    greedy = Greedy(RANKS)
    assert len(greedy.offer(POOL, limit=5)) == 5
    copy = greedy.copy()
    copy.offer(POOL)
    assert (len(greedy.kept), len(copy.kept)) == (5, 13)
    assert greedy.offer(POOL) == copy.kept[5:]
    assert greedy.offer(POOL) == []


def test_long_lists_are_told_of(monkeypatch):
    import invarion.invariants.greedy as module

    monkeypatch.setattr(module, "_CHUNK", 6)
    lines: list[str] = []
    greedy = Greedy(RANKS)
    greedy.offer(POOL, tell=lines.append)
    assert greedy.complete
    assert lines[0].startswith("6 of 20 candidates: 6 of 13")
