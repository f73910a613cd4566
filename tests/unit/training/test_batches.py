import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invarion.data import collate, samples
from invarion.training.batches import EpochBatches, PackedSet, number_of_batches, split_evenly
from springs import crystals, molecules

CUTOFF = 3.0


def mixed_set() -> PackedSet:
    return PackedSet(samples([*molecules(7), *crystals(3)], CUTOFF), torch.float64)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 20))
def test_even_parts_keep_order_and_leave_none_empty(costs, parts):
    costs = np.array(costs)
    found = split_evenly(np.arange(len(costs)), costs, parts)
    assert len(found) == parts
    assert np.concatenate(found).tolist() == list(range(len(costs)))
    assert sum(len(part) > 0 for part in found) == min(parts, len(costs))


@given(st.lists(st.integers(1, 50), min_size=40, max_size=80), st.integers(1, 8))
def test_even_parts_differ_from_the_mean_by_one_structure_at_most(costs, parts):
    costs = np.array(costs)
    sums = [costs[part].sum() for part in split_evenly(np.arange(len(costs)), costs, parts)]
    assert max(abs(s - costs.sum() / parts) for s in sums) <= costs.max()


@pytest.mark.parametrize(
    ("size", "edges", "expected"), [(10, None, 4), (100, 100, 4), (1, None, 40), (1, 1, 40), (7, 10_000, 6)]
)
def test_number_of_batches(size, edges, expected):
    assert number_of_batches(np.full(40, 10), size, edges) == expected


def test_every_epoch_sees_every_structure_once_in_another_order():
    data = mixed_set()
    orders = []
    for epoch in range(4):
        plan = EpochBatches(data, 4, seed=0).plan(epoch)
        assert [len(plan), sorted(np.concatenate(plan))] == [4, list(range(10))]
        orders.append(np.concatenate(plan).tolist())
    assert len({tuple(order) for order in orders}) == 4


def test_order_follows_from_seed_and_epoch_alone():
    first, again, other = (EpochBatches(mixed_set(), 4, seed=seed).plan(3) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_iterating_uses_the_epoch_that_is_set_when_the_first_batch_is_taken():
    batches = EpochBatches(mixed_set(), 4, seed=0)
    iterator = iter(batches)
    batches.sampler.set_epoch(2)
    assert np.array_equal(next(iterator).structures, batches.plan(2)[0])


def test_a_batch_equals_the_collated_samples():
    atoms = [*molecules(4), *crystals(3)]
    parts = samples(atoms, CUTOFF)
    chosen = np.array([5, 0, 3])
    batch = PackedSet(parts, torch.float64).batch(chosen, chosen)
    graph, labels = collate([parts[i] for i in chosen])
    for name in ("species", "vectors", "centers", "neighbors", "system"):
        assert torch.equal(getattr(batch.graph, name), getattr(graph, name)), name
    assert torch.equal(batch.targets.energy, labels.energy)
    assert torch.equal(batch.targets.forces, labels.forces)
    assert torch.equal(batch.targets.stress[0], labels.stress[0])
    assert batch.targets.stress_weight.tolist() == [1.0, 0.0, 0.0]
    assert batch.graph.volume[1:].tolist() == [1.0, 1.0]


def test_shares_of_all_processes_make_the_global_batch():
    data = mixed_set()
    ranks = [list(EpochBatches(data, 3, seed=1, rank=rank, world_size=2)) for rank in range(2)]
    for whole, *shares in zip(EpochBatches(data, 3, seed=1), *ranks, strict=True):
        assert torch.cat([share.targets.energy for share in shares]).tolist() == whole.targets.energy.tolist()
        assert all(share.counts == whole.counts for share in shares)


def test_a_process_without_a_structure_gets_one_that_weighs_nothing():
    shares = [next(iter(EpochBatches(mixed_set(), 10, seed=1, rank=rank, world_size=2))) for rank in range(2)]
    weights = sorted(float(share.targets.energy_weight.sum()) for share in shares)
    assert weights == [0.0, 1.0]
    idle = next(share for share in shares if float(share.targets.energy_weight.sum()) == 0.0)
    others = (idle.targets.forces_weight, idle.targets.stress_weight, idle.targets.atom_weight)
    assert [float(weight.sum()) for weight in others] == [0.0, 0.0, 0.0]


def test_expected_counts_add_up_to_those_of_the_set():
    data = mixed_set()
    totals = np.sum([batch.counts for batch in EpochBatches(data, 4, seed=0)], axis=0)
    assert totals == pytest.approx([*data.counts])
    assert data.counts == (10.0, 27.0, 3.0, 27.0)


def test_fingerprint_sees_labels():
    atoms = molecules(3)
    before = PackedSet(samples(atoms, CUTOFF), torch.float64).fingerprint()
    atoms[1].info["REF_energy"] += 1e-9
    assert PackedSet(samples(atoms, CUTOFF), torch.float64).fingerprint() != before
