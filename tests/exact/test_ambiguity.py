"""Environments that share all values of a basis: found, real, and told apart by a separating basis."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from invarion.exceptions import BasisError
from invarion.geometry.rotations import random_rotation, rotation_matrix
from invarion.invariants import ambiguity, optimal_basis, published_basis, separating_basis
from invarion.invariants.alignment import Alignment, infinitesimal_rotations
from invarion.invariants.completeness import miss_bound
from invarion.invariants.contractions import Contraction
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.execution import evaluate
from invarion.invariants.optimal import assemble
from invarion.invariants.plan import compile_plan
from invarion.invariants.roots import find_roots

RANKS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def published():
    return published_basis(max_rank=3, max_degree=4)


@pytest.fixture(scope="module")
def found(published):
    return ambiguity(published, n_targets=3, n_starts=60, seed=4)


@pytest.fixture(scope="module")
def separating():
    return separating_basis(max_rank=3, n_targets=6, n_starts=60, seed=1)


def pairs(result):
    return [
        (target, partner)
        for target, partners in zip(result.targets, result.partners, strict=True)
        for partner in partners
    ]


def test_published_invariants_are_ambiguous(found):
    assert min(found.counts) >= 2
    assert found.counts == tuple(len(p) + 1 for p in found.partners)
    assert found.n_converged == sum(map(sum, found.hits)) > 60


def test_partners_share_all_published_values(published, found):
    for target, partner in pairs(found):
        np.testing.assert_allclose(published.evaluate(partner), published.evaluate(target), rtol=1e-7, atol=1e-9)


def test_partners_differ_in_some_contraction_of_degree_five_or_less(found):
    members = [c for degree in range(1, 6) for c in enumerate_contractions(RANKS, degree)]
    assert len(members) == 42
    plan = compile_plan(members, RANKS)
    for target, partner in pairs(found):
        values, other = evaluate(plan, target), evaluate(plan, partner)
        assert np.max(np.abs(values - other) / (1 + np.abs(values))) > 1e-4


def test_partners_are_no_rotations_by_another_optimiser(found):
    """The alignment is checked by a derivative-free search over rotation vectors, with and without inversion."""
    target, partner = pairs(found)[0]
    parity = np.concatenate([np.full(2 * rank + 1, (-1.0) ** rank) for rank in RANKS])

    def distance(vector, image):
        return np.linalg.norm(target - rotation_matrix(Rotation.from_rotvec(vector).as_matrix(), RANKS) @ image)

    starts = Rotation.random(8, rng=np.random.default_rng(0)).as_rotvec()
    images = (partner, parity * partner)
    ends = [minimize(distance, start, image, method="Nelder-Mead").fun for start in starts for image in images]
    aligned = Alignment.of(RANKS, reflections=True).distances(target[None], partner, tried=64)[0]
    assert min(ends) > 1e-2
    assert 1e-2 < aligned <= min(ends) + 1e-6


@pytest.mark.parametrize("ranks", [(1,), (0, 1, 2), (3,), RANKS, (1, 1, 2), (0, 2, 4)])
@pytest.mark.parametrize("improper", [False, True])
def test_alignment_finds_rotations_and_knows_reflections(ranks, improper):
    rng = np.random.default_rng(7)
    point = rng.standard_normal(sum(2 * rank + 1 for rank in ranks))
    turned = np.array([rotation_matrix(random_rotation(rng, improper), ranks) @ point for _ in range(20)])
    assert Alignment.of(ranks, reflections=True).distances(turned, point).max() < 1e-9
    mirrored = Alignment.of(ranks, reflections=False).distances(turned, point)
    if improper and ranks not in ((1,), (0, 2, 4)):  # a vector is its own mirror image, even ranks do not see one
        assert mirrored.min() > 1e-2
    else:
        assert mirrored.max() < 1e-9


def test_infinitesimal_rotations_are_antisymmetric_and_close_under_commutation():
    x, y, z = infinitesimal_rotations(RANKS)
    for turn in (x, y, z):
        np.testing.assert_allclose(turn, -turn.T, atol=1e-14)
    assert min(np.abs(x @ y - y @ x - z).max(), np.abs(x @ y - y @ x + z).max()) < 1e-13


def test_roots_are_roots(published):
    independent = published.certificate.strata[0].rows
    plan = compile_plan([published.invariants[i] for i in independent], RANKS)
    rng = np.random.default_rng(3)
    values = evaluate(plan, rng.standard_normal(16))
    roots = find_roots(plan, values, rng.standard_normal((30, 16)))
    assert roots.found.sum() > 5
    reached = evaluate(plan, roots.points[roots.found])
    np.testing.assert_allclose(reached, np.broadcast_to(values, reached.shape), rtol=1e-8, atol=1e-8)


def test_vector_and_quadrupole_are_determined():
    result = ambiguity(optimal_basis(max_rank=2), n_targets=4, n_starts=30)
    assert result.counts == (1,) * 4
    assert result.partners[0].shape == (0, 9)
    assert result.miss_bound == pytest.approx(1 - 0.05 ** (1 / result.n_converged), rel=1e-6)


def test_mirror_images_count_only_where_the_basis_tells_them_apart():
    even = ambiguity(optimal_basis(max_rank=2), n_targets=2, n_starts=30)
    both = optimal_basis(max_rank=2, parity="both")
    assert both.n_odd == 1
    assert even.counts == ambiguity(both, n_targets=2, n_starts=30).counts == (1, 1)


def test_two_vectors_without_their_product_share_values_by_families():
    incomplete = optimal_basis(max_rank=3, max_degree=2)
    with pytest.raises(BasisError, match="infinitely many"):
        ambiguity(incomplete)


def test_a_lost_sign_is_found_as_a_second_orbit():
    """tr Q^2 and tr Q^6 = (tr Q^2)^3 / 4 + 3 (det Q)^2 fix Q up to rotations and the sign of its determinant."""
    edges = (*((i, i + 1, 1) for i in range(5)), (0, 5, 1))
    members = (Contraction((0, 0), ((0, 1, 2),)), *(Contraction((0,) * 6, tuple(sorted(edges))).canonical(),))
    basis = assemble((2,), 1, "custom", "even", 6, members, lambda c: c.degree, None)
    result = ambiguity(basis, n_targets=3, n_starts=30)
    assert result.counts == (2, 2, 2)
    alignment = Alignment.of((2,), reflections=True)
    for target, partner in pairs(result):
        assert alignment.distances(-target[None], partner)[0] < 1e-6


def test_miss_bound_grows_with_orbits_seen_once():
    assert miss_bound([]) == 1.0
    assert miss_bound([[0, 1]]) == 1.0
    assert miss_bound([[100]]) == pytest.approx(0.0295, abs=1e-4)
    assert miss_bound([[99, 1]]) > miss_bound([[98, 2]]) == miss_bound([[100]])


def test_separating_basis_tells_the_partners_of_others_apart(separating, published):
    assert len(separating) == 14
    assert separating.complete
    assert not separating.certificate.independent
    assert separating.certificate.check()
    assert separating.search.n_targets == 6
    assert 0 < separating.search.miss_bound < 0.1
    other = ambiguity(optimal_basis(max_rank=3), n_targets=3, n_starts=40, seed=11)
    assert max(other.counts) > 1
    for target, partner in pairs(other):
        values, seen = separating.evaluate(target), separating.evaluate(partner)
        assert np.max(np.abs(values - seen) / (1 + np.abs(values))) > 1e-4


def test_no_partner_of_the_separating_basis_is_found_for_fresh_environments(separating):
    assert ambiguity(separating, n_targets=4, n_starts=50, seed=23).counts == (1,) * 4


def test_separating_bases_are_reproducible():
    first, second = (separating_basis(max_rank=2, n_targets=2, n_starts=10) for _ in range(2))
    assert first == second


def test_a_search_that_was_stopped_goes_on(separating, tmp_path):
    journal, lines, options = tmp_path / "search.jsonl", [], {"n_targets": 6, "n_starts": 60, "seed": 1}

    def stop_in_the_second_round(line):
        lines.append(line)
        if sum(text.startswith("environment 1 of 6") for text in lines) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separating_basis(3, **options, resume=journal, progress=stop_in_the_second_round)
    assert separating_basis(3, **options, resume=journal, progress=lines.append) == separating
    rounds = [line for line in lines if " invariants: " in line]
    assert len(rounds) == 2, rounds  # the first was not done again
    assert rounds[-1] == "14 invariants: 0 partners of 6 environments"
    with pytest.raises(BasisError, match="another search"):
        separating_basis(3, **{**options, "seed": 2}, resume=journal)


def test_separating_refuses_what_cannot_be_reached():
    with pytest.raises(BasisError, match="set max_degree to 4"):
        separating_basis(max_rank=3, max_degree=3)
    with pytest.raises(BasisError, match="n_starts is 0"):
        separating_basis(max_rank=2, n_starts=0)
