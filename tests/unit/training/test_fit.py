"""`fit` on small crystals whose labels come from a known potential."""

import logging

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import invarion as inv
from invarion.exceptions import ConfigError, DataError
from invarion.models.ace.perceptron import Mlp
from invarion.models.ace.readout import Linear, Polynomial
from invarion.training.linear import FitOptions, coefficients, solve


def crystals(n=12, seed=0):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        frame = bulk("Cu", cubic=True)
        frame.set_cell(frame.cell * rng.uniform(0.95, 1.05, 3), scale_atoms=True)
        frame.rattle(0.15, rng=rng)
        frames.append(frame)
    return frames


def labelled(frames, potential, stress=False):
    found = []
    for frame in frames:
        prediction = potential.predict(frame)
        copy = frame.copy()
        copy.info["REF_energy"] = float(prediction.energy[0])
        copy.arrays["REF_forces"] = prediction.forces
        if stress:
            copy.info["REF_stress"] = prediction.stress[0]
        found.append(copy)
    return found


def teacher(**settings):
    settings = {"n_radial": 3, "max_rank": 2, "max_degree": 2, "contraction": "none", **settings}
    config = inv.ace(4.5, basis="full", **settings)
    potential = inv.Potential(config, [29], [-3.0]).double().eval()
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in potential.network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.1, parameter.shape)))
    return potential


@pytest.mark.parametrize("method", ["ridge", "bayesian_ridge", "ard"])
def test_a_linear_teacher_is_found_again(method):
    known = teacher()
    frames = labelled(crystals(), known)
    student = inv.Potential(known.config, [29], [-3.0])
    # the teacher's coefficients are of one size, whether their functions oscillate or not
    strength = 1e-14 if method == "ridge" else None
    inv.fit(student, frames, FitOptions(method=method, regularisation=strength, smoothness=0.0))
    prediction, expected = student.predict(frames), known.predict(frames)
    np.testing.assert_allclose(prediction.forces, expected.forces, atol=2e-4)
    np.testing.assert_allclose(prediction.energy, expected.energy, atol=2e-4)


@pytest.mark.parametrize("target", ["energy", "forces", "stress"])
def test_any_one_kind_of_label_is_enough(target):
    known = teacher()
    frames = labelled(crystals(40 if target != "forces" else 6), known, stress=True)
    for frame in frames:
        if target != "energy":
            frame.info["REF_energy"] = float("nan")
        if target != "forces":
            del frame.arrays["REF_forces"]
        if target != "stress":
            del frame.info["REF_stress"]
    student = inv.fit(inv.Potential(known.config, [29], [-3.0]), frames, FitOptions(method="ridge", smoothness=0.0))
    found, expected = student.predict(frames), known.predict(frames)
    one, other = getattr(found, target), getattr(expected, target)
    np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other - other.mean()).max())


def test_totals_add_up_over_the_factors_of_each_product():
    readout = Polynomial(2, degree=3)
    numbers = torch.tensor([1, 10])
    assert readout.totals(numbers).tolist() == [1, 10, 2, 11, 20, 3, 12, 21, 30]
    assert Linear(2).totals(numbers).tolist() == [1, 10]
    assert Mlp(2, (4, 3)).totals(numbers).tolist() == [1, 10, 1, 1, 1]


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("budget", [None, 6.5])
def test_a_polynomial_is_the_sum_of_its_products(degree, budget):
    readout = Polynomial(4, degree, torch.tensor([0.0, 1.0, 2.5, 1.0]), budget).double()
    readout.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    readout.scale = torch.tensor([1.0, 2.0, 3.0, 0.5]).double()
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(readout(x), readout.features(x) @ readout.weight)
    if budget:
        assert float(readout.totals(torch.tensor([1.0, 2.0, 3.5, 2.0])).max()) <= budget


def test_smoothness_keeps_products_of_oscillating_functions_small():
    """With fewer labels than products the prior decides, and the smooth ones explain what they can."""
    frames = labelled(crystals(1), teacher())
    config = inv.ace(4.5, n_radial=4, max_rank=3, max_degree=3, readout="polynomial")
    shares = {}
    for smoothness in (0.0, 3.0):
        student = inv.Potential.from_data(config, frames)
        inv.fit(student, frames, FitOptions(method="ridge", regularisation=1e-6, smoothness=smoothness))
        readout = student.network.readouts[0]
        functions = student.network.basis.functions[0]
        sizes = readout.totals(torch.tensor([sum(slot.n - 1 + slot.rank for slot in f.slots) for f in functions]))
        weights = readout.weight.detach().square()
        shares[smoothness] = float(weights[sizes > sizes.double().median()].sum() / weights.sum())
    assert shares[3.0] < 0.1 * shares[0.0]


