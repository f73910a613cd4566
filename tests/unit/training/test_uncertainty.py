"""Posterior spreads and extrapolation grades on small crystals."""

import numpy as np
import pytest
from ase.build import bulk
from test_fit import crystals, labelled, teacher

import invarion as inv
from invarion.exceptions import ConfigError, DataError
from invarion.training.linear import FitOptions, solve
from invarion.training.uncertainty import active_set, posterior_spread


def fitted(n=6, noise=0.02, **options):
    known = teacher()
    frames = labelled(crystals(n), known)
    rng = np.random.default_rng(0)
    for frame in frames:
        frame.arrays["REF_forces"] += noise * rng.normal(size=(len(frame), 3))
    potential = inv.Potential(known.config, [29], [-3.0])
    return potential, solve(potential, frames, FitOptions(energy_weight=1.0, **options)), frames, known


def test_errors_have_the_size_of_the_spread():
    potential, solution, _, known = fitted(smoothness=0.0)
    fresh = crystals(10, seed=9)
    spread = posterior_spread(potential, solution, fresh)
    error = potential.predict(fresh).forces - known.predict(fresh).forces
    forces = np.concatenate([forces for _, forces in spread])
    assert forces.shape == error.shape
    assert 0.3 < np.sqrt(np.mean((error / forces) ** 2)) < 3.0


def test_spread_falls_with_data_and_rises_far_away():
    few, many = (fitted(n) for n in (3, 24))
    near, far = crystals(1, seed=5)[0], bulk("Cu", cubic=True)
    far.set_cell(far.cell * 0.75, scale_atoms=True)
    far.rattle(0.1, seed=0)
    spreads = [posterior_spread(potential, solution, [near, far]) for potential, solution, *_ in (few, many)]
    assert spreads[1][0][1].mean() < spreads[0][0][1].mean()
    assert spreads[1][1][1].mean() > 3.0 * spreads[1][0][1].mean()


def test_a_sparse_solution_has_no_spread():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: fit)")
    potential, solution, frames, _ = fitted(method="sparse")
    with pytest.raises(ConfigError, match="no covariance"):
        posterior_spread(potential, solution, frames)


def test_grades_are_at_most_one_in_training_and_large_outside():
    potential, _, frames, _ = fitted(12)
    grades = active_set(potential, frames).grades(potential, frames)
    assert np.concatenate(grades).max() < 1.02
    squeezed = bulk("Cu", cubic=True)
    squeezed.set_cell(squeezed.cell * 0.75, scale_atoms=True)
    assert active_set(potential, frames).grades(potential, [squeezed])[0].min() > 5.0


def test_grades_of_fewer_environments_than_functions_still_exist():
    potential, _, frames, _ = fitted(1)
    grades = active_set(potential, frames).grades(potential, frames)
    np.testing.assert_allclose(grades[0], 1.0, atol=1e-6)


def test_an_element_without_environments_is_refused():
    known = inv.Potential(teacher().config, [14, 29])
    with pytest.raises(DataError, match="element 14"):
        active_set(known, crystals(1))
