"""Whole models give the same numbers on both paths: energies, forces, stress, and the slopes that training follows."""

import numpy as np
import pytest
import torch
from ase import Atoms

pytest.importorskip("numba", reason="the kernels need numba")

import invarion as inv
from invarion.models.environment import use_kernel

CONFIGS = {
    "hip_nn": lambda: inv.hip_nn(cutoff=4.0, n_features=16, n_interactions=2),
    "hip_nn_ts_1": lambda: inv.hip_nn_ts(cutoff=4.0, n_features=10, n_interactions=2, max_rank=1),
    "hip_nn_ts_2": lambda: inv.hip_nn_ts(cutoff=4.0, n_features=16, n_interactions=2, max_rank=2),
    "hip_hop_nn": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=32, n_interactions=2),
    "hip_hop_nn_published": lambda: inv.hip_hop_nn(
        cutoff=4.0,
        n_features=17,
        n_interactions=2,
        basis="published",
        normalization="group",
        cutoff_function="cosine_squared",
    ),
}


def structures():
    """A dense periodic cell of two elements, a molecule with an atom out of reach, a lone atom."""
    random = np.random.default_rng(0)
    cell = Atoms("Cu4Al4", positions=random.uniform(0, 4, (8, 3)), cell=[4.1, 4.3, 4.7], pbc=True)
    molecule = Atoms("AlCu2Al", positions=[[0, 0, 0], [2, 0.3, 0], [0, 2, 0.5], [0, 0, 9]])
    return [cell, molecule, Atoms("Cu", positions=[[0, 0, 0]])]


def everything(potential, graph):
    """What a training step on energies, forces and stress sees, and what it makes of it."""
    prediction = potential.train()(graph, stress=True)
    loss = prediction.energies.square().sum() + prediction.forces.square().sum()
    loss = loss + prediction.stress[:1].square().sum()
    weights = dict(potential.named_parameters())
    slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    found = {"energies": prediction.energies, "forces": prediction.forces, "stress": prediction.stress[:1]}
    found.update({name: s for name, s in zip(weights, slopes, strict=True) if s is not None})
    return {name: value.detach() for name, value in found.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CONFIGS)
def test_both_paths_agree(name, dtype):
    torch.manual_seed(0)
    potential = inv.Potential(CONFIGS[name](), [13, 29]).to(dtype)
    graph = inv.graph(structures(), 4.0, dtype=dtype)
    with use_kernel("torch"):
        plain = everything(potential, graph)
        exact = everything(potential.to(torch.float64), graph.to(torch.float64))
    potential.to(dtype)
    with use_kernel("numba"):
        fused = everything(potential, graph)
    for key, truth in exact.items():
        scale = float(truth.abs().max())
        rounding = max(float((plain[key] - truth).abs().max()), 20 * torch.finfo(dtype).eps * scale)
        assert float((fused[key] - truth).abs().max()) <= 4 * rounding, key


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_numbers_at_every_run(name):
    torch.manual_seed(0)
    potential = inv.Potential(CONFIGS[name](), [13, 29])
    graph = inv.graph(structures(), 4.0, dtype=torch.float32)
    once, again = everything(potential, graph), everything(potential, graph)
    assert all(torch.equal(once[key], again[key]) for key in once)
