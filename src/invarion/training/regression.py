"""Regularised linear regression from the triangle of [X | y]: ridge, Bayesian ridge, ARD and sparse solutions."""

import logging
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from invarion.exceptions import ConfigError
from invarion.training.blocks import Factor

METHODS = ("ridge", "bayesian_ridge", "ard", "sparse")

_ILL_CONDITIONED = 1e12


@dataclass(frozen=True)
class Solution:
    r"""Coefficients and what is known about them.

    Attributes:
        weights: (P,).
        noise: standard deviation of a weighted row about the fit.
        covariance_root: (P, r) C with covariance C C^T of the weights, noise included; None for "sparse".
        rank: numerical rank of the rows, columns scaled to unit norm.
        condition: ratio of the largest and smallest singular value of those.
        effective: number of parameters that the data determine, :math:`\sum s^2 / (s^2 + \lambda)`.
        regularisation: lambda on unit-norm columns; the mean for "ard".
        log_evidence: log marginal likelihood where a method maximises it, else NaN.
        n_rows: rows fitted.
    """

    weights: np.ndarray
    noise: float
    covariance_root: np.ndarray | None
    rank: int
    condition: float
    effective: float
    regularisation: float
    log_evidence: float
    n_rows: int


class Spectrum:
    """The triangle with columns over their prior scale, as singular values and rotated right-hand side.

    Args:
        factor: of [X | y].
        prior: (P,) relative size that coefficients may have, on columns of unit norm; ones if None.
    """

    def __init__(self, factor: Factor, prior: np.ndarray | None = None) -> None:
        triangle = factor.triangle[:-1, :-1]
        norms = np.linalg.norm(triangle, axis=0)
        prior = np.ones(len(norms)) if prior is None else prior
        self.scale = np.where(norms > 0, prior / np.where(norms > 0, norms, 1.0), 0.0)
        self.left, self.values, right = scipy.linalg.svd(triangle * self.scale, check_finite=False)
        self.right = right.T
        self.rotated = self.left.T @ factor.triangle[:-1, -1]
        self.rest = float(factor.triangle[-1, -1] ** 2)
        self.n_rows = factor.n_rows

    @property
    def rank(self) -> int:
        """Numerical rank."""
        if not len(self.values) or self.values[0] == 0.0:
            return 0
        limit = self.values[0] * np.finfo(float).eps * max(self.n_rows, len(self.values))
        return int((self.values > limit).sum())

    @property
    def condition(self) -> float:
        """Largest over smallest singular value; infinite where one vanishes."""
        last = self.values[-1] if len(self.values) else 0.0
        return float(self.values[0] / last) if last > 0 else float("inf")

    def weights(self, strength: float) -> np.ndarray:
        """Ridge coefficients (P,) for a penalty strength."""
        return self.scale * (self.right @ (self.values * self.rotated / (self.values**2 + strength)))

    def residual(self, strength: float) -> float:
        """Sum of squared residuals of those."""
        return self.rest + float(np.sum((self.rotated * strength / (self.values**2 + strength)) ** 2))

    def effective(self, strength: float) -> float:
        """Number of parameters that the rows determine."""
        return float(np.sum(self.values**2 / (self.values**2 + strength)))

    def covariance_root(self, strength: float, noise: float) -> np.ndarray:
        """(P, P) root of the posterior covariance."""
        return noise * self.scale[:, None] * self.right / np.sqrt(self.values**2 + strength)


def solve_factor(
    factor: Factor, method: str = "bayesian_ridge", strength: float | None = None, prior: np.ndarray | None = None
) -> Solution:
    """Solve least squares from its triangle.

    Args:
        factor: of [X | y].
        method: "ridge" (given strength, or the minimum of generalised cross validation), "bayesian_ridge" (strength and
            noise of largest evidence), "ard" (one strength per coefficient, of largest evidence; those not needed
            become zero) or "sparse" (the lasso's path, its support of best Bayesian information criterion, refitted).
        strength: of "ridge", on columns of unit norm.
        prior: (P,) relative size that coefficients may have.

    Raises:
        ConfigError: an unknown method.

    References:
        D. J. C. MacKay, Neural Computation 4, 415 (1992); M. E. Tipping, J. Mach. Learn. Res. 1, 211 (2001).
    """
    if method not in METHODS:
        raise ConfigError(f"method is {method!r}; allowed are {', '.join(METHODS)}")
    spectrum = Spectrum(factor, prior)
    _report_conditioning(spectrum)
    if method == "ard":
        return _solve_ard(factor, spectrum)
    if method == "sparse":
        return _solve_sparse(factor, spectrum)
    evidence = float("nan")
    if method == "bayesian_ridge":
        strength, evidence = _most_probable(spectrum)
    elif strength is None:
        strength = _cross_validated(spectrum)
    noise = _noise(spectrum, strength)
    root = spectrum.covariance_root(strength, noise)
    numbers = (spectrum.rank, spectrum.condition, spectrum.effective(strength), strength, evidence, factor.n_rows)
    return Solution(spectrum.weights(strength), noise, root, *numbers)


def _noise(spectrum: Spectrum, strength: float) -> float:
    freedom = max(1.0, spectrum.n_rows - spectrum.effective(strength))
    return float(np.sqrt(spectrum.residual(strength) / freedom))


def _strengths(spectrum: Spectrum) -> np.ndarray:
    """Candidates from rounding to the largest singular value, four per decade."""
    top = float(spectrum.values[0] ** 2) if len(spectrum.values) and spectrum.values[0] > 0 else 1.0
    return top * np.logspace(-16, 0, 65)


