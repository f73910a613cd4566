"""Requests, steering and refusals of optimal and published bases; stopping and resuming."""

import json
import time

import pytest

from invarion.exceptions import BasisError, InvarionError
from invarion.invariants import InvariantBasis, optimal_basis, published_basis
from invarion.invariants.counting import estimated_candidates, labelled_multigraphs
from invarion.invariants.enumeration import connected_graphs, enumerate_contractions


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "either max_rank"),
        ({"max_rank": 3, "ranks": [1]}, "either max_rank"),
        ({"max_rank": -1}, "max_rank is -1"),
        ({"max_rank": 2.5}, "max_rank is 2.5; it must be a whole number"),
        ({"max_rank": True}, "whole number"),
        ({"max_rank": 3, "max_degree": 0}, "max_degree is 0"),
        ({"max_rank": 3, "max_degree": 10**9}, "max_degree is 1000000000, but degrees up to 100 are allowed"),
        ({"max_rank": 3, "max_degree": 10**9, "cost": "monomials"}, "degrees up to 100 are allowed"),
        ({"max_rank": 3, "min_per_degree": {10**9: 1}}, "each degree of min_per_degree is 1000000000, but"),
        ({"max_rank": 3, "channels": 0}, "channels is 0"),
        ({"ranks": []}, "ranks is empty"),
        ({"ranks": [1, -2]}, "each of ranks is -2"),
        ({"ranks": [1, 2], "channels": 2}, "list the tensors of all channels"),
        ({"max_rank": 3, "parity": "odd"}, "allowed are 'even' and 'both'"),
        ({"max_rank": 3, "cost": "price"}, "allowed are 'degree', 'monomials'"),
        ({"max_rank": 3, "max_degree": 3, "min_per_degree": {4: 1}}, "names degree 4, but max_degree is 3"),
        ({"max_rank": 3, "max_degree": 4, "min_per_degree": {4: -1}}, r"min_per_degree\[4\] is -1"),
        ({"max_rank": 3, "max_degree": 4, "min_per_degree": {2: 9}}, "only 3 are independent"),
        ({"max_rank": 3, "min_per_degree": [4]}, "min_per_degree is .*; give a mapping"),
        ({"max_rank": 10**9}, "max_rank is 1000000000, but ranks up to 12"),
        ({"ranks": [1, 13]}, "each of ranks is 13, but ranks up to 12"),
        ({"max_rank": 3, "channels": 10**6}, "16000000 components"),
        ({"max_rank": 4, "channels": 10**300}, "channels"),
        ({"ranks": 3}, "ranks is 3; give a list"),
        ({"ranks": "123"}, "ranks is '123'; give a list"),
        ({"max_rank": 2, "seed": -1}, "seed is -1"),
        ({"max_rank": 2, "seed": "x"}, "seed is 'x'"),
        ({"max_rank": 2, "cost": lambda c: "dear"}, "cost of .* is 'dear'; it must be a finite number"),
        ({"max_rank": 2, "cost": lambda c: float("nan")}, "it must be a finite number"),
    ],
)
def test_wrong_requests_get_one_clear_message(request_, message):
    with pytest.raises(BasisError, match=message):
        optimal_basis(**request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"max_rank": 6, "max_degree": 10, "cost": "monomials"},
        {"max_rank": 4, "channels": 8, "max_degree": 6, "min_per_degree": {6: 1}},
        {"max_rank": 3, "channels": 30, "max_degree": 5, "cost": "monomials"},
    ],
)
def test_too_many_candidates_are_refused_before_they_are_made(request_):
    start = time.process_time()
    with pytest.raises(BasisError, match="500,000 contractions"):
        optimal_basis(**request_)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("ranks", [[3], [5], [0, 3]])
def test_odd_invariants_of_high_degree_are_found_among_more_candidates_than_can_be_listed(ranks):
    start = time.process_time()
    basis = optimal_basis(ranks=ranks, parity="both")
    assert time.process_time() - start < 60
    assert basis.n_odd == 1
    assert basis.degrees[-1] == basis.search.least_odd_degree
    assert basis.certificate.check()
    assert basis.certificate.odd_values[0] != 0
    assert basis.invariants[-1].canonical() == basis.invariants[-1]


@pytest.mark.parametrize(("ranks", "degree"), [((0, 1, 2, 3), 5), ((0, 1, 2, 3, 4), 5), ((6,), 6), ((1, 2, 3) * 3, 4)])
def test_estimates_are_of_the_right_order(ranks, degree):
    count = len(list(enumerate_contractions(ranks, degree)))
    assert count / 4 < estimated_candidates(ranks, degree) < count * 2
    assert estimated_candidates(ranks, degree, enough=count / 20) > count / 20


@pytest.mark.parametrize("degrees", [(3, 4, 5, 6), (2, 2, 3, 3, 4, 4), (1, 1, 2), (2, 4, 1), (1, 2)])
def test_labelled_graphs_against_enumeration(degrees):
    exact = len(connected_graphs(tuple((d, i) for i, d in enumerate(degrees)), False))
    assert labelled_multigraphs(degrees) == pytest.approx(exact, rel=0.2, abs=0.01)


