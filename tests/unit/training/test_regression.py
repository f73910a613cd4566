"""Solutions from a triangle against scikit-learn and against what made the data."""

import logging

import numpy as np
import pytest

from invarion.exceptions import ConfigError
from invarion.training.blocks import factorise
from invarion.training.regression import Spectrum, solve_factor


def data(n=400, p=20, noise=0.1, sparse=False, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    weights = rng.normal(size=p)
    if sparse:
        weights[3:] = 0.0
    return x, x @ weights + noise * rng.normal(size=n), weights


def factor_of(x, y):
    return factorise(np.column_stack([x, y]))


def test_ridge_equals_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed (extra: fit)")
    x, y, _ = data()
    x = x / np.linalg.norm(x, axis=0)
    expected = linear.Ridge(alpha=0.3, fit_intercept=False).fit(x, y).coef_
    np.testing.assert_allclose(solve_factor(factor_of(x, y), "ridge", 0.3).weights, expected, rtol=1e-10)


def test_bayesian_ridge_finds_noise_and_maximises_evidence():
    x, y, weights = data(noise=0.2)
    solution = solve_factor(factor_of(x, y), "bayesian_ridge")
    assert solution.noise == pytest.approx(0.2, rel=0.1)
    np.testing.assert_allclose(solution.weights, weights, atol=0.06)
    # evidence by its definition: y is normal with covariance noise^2 (X X^T / lambda + 1)
    spectrum = Spectrum(factor_of(x, y))
    scaled = x * spectrum.scale

    def evidence(strength):
        shape = scaled @ scaled.T / strength + np.eye(len(y))
        quadratic = y @ np.linalg.solve(shape, y)
        n = len(y)
        return -0.5 * (n * np.log(2 * np.pi * quadratic / n) + n + np.linalg.slogdet(shape)[1])

    best = solution.regularisation
    assert solution.log_evidence == pytest.approx(evidence(best), rel=1e-8)
    assert evidence(best) >= max(evidence(1.1 * best), evidence(best / 1.1))


def test_covariance_is_that_of_repeated_experiments():
    x, _, weights = data(n=100, p=4)
    rng = np.random.default_rng(1)
    fits = [
        solve_factor(factor_of(x, x @ weights + 0.1 * rng.normal(size=100)), "ridge", 1e-12).weights for _ in range(400)
    ]
    root = solve_factor(factor_of(x, x @ weights + 0.1 * rng.normal(size=100)), "ridge", 1e-12).covariance_root
    np.testing.assert_allclose(np.diag(root @ root.T), np.var(fits, axis=0), rtol=0.35)


@pytest.mark.parametrize("method", ["ard", "sparse"])
def test_irrelevant_columns_are_left_out(method):
    if method == "sparse":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fit)")
    x, y, weights = data(noise=0.3, sparse=True)
    solution = solve_factor(factor_of(x, y), method)
    np.testing.assert_allclose(solution.weights, weights, atol=0.06)
    assert np.abs(solution.weights[3:]).max() < 0.02
    assert solution.effective < 12


def test_a_singular_system_is_reported_and_solved(caplog):
    x, y, _ = data(p=5)
    x = np.column_stack([x, x[:, 0], np.zeros(len(x))])
    with caplog.at_level(logging.WARNING):
        solution = solve_factor(factor_of(x, y), "bayesian_ridge")
    assert solution.rank == 5
    assert "rank 5 of 7 columns" in caplog.text
    assert np.isfinite(solution.weights).all()
    assert solution.weights[-1] == 0.0
    assert np.linalg.norm(x @ solution.weights - y) < 1.01 * np.linalg.norm(x[:, :5] @ data(p=5)[2] - y)


def test_fewer_rows_than_columns_are_solved():
    x, y, _ = data(n=8, p=20)
    solution = solve_factor(factor_of(x, y), "bayesian_ridge")
    assert solution.rank == 8
    assert np.isfinite(solution.weights).all()


def test_an_ill_conditioned_system_is_solved_to_its_precision():
    x, _, weights = data(n=300, p=10)
    x = x @ np.linalg.qr(np.random.default_rng(2).normal(size=(10, 10)))[0] * np.logspace(0, -5, 10)
    solution = solve_factor(factor_of(x, x @ weights), "ridge", 1e-14)
    np.testing.assert_allclose(solution.weights, weights, rtol=1e-6)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="allowed are ridge"):
        solve_factor(factor_of(*data()[:2]), "magic")