def _cross_validated(spectrum: Spectrum) -> float:
    """Strength of the smallest generalised cross validation score."""
    n = spectrum.n_rows
    scores = [spectrum.residual(s) / max(n - spectrum.effective(s), 1e-9) ** 2 for s in _strengths(spectrum)]
    return float(_strengths(spectrum)[int(np.argmin(scores))])


def _most_probable(spectrum: Spectrum) -> tuple[float, float]:
    """Strength of largest evidence, the noise being maximised at each; refined between grid points."""
    from scipy.optimize import minimize_scalar

    grid = np.log(_strengths(spectrum))
    best = int(np.argmax([_log_evidence(spectrum, float(np.exp(x))) for x in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda x: -_log_evidence(spectrum, float(np.exp(x))), bounds=ends, method="bounded")
    return float(np.exp(found.x)), -float(found.fun)


def _log_evidence(spectrum: Spectrum, strength: float) -> float:
    """Log marginal likelihood at a strength, noise of largest evidence inserted."""
    n, squares = spectrum.n_rows, spectrum.values**2
    fit = spectrum.rest + float(np.sum(spectrum.rotated**2 * strength / (squares + strength)))
    noise = max(fit / n, 1e-300)
    return -0.5 * (n * np.log(2 * np.pi * noise) + n + float(np.sum(np.log1p(squares / strength))))


def _solve_ard(factor: Factor, spectrum: Spectrum, n_rounds: int = 60) -> Solution:
    """Automatic relevance determination by MacKay's updates on the Gram matrix of the triangle."""
    scaled = factor.triangle[:-1, :-1] * spectrum.scale
    gram, right = scaled.T @ scaled, scaled.T @ factor.triangle[:-1, -1]
    total = float(factor.triangle[:-1, -1] @ factor.triangle[:-1, -1]) + spectrum.rest
    start, evidence = _most_probable(spectrum)
    noise = _noise(spectrum, start) ** 2
    alpha = np.full(len(right), start / noise)
    kept = np.flatnonzero(spectrum.scale > 0)
    mean, covariance = np.zeros(len(kept)), np.zeros((len(kept),) * 2)
    for _ in range(n_rounds):
        precision = gram[np.ix_(kept, kept)] / noise + np.diag(alpha[kept])
        covariance = scipy.linalg.cho_solve(scipy.linalg.cho_factor(precision), np.eye(len(kept)))
        mean = covariance @ right[kept] / noise
        determined = np.clip(1.0 - alpha[kept] * np.diag(covariance), 1e-12, 1.0)
        residual = max(total - 2 * mean @ right[kept] + mean @ gram[np.ix_(kept, kept)] @ mean, 1e-300)
        noise = residual / max(1.0, factor.n_rows - determined.sum())
        alpha[kept] = np.clip(determined / np.maximum(mean**2, 1e-300), 1e-300, 1e300)
        relevant = alpha[kept] < 1e10 * np.min(alpha[kept])
        if not relevant.all():
            kept, mean, covariance = kept[relevant], mean[relevant], covariance[np.ix_(relevant, relevant)]
    weights, root = np.zeros(len(right)), np.zeros((len(right), len(kept)))
    weights[kept] = spectrum.scale[kept] * mean
    root[kept] = spectrum.scale[kept, None] * np.linalg.cholesky(covariance + 1e-300 * np.eye(len(kept)))
    numbers = (spectrum.rank, spectrum.condition, float(len(kept)), float(np.mean(alpha[kept]) * noise), evidence)
    return Solution(weights, float(np.sqrt(noise)), root, *numbers, factor.n_rows)


def _solve_sparse(factor: Factor, spectrum: Spectrum) -> Solution:
    """The lasso's path by least angles; the support of best BIC is refitted without penalty."""
    from sklearn.linear_model import lars_path_gram

    scaled = factor.triangle[:-1, :-1] * spectrum.scale
    gram, right = scaled.T @ scaled, scaled.T @ factor.triangle[:-1, -1]
    total = float(factor.triangle[:-1, -1] @ factor.triangle[:-1, -1]) + spectrum.rest
    _, _, path = lars_path_gram(right, gram, n_samples=factor.n_rows, method="lasso")
    supports = {tuple(np.flatnonzero(column)) for column in path.T}
    best, weights, noise = np.inf, np.zeros(len(right)), float(np.sqrt(total / factor.n_rows))
    for support in sorted(supports, key=len):
        chosen = list(support)
        refit, *_ = np.linalg.lstsq(scaled[:, chosen], factor.triangle[:-1, -1], rcond=None)
        residual = max(total - float(right[chosen] @ refit), 1e-300)
        score = factor.n_rows * np.log(residual / factor.n_rows) + len(chosen) * np.log(factor.n_rows)
        if score < best:
            best, weights = score, np.zeros(len(right))
            weights[chosen] = spectrum.scale[chosen] * refit
            noise = float(np.sqrt(residual / max(1, factor.n_rows - len(chosen))))
    effective = float(np.count_nonzero(weights))
    numbers = (spectrum.rank, spectrum.condition, effective, 0.0, float("nan"), factor.n_rows)
    return Solution(weights, noise, None, *numbers)


def _report_conditioning(spectrum: Spectrum) -> None:
    """Say it where the rows do not determine all coefficients; the solution is regularised in any case."""
    columns = len(spectrum.values)
    if spectrum.rank < columns or spectrum.condition > _ILL_CONDITIONED:
        logging.getLogger(__name__).warning(
            "the linear system has rank %d of %d columns and condition number %.1e (%d rows); it is solved regularised",
            spectrum.rank,
            columns,
            spectrum.condition,
            spectrum.n_rows,
        )