def test_embedding_and_network_readouts_go_down_from_the_linear_solution():
    known = teacher(readout="embedding")
    known.network.readouts[0].densities.data *= 30.0  # far from where the root is nearly linear
    frames = labelled(crystals(8), known)
    network = {"epochs": 200, "learning_rate": 0.02, "batch_size": 1, "weight_decay": 0.0}
    options = FitOptions(max_rounds=12, energy_weight=3.0, **network)
    errors = {}
    for readout in ("linear", "embedding", "mlp"):
        config = known.config.model_copy(update={"readout": readout, "hidden": (8,)})
        torch.manual_seed(0)
        student = inv.Potential(config, [29], [-3.0])
        graph = inv.graph(frames, 4.5)
        student.double().network.calibrate(graph, torch.zeros(graph.n_atoms, dtype=torch.int64))
        inv.fit(student, frames, options)
        errors[readout] = np.square(student.predict(frames).forces - known.predict(frames).forces).mean() ** 0.5
    assert errors["embedding"] < 0.9 * errors["linear"]
    assert errors["mlp"] < 0.6 * errors["linear"]


def test_weights_of_structures_count_as_repetitions():
    known = teacher()
    frames = labelled(crystals(4), known)
    frames[0].info["REF_energy"] += 0.5
    frames[0].info["weight"] = 2.0
    options = FitOptions(method="ridge", regularisation=1e-10)
    weighted = inv.fit(inv.Potential(known.config, [29], [-3.0]), frames, options)
    del frames[0].info["weight"]
    repeated = inv.fit(inv.Potential(known.config, [29], [-3.0]), [frames[0]] * 4 + frames[1:], options)
    np.testing.assert_allclose(coefficients(weighted.network), coefficients(repeated.network), rtol=1e-4, atol=1e-6)


def test_blocks_do_not_change_the_solution(tmp_path):
    known = teacher()
    frames = labelled(crystals(), known)
    one = solve(inv.Potential(known.config, [29], [-3.0]), frames, FitOptions(block_rows=100_000))
    many = solve(
        inv.Potential(known.config, [29], [-3.0]), frames, FitOptions(block_rows=50, folder=str(tmp_path / "blocks"))
    )
    assert one.n_rows == many.n_rows == len(frames) * 13
    np.testing.assert_allclose(one.weights, many.weights, rtol=1e-4, atol=1e-7)


def test_fewer_labels_than_coefficients_are_reported(caplog):
    known = teacher(n_radial=6, max_rank=3)
    with caplog.at_level(logging.WARNING):
        inv.fit(inv.Potential(known.config, [29], [-3.0]), labelled(crystals(1), known))
    assert "labels for" in caplog.text


def test_a_gas_of_isolated_atoms_is_fitted_without_a_crash(caplog):
    frames = [Atoms("Cu2", [(0, 0, 0), (0, 0, 30.0)], info={"REF_energy": -6.0 - 0.01 * n}) for n in range(3)]
    with caplog.at_level(logging.WARNING):
        potential = inv.fit(inv.Potential(teacher().config, [29], [-3.0]), frames)
    assert "rank 0" in caplog.text
    assert potential.predict(frames[0]).energy[0] == pytest.approx(-6.0)


def test_numbers_that_are_not_finite_name_the_frame():
    known = teacher()
    frames = labelled(crystals(3), known)
    frames[1].arrays["REF_forces"][0, 0] = np.inf
    with pytest.raises(DataError, match="1"):
        inv.fit(inv.Potential(known.config, [29], [-3.0]), frames)


def test_other_models_and_empty_sets_are_refused():
    with pytest.raises(ConfigError, match=r"invarion\.train"):
        inv.fit(inv.Potential(inv.hip_nn(4.5, n_features=4), [29]), crystals(1))
    with pytest.raises(DataError, match="no structures"):
        inv.fit(inv.Potential(teacher().config, [29]), [])
