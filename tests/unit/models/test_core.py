"""The repulsive core of networks: absent where structures are, stronger than anything where they are not."""

import pytest
import torch
from ase import Atoms

import invarion as inv
from invarion.models.zbl import zbl_energy
from springs import molecules

SIZES = {"n_features": 4, "n_interactions": 1, "n_atom_layers": 1, "n_sensitivities": 6}
STRUCTURES = molecules(12)


@pytest.fixture(scope="module")
def pair() -> tuple[inv.Potential, inv.Potential]:
    """The same weights without a core and with one."""
    bare = inv.Potential.from_data(inv.hip_hop_nn(cutoff=3.0, **SIZES), STRUCTURES, dtype=torch.float64)
    cored = inv.Potential.from_data(inv.hip_hop_nn(cutoff=3.0, zbl=True, **SIZES), STRUCTURES, dtype=torch.float64)
    cored.load_state_dict(bare.state_dict())
    return bare, cored


def dimer(distance: float) -> Atoms:
    return Atoms("OH", [(0, 0, 0), (0, 0, distance)])


def test_training_structures_do_not_feel_it(pair):
    bare, cored = (potential.predict(STRUCTURES) for potential in pair)
    assert (bare.energy == cored.energy).all()
    assert (bare.forces == cored.forces).all()


def test_atoms_closer_than_in_training_are_pushed_apart_by_the_screened_nuclei(pair):
    bare, cored = pair
    nearest = min(atoms.get_distance(0, i) for atoms in STRUCTURES for i in (1, 2))
    assert cored.config.zbl["H-O"][1] == pytest.approx(0.9 * nearest, abs=1e-6)
    near, nearer = ([p.predict([dimer(d)]).energy[0] for p in pair] for d in (0.3, 0.2))
    expected = zbl_energy(*torch.tensor([[0.3, 0.2], [8.0, 8.0], [1.0, 1.0]]).double())
    gained = (nearer[1] - nearer[0]) - (near[1] - near[0])
    assert gained == pytest.approx(float(expected[1] - expected[0]), rel=1e-6)
    assert cored.predict([dimer(0.3)]).forces[1, 2] - bare.predict([dimer(0.3)]).forces[1, 2] > 100.0


def test_it_sets_in_smoothly_and_its_forces_are_the_slopes_of_its_energy(pair):
    _, cored = pair
    outer = cored.config.zbl["H-O"][1]
    for distance in (0.6 * outer, 0.85 * outer, outer):
        h = 1e-5
        low, high = cored.predict([dimer(distance - h), dimer(distance + h)]).energy
        slope = (high - low) / (2 * h)
        assert cored.predict([dimer(distance)]).forces[1, 2] == pytest.approx(-slope, rel=1e-6, abs=1e-6)


def test_it_is_kept_in_the_file(pair, tmp_path):
    inv.save(pair[1], tmp_path / "model.inv")
    again = inv.load(tmp_path / "model.inv")
    assert again.config == pair[1].config
    assert again.predict([dimer(0.5)]).energy == pair[1].predict([dimer(0.5)]).energy


@pytest.mark.parametrize("zbl", [(0.5, 0.9), {"O-H": (0.5, 0.9)}])
def test_its_reach_may_be_given(zbl):
    core = inv.hip_nn(cutoff=3.0, zbl=zbl).pairs((1, 8))
    graph = inv.graph([dimer(0.91), dimer(0.89)], 3.0)
    apart, near = core(graph, (graph.species == 8).long()).view(2, 2).sum(1).tolist()
    assert apart == 0.0
    assert near > 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zbl": (0.9, 0.5)}, "inner < outer"),
        ({"zbl": (0.9, 9.5)}, "<= cutoff"),
        ({"zbl": {"C-Hh": (0.5, 0.9)}}, "'C-Hh' is no pair of elements"),
        ({"n_features": 10**9}, "n_features"),
        ({"n_features": 60000}, r"e\+10 weights"),
        ({"n_sensitivities": 10**9}, "n_sensitivities"),
        ({"n_interactions": 10**9}, "n_interactions"),
        ({"n_atom_layers": 10**9}, "n_atom_layers"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        inv.hip_nn(cutoff=5.0, **settings)


def test_a_core_takes_part_in_a_potential_as_it_is_built():
    config = inv.hip_nn(cutoff=4.0, n_features=4, zbl=(0.5, 0.9))
    pair = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]])
    potential = inv.Potential(config, [1])
    for parameter in potential.network.readouts.parameters():
        torch.nn.init.zeros_(parameter)
    assert potential.predict(pair).forces[1, 2] > 1.0
