"""Committees: the mean of their members, one file, and what does not fit together."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

import invarion as inv
from invarion.committees import members, spread

STRUCTURES = [molecule("CH3CH2OH"), molecule("H2O")]
CONFIGS = {
    "hip": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=8, n_sensitivities=5, zbl=(0.8, 1.4), message_rank=1),
    "ace": lambda: inv.ace(cutoff=4.0, n_radial=2, max_rank=2, readout="mlp", hidden=(4,)),
}


def single(config, seed, species=(1, 6, 8), dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        references = [-1.0 - seed, -2.0, -3.0][: len(species)]
        potential = inv.Potential(config, species, references, scale=1.0 + 0.1 * seed).to(dtype)
        for parameter in potential.network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return potential.eval()


@pytest.fixture(params=CONFIGS)
def three(request):
    return [single(CONFIGS[request.param](), seed) for seed in range(3)]


def test_predictions_are_the_mean_and_its_spread_that_of_the_members(three):
    predictions = [potential.predict(STRUCTURES) for potential in three]
    joint = inv.committee(three)
    for name in ("energy", "forces"):
        mean = np.mean([getattr(each, name) for each in predictions], axis=0)
        np.testing.assert_allclose(getattr(joint.predict(STRUCTURES), name), mean, rtol=1e-12, atol=1e-12)
    energies = np.std([each.energy for each in predictions], axis=0, ddof=1)
    np.testing.assert_allclose([each[0] for each in spread(joint, STRUCTURES)], energies, rtol=1e-9)
    forces = np.std([each.forces for each in predictions], axis=0, ddof=1)
    np.testing.assert_allclose(np.concatenate([each[1] for each in spread(joint, STRUCTURES)]), forces, atol=1e-12)


def test_energies_spread_by_what_networks_say_of_them():
    config = CONFIGS["hip"]()
    low, high = (inv.Potential(config, [1, 6, 8]).double() for _ in range(2))
    high.load_state_dict(low.state_dict())
    with torch.no_grad():
        high.network.readouts[1].bias += 0.01  # eV for each of nine atoms, and of three
    joint = inv.committee([low, high])
    (ethanol, _), (water, _) = spread(joint, STRUCTURES)
    assert spread(joint, STRUCTURES[1])[0][0] == pytest.approx(water)
    assert (ethanol, water) == pytest.approx((0.09 / 2**0.5, 0.03 / 2**0.5))


def test_a_file_holds_them_all(three, tmp_path):
    joint = inv.committee(three)
    inv.save(joint, tmp_path / "committee.inv")
    loaded = inv.load(tmp_path / "committee.inv")
    assert (loaded.predict(STRUCTURES).forces == joint.predict(STRUCTURES).forces).all()
    for mine, theirs in zip(members(loaded), three, strict=True):
        for name in ("energy", "forces"):
            found, known = (getattr(each.predict(STRUCTURES), name) for each in (mine, theirs))
            np.testing.assert_allclose(found, known, rtol=1e-9, atol=1e-12)


def test_a_committee_stands_for_its_members(three):
    nested = inv.committee([inv.committee(three[:2]), three[2]])
    assert len(members(nested)) == 3
    np.testing.assert_allclose(
        nested.predict(STRUCTURES).forces, inv.committee(three).predict(STRUCTURES).forces, atol=1e-12
    )


def test_members_keep_their_weights_when_the_committee_changes(three):
    before = three[0].predict(STRUCTURES).forces
    joint = inv.committee(three)
    with torch.no_grad():
        for parameter in joint.parameters():
            parameter.zero_()
    assert (three[0].predict(STRUCTURES).forces == before).all()


def hip(seed=0, species=(1, 6, 8), dtype=torch.float64, **settings):
    return single(inv.hip_nn(**{"cutoff": 4.0, "n_features": 4, **settings}), seed, species, dtype)


@pytest.mark.parametrize(
    ("potentials", "words"),
    [
        (list, "at least one"),
        (lambda: [hip(), hip(species=(1, 8))], r"species \(1, 6, 8\) and \(1, 8\)"),
        (lambda: [hip(), hip(dtype=torch.float32)], r"dtype torch.float32 and torch.float64"),
        (lambda: [hip(cutoff=3.0), hip()], "cutoff 3.0 and 4.0"),
        (lambda: [hip(1), hip(), hip(1)], r"members 1 and 3 .* same weights.*training.seed"),
        (lambda: [hip(7), *members(inv.committee([hip(4), hip(7)]))], r"members 1 and 3 .* same weights"),
    ],
)
def test_what_does_not_fit_together_is_refused(potentials, words):
    with pytest.raises(inv.InvarionError, match=words):
        inv.committee(potentials())


def test_one_potential_alone_has_no_spread(three):
    with pytest.raises(inv.InvarionError, match="two or more"):
        spread(inv.committee(three[:1]), STRUCTURES)


def test_members_with_different_cores_are_averaged_in_any_order(tmp_path):
    close = Atoms("OHH", positions=[[0, 0, 0], [0.3, 0, 0], [0, 1.0, 0]])
    single = [hip(0), hip(1, zbl=(0.3, 0.9)), hip(2, zbl=True), hip(3, zbl={"H-O": (0.2, 0.4)})]
    mean = np.mean([each.predict(close).energy for each in single])
    assert mean > 5  # eV: the cores are felt
    for order in (single, single[::-1]):
        inv.save(inv.committee(order), tmp_path / "committee.inv")
        joint = inv.load(tmp_path / "committee.inv")
        assert joint.predict(close).energy == pytest.approx(mean)
        for mine, theirs in zip(members(joint), order, strict=True):
            assert mine.predict(close).energy == pytest.approx(theirs.predict(close).energy)


def test_cores_have_the_same_numbers_wherever_they_come_from(tmp_path):
    close = Atoms("OHH", positions=[[0, 0, 0], [0.3, 0, 0], [0, 0.35, 0]])
    potentials = [hip(seed, zbl=True, dtype=torch.float32) for seed in range(2)]
    joint = inv.committee(potentials)
    inv.save(joint, tmp_path / "committee.inv")
    before, after = joint.predict(close), inv.load(tmp_path / "committee.inv").predict(close)
    assert before.energy == after.energy
    assert (before.forces == after.forces).all()
    for mine, theirs in zip(members(joint), potentials, strict=True):
        assert mine.predict(close).energy == pytest.approx(theirs.predict(close).energy, rel=1e-7)
    assert joint.pairs.inner.dtype == torch.float64


def test_the_random_state_is_left_alone(three):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    members(inv.committee(three))
    assert torch.rand(1) == expected
