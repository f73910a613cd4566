import math

import numpy as np
import pytest
import torch
from ase import Atoms

from invarion.data import samples
from invarion.potential import Potential
from invarion.training.batches import PackedSet
from invarion.training.loss import USUAL_WEIGHTS, Loss, make_loss, upside_down
from invarion.training.options import LossMix, TrainOptions
from invarion.training.targets import Spreads
from springs import Springs, crystals, molecules

SPREADS = Spreads(energy=0.02, forces=0.7, stress=0.05)


def alone(tensor):
    return tensor


def batch_of(atoms: list[Atoms]):
    data = PackedSet(samples(atoms, 3.0), torch.float64)
    every = np.arange(len(atoms))
    return data, data.batch(every, every)


def potential_for(atoms: list[Atoms]) -> Potential:
    torch.manual_seed(0)
    return Potential(Springs(), sorted({z for a in atoms for z in a.numbers.tolist()}), scale=0.3).double()


def loss_with(mix: LossMix, weights=(1.0, 0.0, 0.0), hierarchicality=0.0) -> Loss:
    return Loss(weights, (mix, mix, mix), SPREADS, delta=0.5, hierarchicality=hierarchicality)


def evaluate(loss: Loss, potential: Potential, batch) -> list[torch.Tensor]:
    prediction = potential(batch.graph, forces=loss.needs_forces, stress=loss.needs_stress)
    return loss.parts(loss.sums(prediction, batch.targets), batch.counts, alone)


def huber(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0.5, x**2 / (2 * 0.5), x - 0.5 / 2)


MEANS = {
    "mse": lambda x, w: np.mean(w * x**2),
    "mae": lambda x, w: np.mean(w * x),
    "rmse": lambda x, w: math.sqrt(np.mean(w * x**2)),
    "huber": lambda x, w: np.mean(w * huber(x)),
}


@pytest.mark.parametrize("kind", MEANS)
def test_energy_loss_is_the_formula(kind):
    atoms = molecules(5)
    for i, weight in enumerate((1.0, 2.0, 0.5, 1.0, 3.0)):
        atoms[i].info["weight"] = weight
        atoms[i].info["energy_weight"] = 2.0
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    said = potential.predict(atoms).energy
    sizes = np.abs(said - [a.info["REF_energy"] for a in atoms]) / 3 / SPREADS.energy
    weights = 2.0 * np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    parts = evaluate(loss_with(LossMix(**{kind: 1.5})), potential, batch)
    assert parts[0].item() == pytest.approx(1.5 * MEANS[kind](sizes, weights), rel=1e-10)


@pytest.mark.parametrize("kind", MEANS)
def test_forces_loss_is_the_formula(kind):
    atoms = molecules(5)
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    error = potential.predict(atoms).forces - np.concatenate([a.arrays["REF_forces"] for a in atoms])
    sizes = np.linalg.norm(error, axis=1) / math.sqrt(3) / SPREADS.forces
    parts = evaluate(loss_with(LossMix(**{kind: 1.0}), weights=(0.0, 4.0, 0.0)), potential, batch)
    assert parts[1].item() == pytest.approx(4.0 * MEANS[kind](sizes, np.ones(15)), rel=1e-10)
    assert [parts[0].item(), parts[2].item(), parts[3].item()] == [0.0, 0.0, 0.0]


def test_stress_loss_is_the_formula():
    atoms = crystals(4)
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    error = potential.predict(atoms).stress - np.stack([a.info["REF_stress"] for a in atoms])
    per_atom = np.array([a.get_volume() / 2 for a in atoms])
    sizes = np.linalg.norm(error.reshape(4, 9), axis=1) * per_atom / 3 / SPREADS.stress
    parts = evaluate(loss_with(LossMix(mae=1.0), weights=(0.0, 0.0, 1.0)), potential, batch)
    assert parts[2].item() == pytest.approx(np.mean(sizes), rel=1e-10)


def test_kinds_mix():
    atoms = molecules(5)
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    single = [evaluate(loss_with(LossMix(**{kind: 1.0})), potential, batch)[0].item() for kind in ("mae", "rmse")]
    both = evaluate(loss_with(LossMix(mae=2.0, rmse=3.0)), potential, batch)[0]
    assert both.item() == pytest.approx(2.0 * single[0] + 3.0 * single[1])


