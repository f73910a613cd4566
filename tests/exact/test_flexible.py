"""Flexible sets: full marks on every stratum, least sizes, tables that come out again, anchors that fail."""

import pytest

from invarion.exceptions import BasisError
from invarion.invariants import InvariantBasis, flexible_basis
from invarion.invariants.flexible import all_pairs_basis, anchored_basis, find_flexible
from invarion.invariants.tables import stored_basis
from invarion.invariants.tables.generate import main


def is_flexible(basis: InvariantBasis) -> bool:
    return all(needed == have for _, needed, have in basis.strata())


@pytest.mark.parametrize(("max_rank", "members"), [(0, 1), (1, 2), (2, 6), (3, 15), (4, 29), (5, 48), (6, 72)])
def test_full_marks_on_every_stratum(max_rank, members):
    basis = flexible_basis(max_rank=max_rank)
    assert is_flexible(basis)
    assert len(basis) == members
    assert len(basis.strata()) == 2**max_rank - 1
    assert basis.certificate.check()
    assert len(basis.certificate.strata) == max(1, 2**max_rank - 1)


@pytest.mark.parametrize("max_rank", [3, 4, 5, 6])
def test_sizes_meet_the_lower_bound(max_rank):
    """1 scalar; 1 or 2l - 2 pure invariants per rank; ties of every pair: what a pair needs beyond the pure ones."""
    pure = {rank: 1 if rank == 1 else 2 * rank - 2 for rank in range(1, max_rank + 1)}
    pairs = [(a, b) for a in pure for b in pure if a < b]
    ties = sum(2 * a + 1 + 2 * b + 1 - 3 - pure[a] - pure[b] for a, b in pairs)
    assert len(flexible_basis(max_rank=max_rank)) == 1 + sum(pure.values()) + ties


def test_degrees_of_the_pure_invariants():
    basis = flexible_basis(max_rank=4)
    pure = {r: [c.degree for c in basis.invariants if set(c.vertices) == {r}] for r in (1, 2, 3, 4)}
    assert pure == {1: [2], 2: [2, 3], 3: [2, 4, 6, 10], 4: [2, 3, 4, 5, 6, 7]}


def test_each_member_of_a_pair_ties_the_pair():
    basis = flexible_basis(max_rank=4)
    assert max(len(set(c.vertices)) for c in basis.invariants) == 2


def test_a_degree_too_low_is_an_error_that_names_what_suffices():
    with pytest.raises(BasisError, match="needs degree 10; set max_degree to 10 or more"):
        flexible_basis(max_rank=3, max_degree=4)
    with pytest.raises(BasisError, match=r"ranks \[2\] need degree 3"):
        flexible_basis(max_rank=2, max_degree=2)
    assert len(flexible_basis(max_rank=3, max_degree=12)) == 15


def test_several_tensors_of_one_rank():
    basis = flexible_basis(ranks=[1, 1, 2])
    assert is_flexible(basis)
    assert [row[0] for row in basis.strata()] == [(1,), (1,), (2,), (1, 1), (1, 2), (1, 2), (1, 1, 2)]
    assert is_flexible(flexible_basis(max_rank=2, channels=2))


def test_mirror_images():
    basis = flexible_basis(max_rank=3, parity="both")
    assert (len(basis), basis.n_odd) == (16, 1)
    assert basis.certificate.check()


def test_cost_counts():
    cheap = flexible_basis(max_rank=2, cost="monomials")
    assert is_flexible(cheap)
    assert len(cheap) == 6


@pytest.mark.parametrize("max_rank", [0, 1, 2, 3, 4])
def test_all_pairs_are_the_flexible_set(max_rank):
    basis = all_pairs_basis(max_rank)
    assert basis.invariants == flexible_basis(max_rank=max_rank).invariants
    assert is_flexible(basis)


@pytest.mark.parametrize(("max_rank", "anchor"), [(2, 2), (3, 2), (3, 3), (4, 2)])
def test_one_anchor_fails_exactly_where_the_anchor_vanishes(max_rank, anchor):
    basis = anchored_basis(max_rank, anchor)
    assert len(basis) == (max_rank + 1) ** 2 - 3
    assert basis.certificate.independent
    assert basis.complete
    for shown, needed, have in basis.strata():
        assert (needed > have) == (anchor not in shown and len(shown) > 1)


@pytest.mark.parametrize("anchor", [0, 1, 4])
def test_what_cannot_anchor(anchor):
    with pytest.raises(BasisError, match="rank from 2 to max_rank = 3"):
        anchored_basis(3, anchor)


@pytest.mark.parametrize(
    "max_rank", [3, 4, pytest.param(5, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)]
)
def test_tables_come_out_again(max_rank):
    stored = stored_basis("flexible", range(max_rank + 1))
    assert stored == find_flexible(tuple(range(max_rank + 1)))


def test_the_generator_writes_them(tmp_path):
    main(["--max-rank", "3", "--folder", str(tmp_path), "--resume", str(tmp_path)])
    text = (tmp_path / "flexible_3.json").read_text("utf-8")
    assert InvariantBasis.from_json(text) == stored_basis("flexible", range(4))


def test_only_one_tensor_per_rank_is_stored():
    assert stored_basis("flexible", [1, 2, 3]) is None
    assert stored_basis("flexible", range(9)) is None


def test_too_many_tensors_for_their_strata():
    with pytest.raises(BasisError, match="at most 12"):
        flexible_basis(max_rank=4, channels=4)
