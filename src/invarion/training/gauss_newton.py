"""Gauss-Newton with Levenberg-Marquardt damping for readouts that are not linear in their coefficients."""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from invarion.data.dataset import Sample, collate, samples
from invarion.potential import Potential
from invarion.training.blocks import Factor, factorise
from invarion.training.linear import FitOptions, ace_network, coefficients, design_factor, set_coefficients
from invarion.training.regression import Solution, Spectrum, solve_factor

if TYPE_CHECKING:
    from ase import Atoms

_HELD_OUT = 12  # every twelfth structure judges the steps, so that they end before they learn the noise
_BATCH = 16
_STRONGEST = 1e6
_WEAKEST = 1e-12


class _State(NamedTuple):
    """Coefficients, the loss on the structures fitted and on those held out, and the damping that led there."""

    values: np.ndarray
    loss: float
    held_out: float
    damping: float


def solve_nonlinear(potential: Potential, train: "list[Atoms]", options: FitOptions) -> Solution:
    """Minimise the weighted squares of `FitOptions` over all coefficients, from where the potential stands.

    Each round linearises energies and forces about the coefficients (one streamed factorisation), tries damped steps
    and keeps the one of least loss. Rounds end when a step gains less than the tolerance; the coefficients kept are
    those of least loss on every twelfth structure, which is held out (none where there are fewer than 24).

    Args:
        potential: with readout "embedding" or "mlp", in float64; changed in place.
        train: labelled structures.
        options: see `FitOptions`.

    Returns:
        Solution at the end; its covariance is that of the last linearisation.

    References:
        D. W. Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963).
    """
    held = train[_HELD_OUT // 2 :: _HELD_OUT] if len(train) >= 2 * _HELD_OUT else []
    fitted = [frame for place, frame in enumerate(train) if not held or place % _HELD_OUT != _HELD_OUT // 2]
    batches = [_batches(frames, potential.cutoff) for frames in (fitted, held or fitted)]
    _start_linear(potential, fitted, options)
    network = ace_network(potential)
    best = state = _measure(potential, coefficients(network), batches, options, 1e-3)
    factor = design_factor(potential, fitted, options, _round_folder(options, 1))
    for number in range(options.max_rounds):
        previous, state = state, _step(potential, factor, state, batches, options)
        logging.getLogger(__name__).info(
            "round %d: loss %.6g, held out %.6g, damping %.1e", number + 1, state.loss, state.held_out, state.damping
        )
        best = min(best, state, key=lambda s: s.held_out)
        if not state.loss < (1.0 - options.tolerance) * previous.loss:
            break
        set_coefficients(network, state.values)
        factor = design_factor(potential, fitted, options, _round_folder(options, number + 2))
    set_coefficients(network, best.values)
    return _describe(factor, best)


def _start_linear(potential: Potential, fitted: "list[Atoms]", options: FitOptions) -> None:
    """Begin at the best linear part, the rest as it is: far from any minimum linearisation means little."""
    linear = _linear_columns(potential)
    factor = design_factor(potential, fitted, options, _round_folder(options, 0))
    network = ace_network(potential)
    values = coefficients(network)
    rest = np.setdiff1d(np.arange(len(values)), linear)
    right = factor.triangle[:, -1].copy()
    right[:-1] -= factor.triangle[:-1, rest] @ values[rest]
    reduced = factorise(np.column_stack([factor.triangle[:, linear], right]))
    start = solve_factor(reduced._replace(n_rows=factor.n_rows), "bayesian_ridge")
    values[linear] = start.weights
    set_coefficients(network, values)


def _linear_columns(potential: Potential) -> np.ndarray:
    """Places of the linear coefficients among all."""
    columns, start = [], 0
    for readout in ace_network(potential).readouts:
        for name, weights in readout.named_parameters():
            if name == "weight":
                columns.append(np.arange(start, start + weights.numel()))
            start += weights.numel()
    return np.concatenate(columns)


def _step(
    potential: Potential, factor: Factor, state: _State, batches: list[list[Sample]], options: FitOptions
) -> _State:
    """The best of some damped steps: weaker damping while that helps, stronger until something does."""
    shifted = factor.triangle.copy()
    shifted[:-1, -1] -= shifted[:-1, :-1] @ state.values
    spectrum = Spectrum(factor._replace(triangle=shifted))

    def stepped(damping: float) -> _State:
        return _measure(potential, state.values + spectrum.weights(damping), batches, options, damping)

    best = stepped(state.damping)
    while best.loss < state.loss and (weaker := stepped(0.1 * best.damping)).loss < best.loss:
        best = weaker
    while not best.loss < state.loss and best.damping < _STRONGEST:
        best = stepped(10.0 * best.damping)
    return best if best.loss < state.loss else state._replace(damping=best.damping)


def _measure(
    potential: Potential, values: np.ndarray, batches: list[list[Sample]], options: FitOptions, damping: float
) -> _State:
    set_coefficients(ace_network(potential), values)
    loss, held_out = (sum(_loss(potential, batch, options) for batch in part) for part in batches)
    return _State(values, loss, held_out, max(damping, _WEAKEST))


def _loss(potential: Potential, batch: Sample, options: FitOptions) -> float:
    """Weighted squares of one batch, as the rows of the design have them."""
    graph, labels = batch
    with_stress = options.stress_weight > 0 and bool(labels.stress.isfinite().any())
    prediction = potential(graph, forces=True, stress=with_stress)
    n = graph.system.bincount(minlength=graph.n_systems).double()
    energy = (prediction.energy - labels.energy) / n.sqrt() * options.energy_weight * labels.energy_weight
    total = (energy * labels.weight).square().nansum()
    per_atom = (labels.weight * labels.forces_weight)[graph.system, None] * options.forces_weight
    total = total + ((prediction.forces - labels.forces) * per_atom).square().nansum()
    if with_stress:
        size = graph.volume / n.sqrt() * options.stress_weight * labels.stress_weight * labels.weight
        square = ((prediction.stress - labels.stress) * size[:, None, None]).square()
        total = total + (square.triu().nansum() if graph.n_systems else 0.0)
    return float(total)


def _batches(frames: "list[Atoms]", cutoff: float) -> list[Sample]:
    parts = samples(frames, cutoff)
    return [collate(parts[start : start + _BATCH]) for start in range(0, len(parts), _BATCH)]


def _round_folder(options: FitOptions, number: int) -> str | None:
    """Each round keeps its own blocks, because its rows differ."""
    return None if options.folder is None else f"{options.folder}/round-{number}"


def _describe(factor: Factor, state: _State) -> Solution:
    spectrum = Spectrum(factor)
    strength = max(state.damping, 1e-12)
    freedom = max(1.0, factor.n_rows - spectrum.effective(strength))
    noise = float(np.sqrt(state.loss / freedom))
    root = spectrum.covariance_root(strength, noise)
    numbers = (spectrum.rank, spectrum.condition, spectrum.effective(strength), strength, float("nan"), factor.n_rows)
    return Solution(state.values, noise, root, *numbers)
