"""The sums over neighbours, on both paths: against their definition, derivatives against finite differences."""

import itertools
from functools import cache

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from invarion.exceptions import ConfigError
from invarion.models import environment as module
from invarion.models.environment import environment, moments

DTYPES = (torch.float32, torch.float64)
KERNELS = ("torch", "numba")


@pytest.fixture(params=KERNELS)
def kernel(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the kernels need numba")
    return request.param


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


def moments_by_definition(s, t, centers, kinds, n_atoms, n_kinds):
    out = s.new_zeros(n_atoms, t.shape[1], n_kinds, s.shape[1])
    for e, (i, r) in enumerate(zip(centers.tolist(), kinds.tolist(), strict=True)):
        out[i, :, r] += t[e, :, None] * s[e]
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_atoms", "n_edges"), [(6, 20), (2, 150), (1, 1), (3, 0), (0, 0)])
@pytest.mark.parametrize(("n_components", "n_channels"), [(1, 1), (4, 5), (9, 16), (16, 64), (25, 33)])
def test_equals_its_definition(n_atoms, n_edges, n_components, n_channels, dtype, kernel):
    inputs = random_inputs(n_atoms, n_edges, n_components=n_components, n_channels=n_channels, dtype=dtype)
    rtol = 1e-4 if dtype == torch.float32 else 1e-12
    expected = by_definition(*inputs)
    torch.testing.assert_close(environment(*inputs, kernel=kernel), expected, rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_atoms", "n_edges"), [(6, 20), (2, 151), (1, 1), (3, 0), (0, 0)])
@pytest.mark.parametrize("first", [0, 2])
def test_one_number_per_edge_and_row_equals_its_definition(n_atoms, n_edges, first, dtype, kernel):
    s, t, z, *ends = random_inputs(n_atoms, n_edges, n_components=1, n_channels=37, dtype=dtype)
    z = z[:, first : first + 1]
    expected = by_definition(s[:, first : first + 1], t, z, *ends)
    rtol = 1e-4 if dtype == torch.float32 else 1e-12
    found = environment(s, t, z, *ends, first=first, kernel=kernel)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=10 * rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_atoms", "n_edges"), [(6, 20), (2, 150), (3, 0), (0, 0)])
@pytest.mark.parametrize("n_components", [1, 4, 16, 25])
def test_moments_equal_their_definition(n_atoms, n_edges, n_components, dtype, kernel):
    s, t, _, centers, kinds, _ = random_inputs(n_atoms, n_edges, n_components=n_components, n_rows=3, dtype=dtype)
    expected = moments_by_definition(s, t, centers, kinds, n_atoms, 3)
    torch.testing.assert_close(moments(s, t, centers, kinds, n_atoms, 3, kernel=kernel), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_edges", [20, 400])  # few edges: summed by edge; many: moments by species first
def test_rows_by_species_equal_rows_by_atom(n_edges, kernel):
    s, t, z, centers, _, n_atoms = random_inputs(6, n_edges, n_rows=2)
    neighbors = torch.arange(n_edges) % n_atoms
    kind = torch.tensor([0, 1, 1, 0, 1, 0])
    by_species = environment(s, t, z, centers, kind[neighbors], n_atoms, kernel=kernel)
    torch.testing.assert_close(by_species, environment(s, t, z[kind], centers, neighbors, kernel="torch"))


@pytest.mark.parametrize(("n_radial", "n_components", "n_channels"), [(3, 4, 5), (3, 1, 16), (3, 9, 8), (1, 1, 7)])
def test_first_and_second_derivatives(n_radial, n_components, n_channels, kernel):
    *factors, centers, neighbors, n_atoms = random_inputs(4, 9, n_radial, n_components, n_channels)
    factors = [f.requires_grad_() for f in factors]

    def total(s, t, z):
        return environment(s, t, z, centers, neighbors, n_atoms, kernel=kernel)

    assert gradcheck(total, factors)
    assert gradgradcheck(total, factors)


@pytest.mark.parametrize("n_components", [1, 4, 9])
def test_first_and_second_derivatives_of_moments(n_components, kernel):
    s, t, _, centers, kinds, n_atoms = random_inputs(4, 9, n_components=n_components, n_rows=2)
    factors = (s.requires_grad_(), t.requires_grad_())

    def total(s, t):
        return moments(s, t, centers, kinds, n_atoms, 2, kernel=kernel)

    assert gradcheck(total, factors)
    assert gradgradcheck(total, factors)


def test_blocks_of_edges_change_nothing(monkeypatch):
    inputs = random_inputs(5, 40)
    s, *_ = inputs
    s.requires_grad_()
    whole = environment(*inputs, kernel="torch")
    (slope,) = torch.autograd.grad(whole.square().sum(), s)
    monkeypatch.setattr(module, "_BLOCK", 3 * 7 * 5)
    parts = environment(*inputs, kernel="torch")
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), s)[0], slope)


def test_scripted_path_is_the_plain_one():
    s, t, z, centers, neighbors, n_atoms = random_inputs(6, 20)
    scripted = torch.jit.script(environment)(s, t, z, centers, neighbors, n_atoms)
    torch.testing.assert_close(scripted, environment(s, t, z, centers, neighbors, n_atoms, kernel="torch"))
    scripted = torch.jit.script(moments)(s, t, centers, neighbors, n_atoms, n_atoms)
    torch.testing.assert_close(scripted, moments(s, t, centers, neighbors, n_atoms, n_atoms, kernel="torch"))


def test_unknown_kernel_is_refused():
    with pytest.raises(ConfigError, match="'cuda'; allowed are"):
        environment(*random_inputs(2, 2), kernel="cuda")


def test_missing_numba_means_the_plain_path_and_one_line(monkeypatch, caplog):
    monkeypatch.setattr(module, "_numba_found", cache(module._numba_found.__wrapped__))  # as in a new process
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    inputs = random_inputs(6, 20)
    results = [environment(*inputs), environment(*inputs)]
    with pytest.raises(ConfigError, match="numba is not installed"):
        environment(*inputs, kernel="numba")
    assert len([r for r in caplog.records if "plain path" in r.message]) == 1
    assert torch.equal(results[0], environment(*inputs, kernel="torch"))
    assert torch.equal(*results)
