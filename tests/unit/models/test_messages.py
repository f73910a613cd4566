"""Covariant messages: what they bring, how they start, and what is refused. That they turn with atoms: tests/laws."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

import invarion as inv


def molecules(count=6):
    random = np.random.default_rng(0)
    return [Atoms("CHOH", positions=random.uniform(0, 3.0, (4, 3))) for _ in range(count)]


def test_at_the_start_half_as_much_arrives_as_is_there_already():
    torch.manual_seed(0)
    network = inv.hip_hop_nn(cutoff=4.0, n_features=16, message_rank=2).network((1, 6, 8)).double()
    graph = inv.graph(molecules(), 4.0, dtype=torch.float64)
    index = torch.bucketize(graph.species, torch.tensor([1, 6, 8]))
    network.calibrate(graph, index)
    seen = []
    (message,) = network.messages
    heard = message.heard
    message.heard = lambda own, arrived: seen.append((own, heard(own, arrived))) or seen[-1][1]
    network(graph, index)
    ((own, total),) = seen
    for rank in range(4):
        part = slice(rank**2, (rank + 1) ** 2)
        share = (total - own)[:, part].square().mean().sqrt() / own[:, part].square().mean().sqrt()
        assert share.item() == pytest.approx(0.5 if rank <= 2 else 0.0, rel=1e-9)


@pytest.mark.parametrize(
    ("structure", "cutoff"), [(molecule("CO2"), 2.0), (Atoms("C3", [[0, 0, 2.5 * k] for k in range(3)]), 4.5)]
)
def test_ranks_that_symmetry_cancels_start_at_a_usual_size(structure, cutoff):
    # what arrives at the atom in the middle of a line cancels to rounding; divided by it, sizes were 1e8
    structure.calc = SinglePointCalculator(structure, energy=0.0)
    config = inv.hip_hop_nn(cutoff=cutoff, n_features=16, message_rank=3)
    (message,) = inv.Potential.from_data(config, [structure], "zero").network.messages
    assert message.sizes.min() > 0.1
    assert message.sizes.max() < 100


def test_sizes_stay_where_no_message_arrives():
    config = inv.hip_hop_nn(cutoff=4.0, n_features=8, message_rank=2)
    lone = Atoms("H", calculator=SinglePointCalculator(Atoms("H"), energy=0.0))
    (message,) = inv.Potential.from_data(config, [lone], "zero").network.messages
    assert (message.sizes == 1).all()


@pytest.mark.parametrize("message_rank", [0, 2])
def test_a_torsion_is_seen_through_messages_alone(message_rank):
    # within the cutoff, atoms of this chain see the next ones only: no atom sees both ends of the torsion
    torch.manual_seed(0)
    config = inv.hip_hop_nn(cutoff=2.0, n_features=8, n_interactions=2, message_rank=message_rank)
    potential = inv.Potential(config, [6]).double()
    for readout in potential.network.readouts.parameters():
        torch.nn.init.normal_(readout)
    bent = Atoms("C4", positions=[[-0.9, 1.2, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [2.4, 1.2, 0.0]])
    chains = [bent.copy() for _ in range(3)]
    for chain, angle in zip(chains, (0, 60, 150), strict=True):
        chain.set_dihedral(0, 1, 2, 3, angle, indices=[3])
    energies = potential.predict(chains).energy
    assert np.ptp(energies) > 1e-5 if message_rank else np.ptp(energies) < 1e-12


def test_a_rank_above_that_of_the_tensors_is_refused():
    with pytest.raises(ValueError, match="message_rank is 3 and the highest rank of tensors 2; allowed are 0"):
        inv.hip_hop_nn(cutoff=4.0, max_rank=2, message_rank=3)
    with pytest.raises(ValueError, match="message_rank is 'some'; give \"all\" or a number from 0 to 2"):
        inv.hip_hop_nn(cutoff=4.0, max_rank=2, message_rank="some")


def test_one_interaction_sends_nothing():
    network = inv.hip_hop_nn(cutoff=4.0, n_interactions=1, message_rank=3).network((1,))
    assert len(network.messages) == 0
