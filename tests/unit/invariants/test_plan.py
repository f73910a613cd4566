"""Plans against contractions done by einsum over Cartesian tensors, and their derivatives against differences."""

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.geometry.cartesian import unpack
from invarion.invariants.contractions import Contraction
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.execution import evaluate, jacobian, pull_back, run
from invarion.invariants.plan import compile_plan

LEVI_CIVITA = np.array([[[(i - j) * (j - k) * (k - i) / 2 for k in range(3)] for j in range(3)] for i in range(3)])
CASES = {
    "one channel": ((0, 1, 2, 3), range(1, 5), "even"),
    "degree 5": ((0, 1, 2, 3), [5], "even"),
    "two channels": ((0, 1, 2) * 2, range(1, 4), "even"),
    "same rank thrice": ((1, 3, 3), range(2, 5), "even"),
    "rank 6": ((2, 6), range(2, 4), "even"),
    "odd": ((0, 1, 2, 3), range(2, 5), "odd"),
    "odd, two channels": ((1, 2, 1), range(3, 5), "odd"),
}


def contractions(ranks, degrees, parity):
    """Those that do not vanish by symmetry."""
    found = (c for degree in degrees for c in enumerate_contractions(ranks, degree, parity))
    return [c for c in found if not c.flips_sign()]


def by_einsum(members, ranks, point):
    """Values of contractions from Cartesian tensors."""
    ends = np.cumsum([2 * rank + 1 for rank in ranks])
    tensors = [unpack(part, rank) for part, rank in zip(np.split(point, ends[:-1]), ranks, strict=True)]
    operands = ([*(tensors[v] for v in c.vertices), *[LEVI_CIVITA] * bool(c.epsilon)] for c in members)
    return np.array([np.einsum(c.einsum(ranks), *o, optimize=True) for c, o in zip(members, operands, strict=True)])


def points(plan, n=4, dtype=np.float64):
    return np.random.default_rng(5).standard_normal((n, plan.n_inputs)).astype(dtype)


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request):
    ranks, degrees, parity = request.param
    members = contractions(ranks, degrees, parity)
    assert members
    return ranks, members, compile_plan(members, ranks)


def test_values_are_the_contractions(case):
    ranks, members, plan = case
    x = points(plan)
    expected = np.array([by_einsum(members, ranks, point) for point in x])
    scale = np.abs(expected).max(axis=0)
    assert (scale > 1e-3).mean() > 0.7  # some odd contractions vanish identically
    np.testing.assert_allclose(evaluate(plan, x) / (1e-2 + scale), expected / (1e-2 + scale), atol=1e-12)


def test_float32_stays_float32(case):
    _, _, plan = case
    x = points(plan)
    values = evaluate(plan, x.astype(np.float32))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, evaluate(plan, x), rtol=1e-3, atol=1e-4 * np.abs(evaluate(plan, x)).max())


def test_gradient_is_the_slope_along_any_direction(case):
    _, _, plan = case
    rng = np.random.default_rng(6)
    x, cotangents = points(plan), rng.standard_normal((4, plan.n_outputs))
    direction, step = rng.standard_normal(x.shape), 1e-5
    rise = (evaluate(plan, x + step * direction) - evaluate(plan, x - step * direction)) / (2 * step)
    slope = (pull_back(plan, x, cotangents) * direction).sum(axis=1)
    expected = (rise * cotangents).sum(axis=1)
    assert np.abs(slope - expected).max() < 1e-7 * np.abs(rise).max() * plan.n_outputs


def test_curvature_is_the_slope_of_the_gradient(case):
    _, _, plan = case
    rng = np.random.default_rng(7)
    x, g, w = points(plan), rng.standard_normal((4, plan.n_outputs)), rng.standard_normal((4, plan.n_inputs))
    step = 1e-5
    second, first = np.split(run(plan.curvature, (x, g, w)), [plan.n_inputs], axis=1)
    change = (pull_back(plan, x + step * w, g) - pull_back(plan, x - step * w, g)) / (2 * step)
    np.testing.assert_allclose(second, change, atol=1e-7 * np.abs(change).max())
    np.testing.assert_allclose(first, np.einsum("nbm,nm->nb", jacobian(plan, x), w), atol=1e-9 * np.abs(first).max())


def test_leading_axes_are_kept():
    plan = compile_plan([Contraction((0, 0), ((0, 1, 1),))], [1])
    x = np.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_allclose(evaluate(plan, x)[..., 0], (x * x).sum(axis=2))
    np.testing.assert_allclose(jacobian(plan, x)[..., 0, :], 2 * x)
    assert evaluate(plan, np.empty((0, 3))).shape == (0, 1)


def test_long_arrays_are_cut_into_blocks_without_a_seam():
    ranks = (0, 1, 2, 3)
    plan = compile_plan(contractions(ranks, range(1, 5), "even"), ranks)
    x = points(plan, n=5000)
    one_by_one = np.stack([evaluate(plan, row) for row in x[1500:1600]])
    np.testing.assert_array_equal(evaluate(plan, x)[1500:1600], one_by_one)


def test_pieces_in_common_are_computed_once():
    ranks = (0, 1, 2, 3)
    members = contractions(ranks, range(1, 5), "even")
    alone = sum(compile_plan([c], ranks).n_multiplications for c in members)
    assert compile_plan(members, ranks).n_multiplications < 0.6 * alone


def test_published_invariants_take_few_multiplications():
    """The 13 expand to 352 monomials of up to four factors, or about 1000 multiplications."""
    from invarion.invariants import published_basis

    basis = published_basis(max_rank=3, max_degree=4)
    assert compile_plan(basis.invariants, basis.ranks).n_multiplications < 250


def test_unused_tensors_have_zero_gradient():
    plan = compile_plan([Contraction((1, 1), ((0, 1, 1),))], [1, 1])
    x = points(plan)
    np.testing.assert_array_equal(jacobian(plan, x)[:, 0, :3], 0.0)


def test_no_invariants_are_no_columns():
    assert evaluate(compile_plan([], [1]), np.ones((3, 3))).shape == (3, 0)


def test_refuses_what_does_not_fit():
    plan = compile_plan([Contraction((0, 0), ((0, 1, 1),))], [1])
    with pytest.raises(BasisError, match=r"shape \(2, 4\)"):
        evaluate(plan, np.ones((2, 4)))
    with pytest.raises(BasisError, match="edge ends"):
        compile_plan([Contraction((0, 0), ((0, 1, 1),))], [2])
    with pytest.raises(BasisError, match="not connected"):
        compile_plan([Contraction((0, 0, 0, 0), ((0, 1, 1), (2, 3, 1)))], [1])


def test_equal_requests_give_equal_plans():
    ranks = (0, 1, 2, 3)
    members = contractions(ranks, range(1, 4), "even")
    first, second = compile_plan(members, ranks), compile_plan(members, ranks)
    assert first == second
    assert first.values.digest == second.values.digest
    assert first.values != first.gradient