def test_hierarchicality_counts_terms_that_outgrow_the_one_before():
    terms = torch.tensor([[4.0, 2.0, 1.0], [1.0, 3.0, 0.0]], dtype=torch.float64)
    weights = torch.tensor([2.0, 0.5], dtype=torch.float64)
    expected = 2.0 * (4 / (4 + 16) + 1 / (1 + 4)) + 0.5 * (9 / (9 + 1) + 0.0)
    assert float(upside_down(terms, weights)) == pytest.approx(expected, rel=1e-6)


def test_hierarchicality_is_a_mean_over_atoms_and_finite_where_terms_vanish():
    atoms = molecules(3)
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    with torch.no_grad():
        potential.network.outer.weight.zero_()
        potential.network.outer.bias.zero_()
    parts = evaluate(loss_with(LossMix(mae=1.0), hierarchicality=0.5), potential, batch)
    parts[3].backward()
    assert parts[3].item() == 0.0
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in potential.parameters())


def test_missing_labels_do_not_count():
    atoms = molecules(6)
    atoms[1].info["REF_energy"] = float("nan")
    del atoms[2].arrays["REF_forces"]
    atoms[3].arrays["REF_forces"][1, 2] = float("nan")
    data, batch = batch_of(atoms)
    assert data.counts == (5.0, 14.0, 0.0, 18.0)
    potential = potential_for(atoms)
    loss = loss_with(LossMix(mae=1.0), weights=(1.0, 1.0, 0.0))
    parts = evaluate(loss, potential, batch)
    keep = [0, 2, 3, 4, 5]
    energies = potential.predict(atoms).energy[keep] - [atoms[i].info["REF_energy"] for i in keep]
    assert parts[0].item() == pytest.approx(np.mean(np.abs(energies)) / 3 / SPREADS.energy)
    sum(parts).backward()
    assert all(bool(p.grad.isfinite().all()) for p in potential.parameters())


def test_structures_without_stress_leave_finite_gradients():
    atoms = [*crystals(2), Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]], info={"REF_energy": -1.0})]
    potential, (_, batch) = potential_for(atoms), batch_of(atoms)
    parts = evaluate(loss_with(LossMix(huber=1.0), weights=(1.0, 1.0, 1.0)), potential, batch)
    sum(parts).backward()
    assert bool(torch.stack(parts).isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in potential.parameters())


@pytest.mark.parametrize("kind", MEANS)
def test_processes_add_up_to_the_whole_in_value_and_gradient(kind):
    atoms = [*molecules(5), *crystals(2)]
    potential, (data, whole) = potential_for(atoms), batch_of(atoms)
    loss = loss_with(LossMix(**{kind: 1.0}), weights=(1.0, 1.0, 1.0), hierarchicality=0.1)
    every = np.arange(len(atoms))
    shares = [data.batch(every, every[:4]), data.batch(every, every[4:])]
    expected = sum(evaluate(loss, potential, whole))
    expected.backward()
    gradient = [p.grad.clone() for p in potential.parameters()]
    potential.zero_grad()
    # what each process has summed, so that each can be told the sum over both
    sums = [loss.sums(potential(share.graph, True, True), share.targets) for share in shares]
    both = [a.detach() + b.detach() for a, b in zip(*sums, strict=True)]
    roots = [i for i, summand in enumerate(loss.summands) if summand.kind == "rmse"]
    total = 0.0
    for mine in sums:
        answers = iter([both[i] / whole.counts[loss.summands[i].target] for i in roots])
        total = total + sum(loss.parts(mine, whole.counts, lambda _, answers=answers: next(answers)))
    total.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, g in zip(potential.parameters(), gradient, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-9, atol=1e-12)


def test_weights_of_none_follow_the_labels():
    energy, forces, stress = USUAL_WEIGHTS
    data, _ = batch_of(crystals(2))
    assert make_loss(TrainOptions(), data.spreads, data.counts).weights == (energy, forces, stress)
    data, _ = batch_of(molecules(2))
    assert make_loss(TrainOptions(), data.spreads, data.counts).weights == (energy, forces, 0.0)
    assert make_loss(TrainOptions(forces_weight=0.0, energy_weight=7.0), data.spreads, data.counts).weights == (7, 0, 0)


def test_spreads_are_those_of_the_labels():
    atoms = molecules(40)
    data, _ = batch_of(atoms)
    energies = np.array([a.info["REF_energy"] for a in atoms]) / 3
    assert data.spreads.energy == pytest.approx(np.abs(energies - energies.mean()).mean())
    assert data.spreads.forces == pytest.approx(np.abs(np.concatenate([a.arrays["REF_forces"] for a in atoms])).mean())
    assert data.spreads.stress == 1e-3


def test_spreads_have_a_floor():
    data, _ = batch_of(molecules(1))
    assert data.spreads.energy == 1e-3
