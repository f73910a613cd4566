"""The network of an ACE potential learns what its linear part leaves over, from any kind of label."""

import numpy as np
import pytest
import torch
from ase.build import bulk

import invarion as inv
from invarion.exceptions import ConfigError, DataError
from invarion.models.ace.perceptron import Mlp
from invarion.training import network_fit
from invarion.training.linear import FitOptions

CONFIG = inv.ace(4.2, n_radial=2, max_rank=1, max_degree=2, readout="mlp", hidden=(6,))


def crystals(n):
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        frame = bulk("NiAl", "cesiumchloride", a=2.9, cubic=True) * (2, 1, 1)
        frame.rattle(0.2, rng=rng)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def taught():
    """Structures of two elements whose labels a network of the same shape made."""
    frames = crystals(8)
    teacher = inv.Potential(CONFIG, [13, 28], [-3.0, -5.0]).double().eval()
    graph = inv.graph(frames, 4.2)
    teacher.network.calibrate(graph, teacher.species_index(graph.species))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for readout in teacher.network.readouts:
            for parameter in readout.layers.parameters():
                parameter.normal_(0.0, 0.2)
    prediction = teacher.predict(frames)
    atoms = np.cumsum([0, *map(len, frames)])
    for place, frame in enumerate(frames):
        frame.info["REF_energy"] = float(prediction.energy[place])
        frame.info["REF_stress"] = prediction.stress[place]
        frame.arrays["REF_forces"] = prediction.forces[atoms[place] : atoms[place + 1]]
    return frames


def student(readout="mlp"):
    return inv.Potential.from_data(
        CONFIG.model_copy(update={"readout": readout}), crystals(8), references={"Al": -3.0, "Ni": -5.0}
    )


def error(potential, frames):
    wanted = np.concatenate([frame.arrays["REF_forces"] for frame in frames])
    return float(np.square(potential.predict(frames).forces - wanted).mean() ** 0.5)


@pytest.mark.parametrize("gone", [None, "energy", "stress"])
def test_the_network_learns_what_the_linear_part_leaves_over(taught, gone):
    frames = [frame.copy() for frame in taught]
    for frame in frames:
        if gone:
            del frame.info[f"REF_{gone}"]
    options = FitOptions(
        energy_weight=1.0,
        stress_weight=0.1,
        smoothness=0.0,
        epochs=60,
        batch_size=1,
        learning_rate=0.02,
        weight_decay=0.0,
    )
    errors = {kind: error(inv.fit(student(kind), frames, options), taught) for kind in ("linear", "mlp")}
    assert errors["mlp"] < 0.7 * errors["linear"]


def test_a_fit_can_be_repeated(taught):
    one, other = (inv.fit(student(), taught, FitOptions(epochs=2)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_last_layer_is_solved_for_with_the_linear_part(taught):
    """Labels of a network with the same hidden layers are met without training."""
    known = student().double().eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        for readout in known.network.readouts:
            for weights in readout.coefficients():
                weights.normal_()
    frames = [frame.copy() for frame in taught]
    prediction = known.predict(frames)
    atoms = np.cumsum([0, *map(len, frames)])
    for place, frame in enumerate(frames):
        frame.info["REF_energy"], frame.info["REF_stress"] = float(prediction.energy[place]), prediction.stress[place]
        frame.arrays["REF_forces"] = prediction.forces[atoms[place] : atoms[place + 1]]
    found = inv.fit(student(), frames, FitOptions(method="ridge", regularisation=1e-12))
    assert error(found, frames) < 1e-3 * np.square(prediction.forces).mean() ** 0.5


def test_smooth_functions_weigh_more_in_what_a_network_sees():
    values = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    sizes = torch.tensor([0, 3])
    even, smooth = (Mlp(2, (3,), sizes, smoothness).double() for smoothness in (0.0, 2.0))
    for readout in (even, smooth):
        readout.calibrate(values)
    torch.testing.assert_close(even.scale, values.std(0))
    weights = values.std(0) / smooth.scale
    assert float(weights[0] / weights[1]) == pytest.approx(16.0)
    assert float(weights.square().mean()) == pytest.approx(1.0)


def test_tables_that_do_not_fit_are_refused(taught, monkeypatch):
    monkeypatch.setattr(network_fit, "_MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"inv\.train"):
        inv.fit(student(), taught, FitOptions(epochs=1))


def test_numbers_that_are_not_finite_name_the_frame(taught):
    frames = [frame.copy() for frame in taught]
    potential = student()
    potential.network.descriptor.radial.coefficients[:] = torch.inf
    with pytest.raises(DataError, match="structure 0"):
        inv.fit(potential, frames)
