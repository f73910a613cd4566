"""The hot sum against its definition, its derivatives against finite differences."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from invarion.models import environment as module
from invarion.models.environment import environment

DTYPES = (torch.float32, torch.float64)


def random_inputs(n_atoms, n_edges, n_radial=3, n_components=4, n_channels=5, n_rows=None, dtype=torch.float64, seed=0):
    """Random factors and sorted edges; atoms without edges occur by themselves."""
    g = torch.Generator().manual_seed(seed)
    n_rows = n_atoms if n_rows is None else n_rows
    return (
        torch.randn(n_edges, n_radial, generator=g, dtype=dtype),
        torch.randn(n_edges, n_components, generator=g, dtype=dtype),
        torch.randn(n_rows, n_radial, n_channels, generator=g, dtype=dtype),
        torch.randint(max(n_atoms, 1), (n_edges,), generator=g).sort().values,
        torch.randint(max(n_rows, 1), (n_edges,), generator=g),
        n_atoms,
    )


def by_definition(s, t, z, centers, neighbors, n_atoms):
    """One edge, one component, one radial function at a time."""
    out = z.new_zeros(n_atoms, t.shape[1], z.shape[2])
    for e, (i, j) in enumerate(zip(centers.tolist(), neighbors.tolist(), strict=True)):
        for m, k in itertools.product(range(t.shape[1]), range(s.shape[1])):
            out[i, m] += t[e, m] * s[e, k] * z[j, k]
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_atoms", "n_edges"), [(6, 20), (1, 1), (3, 0), (0, 0)])
def test_equals_its_definition(n_atoms, n_edges, dtype):
    inputs = random_inputs(n_atoms, n_edges, dtype=dtype)
    torch.testing.assert_close(environment(*inputs), by_definition(*inputs))


def test_rows_by_species_equal_rows_by_atom():
    s, t, z, centers, _, n_atoms = random_inputs(6, 20, n_rows=2)
    neighbors = torch.arange(20) % n_atoms
    kind = torch.tensor([0, 1, 1, 0, 1, 0])
    by_species = environment(s, t, z, centers, kind[neighbors], n_atoms)
    torch.testing.assert_close(by_species, environment(s, t, z[kind], centers, neighbors))


def test_first_and_second_derivatives():
    *factors, centers, neighbors, n_atoms = random_inputs(4, 9)
    factors = [f.requires_grad_() for f in factors]
    assert gradcheck(lambda *f: environment(*f, centers, neighbors, n_atoms), factors)
    assert gradgradcheck(lambda *f: environment(*f, centers, neighbors, n_atoms), factors)


def test_blocks_of_edges_change_nothing(monkeypatch):
    inputs = random_inputs(5, 40)
    s, *_ = inputs
    s.requires_grad_()
    whole = environment(*inputs)
    (slope,) = torch.autograd.grad(whole.square().sum(), s)
    monkeypatch.setattr(module, "_BLOCK", 3 * 7 * 5)
    parts = environment(*inputs)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), s)[0], slope)
