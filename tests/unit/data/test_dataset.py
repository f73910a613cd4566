"""Samples and batches: the same numbers as structures taken one by one."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from invarion.data import collate, samples
from invarion.exceptions import DataError
from invarion.neighbors import graph


def mixed():
    """A molecule with energy and forces, a crystal with all three, an atom without neighbours, one without labels."""
    ethanol = molecule("CH3CH2OH")
    ethanol.info.update(REF_energy=-4209.7, weight=2.0, forces_weight=0.5)
    ethanol.set_array("REF_forces", np.random.default_rng(0).standard_normal((9, 3)))
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05, seed=0)
    copper.calc = EMT()
    copper.get_stress()
    copper.get_forces()
    return [ethanol, copper, Atoms("H", info={"energy": -13.6}), molecule("H2O")]


def test_graphs_are_those_of_the_structures():
    for sample, atoms in zip(samples(mixed(), 4.0), mixed(), strict=True):
        single = graph(atoms, 4.0)
        assert all(
            torch.equal(a, b) or (a.isnan() & b.isnan()).all() for a, b in zip(sample.graph, single, strict=True)
        )


def test_labels():
    ethanol, copper, hydrogen, water = (sample.labels for sample in samples(mixed(), 4.0))
    assert ethanol.energy.tolist() == [-4209.7]
    assert (float(ethanol.weight), float(ethanol.forces_weight), float(ethanol.energy_weight)) == (2.0, 0.5, 1.0)
    assert ethanol.stress.isnan().all()
    assert np.allclose(
        copper.stress[0].numpy(), mixed()[1].calc.get_stress().repeat(1)[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    )
    assert hydrogen.forces.shape == (1, 3)
    assert hydrogen.forces.isnan().all()
    assert water.energy.isnan().all()


def test_a_batch_of_all_is_the_batch_of_the_list():
    whole, labels = collate(samples(mixed(), 4.0))
    direct = graph(mixed(), 4.0)
    for a, b in zip(whole[:5], direct[:5], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.volume.nan_to_num(-1), direct.volume.nan_to_num(-1))
    assert labels.energy.shape == (4,)
    assert labels.forces.shape == (direct.n_atoms, 3)
    assert labels.stress.shape == (4, 3, 3)


def test_any_order_of_collating():
    parts = samples(mixed(), 4.0)
    whole, labels = collate([parts[2], parts[0]])
    assert whole.species.tolist() == [1, *parts[0].graph.species.tolist()]
    assert whole.system.tolist() == [0] + [1] * 9
    assert int(whole.centers.min()) == 1
    assert torch.equal(labels.forces[1:], parts[0].labels.forces)
    assert labels.weight.tolist() == [1.0, 2.0]


def test_collating_twice_nests():
    parts = samples(mixed(), 4.0)
    at_once, in_steps = collate(parts), collate([collate(parts[:2]), collate(parts[2:])])
    assert all(
        torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(at_once.graph, in_steps.graph, strict=True)
    )
    assert all(
        torch.equal(a.nan_to_num(7), b.nan_to_num(7)) for a, b in zip(at_once.labels, in_steps.labels, strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types(dtype):
    whole, labels = collate(samples(mixed(), 4.0, dtype))
    assert labels.energy.dtype == torch.float64
    assert {whole.vectors.dtype, labels.forces.dtype, labels.stress.dtype, labels.weight.dtype} == {dtype}
    assert labels.energy[0] == -4209.7


def test_refused():
    with pytest.raises(DataError, match="no structures"):
        samples([], 4.0)
    with pytest.raises(DataError, match="nothing to make a batch of"):
        collate([])
    bad = Atoms("H2", [(0, 0, 0), (0, 0, 0)], info={"origin": "a.xyz, frame 4"})
    with pytest.raises(DataError, match=r"a\.xyz, frame 4: atoms 0 and 1 are on one spot"):
        samples([molecule("H2O"), bad], 4.0)
    with pytest.raises(DataError, match="cutoff is 0"):
        samples([molecule("H2O")], 0.0)
