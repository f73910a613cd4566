"""A system taken in parts has the energies, forces and stress of the system taken whole."""

import numpy as np
import pytest
import torch
from ase import Atoms

import invarion as inv
from invarion.models import parts as module
from invarion.models.environment import use_kernel
from invarion.models.parts import parts

CONFIGS = {
    "hip_nn": lambda: inv.hip_nn(cutoff=4.0, n_features=16, n_interactions=1),
    "hip_nn_ts": lambda: inv.hip_nn_ts(cutoff=4.0, n_features=9, n_interactions=3, max_rank=2, resnet=False),
    "hip_hop_nn": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=(16, 8), resnet=12),
    "messages": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=(16, 8, 12), resnet=12, message_rank=2),
    "all_messages": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=(8, 8), max_rank=2, message_rank=2),
}


@pytest.fixture(params=["torch", "numba"])
def path(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the kernels need numba")
    with use_kernel(request.param):
        yield


def structures():
    """A dense cell of two elements, and an atom that nobody reaches between others."""
    random = np.random.default_rng(0)
    cell = Atoms("Cu8Al8", positions=random.uniform(0, 6, (16, 3)), cell=[6, 6, 6], pbc=True)
    return [cell, Atoms("AlCuCu", positions=[[0, 0, 0], [0, 0, 20], [2, 0, 0]])]


@pytest.mark.parametrize("name", CONFIGS)
def test_parts_equal_the_whole(name, path, monkeypatch):
    torch.manual_seed(0)
    potential = inv.Potential(CONFIGS[name](), [13, 29]).to(torch.float64).eval()
    graph = inv.graph(structures(), 4.0, dtype=torch.float64)
    whole = potential(graph, stress=True)
    monkeypatch.setattr(module, "_WHOLE", 0)
    monkeypatch.setattr(module, "_PART", 2000)
    in_parts = potential(graph, stress=True)
    assert len(potential.network._edges(graph, potential.species_index(graph.species)).parts) > 3
    for field in ("energies", "forces"):
        torch.testing.assert_close(getattr(in_parts, field), getattr(whole, field), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(in_parts.stress[0], whole.stress[0], rtol=1e-12, atol=1e-12)


def test_unequal_weights_of_terms_are_respected(monkeypatch):
    torch.manual_seed(0)
    network = CONFIGS["hip_hop_nn"]().network((13, 29)).to(torch.float64).eval()
    graph = inv.graph(structures(), 4.0, dtype=torch.float64)
    graph.vectors.requires_grad_()
    index, weights = (graph.species == 29).long(), torch.linspace(-1, 1, graph.n_atoms, dtype=torch.float64)
    (whole,) = torch.autograd.grad(network(graph, index).sum(1) @ weights, graph.vectors)
    monkeypatch.setattr(module, "_WHOLE", 0)
    monkeypatch.setattr(module, "_PART", 2000)
    (in_parts,) = torch.autograd.grad(network(graph, index).sum(1) @ weights, graph.vectors)
    torch.testing.assert_close(in_parts, whole, rtol=1e-12, atol=1e-12)


def test_ranges_cover_all_atoms_and_edges():
    centers = torch.tensor([0, 0, 2, 2, 2, 3])
    assert len(parts(centers, 5, per_atom=1)) == 1
    found = parts(centers, 5, per_atom=1 << 26)
    assert [p.atoms for p in found] == [slice(i, i + 1) for i in range(5)]
    assert [centers[p.edges].tolist() for p in found] == [[0, 0], [], [2, 2, 2], [3], []]