def test_an_incomplete_set_names_the_degree_that_suffices():
    basis = optimal_basis(max_rank=3, max_degree=3)
    assert not basis.complete
    assert basis.search is not None
    assert basis.search.sufficient_degree == 4
    assert basis.message == "not complete: 8 of 13 independent; max_degree=4 suffices"
    assert optimal_basis(ranks=[3], max_degree=4).search.sufficient_degree == 10
    assert optimal_basis(max_rank=3, max_degree=4).message == ""


def test_least_numbers_per_degree():
    plain = optimal_basis(max_rank=3, max_degree=4, channels=2)
    assert max(plain.degrees) == 3
    steered = optimal_basis(max_rank=3, max_degree=4, channels=2, min_per_degree={4: 6, 3: 2})
    assert steered.degrees.count(4) == 6
    assert steered.degrees.count(3) >= 2
    assert steered.complete
    assert steered.certificate.independent
    assert steered.degrees == tuple(sorted(steered.degrees))


def test_the_same_basis_every_time_and_from_any_seed():
    first = optimal_basis(max_rank=4, max_degree=4)
    assert first == optimal_basis(max_rank=4, max_degree=4)
    assert first.invariants == optimal_basis(max_rank=4, max_degree=4, seed=5).invariants
    assert first.names[:6] == ("0", "1.1:ab", "2.2:ab2", "3.3:ab3", "4.4:ab4", "1.1.2:ac.bc")


def test_a_search_tells_and_resumes(tmp_path):
    lines: list[str] = []
    journal = tmp_path / "search.jsonl"

    def stop_at_degree_3(line: str) -> None:
        lines.append(line)
        if "degree 3" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimal_basis(max_rank=3, resume=journal, progress=stop_at_degree_3)
    assert lines == [f"degree {d}: {n} of 13 independent" for d, n in ((1, 1), (2, 4), (3, 8))]
    with journal.open("a") as file:
        file.write('{"stage": "degree 4", "kept": [[[0')  # killed in the middle of a line
    assert optimal_basis(max_rank=3, resume=journal) == optimal_basis(max_rank=3)
    stages = [json.loads(line).get("stage") for line in journal.read_text().splitlines()]
    assert stages == [None, "degree 1", "degree 2", "degree 3", "degree 4"]


def test_long_lists_of_graphs_tell_how_far_they_are(monkeypatch):
    monkeypatch.setattr("invarion.invariants.enumeration._TELL_EVERY", 200)
    lines: list[str] = []
    assert list(enumerate_contractions([6], 6, tell=lines.append)) == list(enumerate_contractions([6], 6))
    assert lines == ["joining tensor 4 of 6: 200 of 310 unfinished graphs"]


def test_finished_stages_are_not_done_again(tmp_path, monkeypatch):
    journal = tmp_path / "search.jsonl"
    wanted = optimal_basis(max_rank=3, cost="monomials", resume=journal)
    import invarion.invariants.search as search

    def fail(*args, **options):
        raise AssertionError("the pool was made again")

    monkeypatch.setattr(search.Offers, "_from_pool", fail)
    assert optimal_basis(max_rank=3, cost="monomials", resume=journal).invariants == wanted.invariants


def test_journals_of_other_searches_are_refused(tmp_path):
    journal = tmp_path / "search.jsonl"
    optimal_basis(max_rank=2, resume=journal)
    with pytest.raises(BasisError, match="another search"):
        optimal_basis(max_rank=3, resume=journal)
    journal.write_text("not a journal\n")
    with pytest.raises(BasisError, match="not the journal"):
        optimal_basis(max_rank=2, resume=journal)


@pytest.mark.parametrize(("max_rank", "max_degree"), [(4, 4), (3, 5)])
def test_beyond_the_published_table(max_rank, max_degree):
    with pytest.raises(BasisError, match=rf"use optimal_basis\({max_rank}, {max_degree}\)"):
        published_basis(max_rank, max_degree)


def test_the_published_order():
    names = (
        "0 1.1:ab 2.2:ab2 2.2.2:ab.ac.bc 3.3:ab3 3.3.3.3:ab.ac2.bd2.cd 1.1.2:ac.bc 1.1.2.2:ac.bd.cd 1.1.1.3:ad.bd.cd "
    )
    names += "1.1.3.3:ac.bd.cd2 2.3.3:ab.ac.bc2 2.2.3.3:ab.ac.bd.cd2 2.2.3.3:ac2.bd2.cd"
    basis = published_basis(3, 4)
    assert basis.names == tuple(names.split())
    assert all(c == c.canonical() for c in basis.invariants)
    assert published_basis(2, 3).names == ("0", "1.1:ab", "2.2:ab2", "2.2.2:ab.ac.bc", "1.1.2:ac.bc")


def test_errors_are_value_errors_of_the_package():
    with pytest.raises(InvarionError):
        published_basis(7)
    with pytest.raises(ValueError, match="JSON of an invariant basis"):
        InvariantBasis.from_json("[]")
