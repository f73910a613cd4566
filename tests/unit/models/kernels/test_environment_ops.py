"""What only the kernels promise: the same numbers at any number of threads, local radial functions, safe indices."""

import pytest
import torch

pytest.importorskip("numba", reason="the kernels need numba")

from invarion.models import environment as module
from invarion.models.environment import environment
from invarion.models.kernels import environment_ops

N_ATOMS, N_EDGES = 40, 1500
DISTANCES = 1 + 4 * torch.rand(N_EDGES, 1, generator=torch.Generator().manual_seed(1))


def gaussians(distances):
    """Sensitivities of which most are below rounding."""
    places = torch.linspace(0.2, 1.2, 12, dtype=distances.dtype)
    return torch.exp(-0.5 * (30 * (1 / distances - places)).square())


def support_of(values):
    """First and one past the last value above rounding beside the row's largest."""
    counted = values > values.max(dim=1, keepdim=True).values * torch.finfo(values.dtype).eps / 64
    k = torch.arange(values.shape[1])
    ends = (torch.where(counted, k, values.shape[1]).amin(1), torch.where(counted, k + 1, 0).amax(1))
    return torch.stack(ends, dim=1).to(torch.int32)


def inputs(n_rows=N_ATOMS, n_channels=64, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return (
        gaussians(DISTANCES.to(dtype)).requires_grad_(),
        torch.randn(N_EDGES, 16, generator=g).to(dtype).requires_grad_(),
        torch.randn(n_rows, 12, n_channels, generator=g).to(dtype).requires_grad_(),
        torch.randint(N_ATOMS, (N_EDGES,), generator=g).sort().values,
        torch.randint(n_rows, (N_EDGES,), generator=g),
        N_ATOMS,
    )


def value_slopes_curvatures(arguments, **options):
    """The sum, its slopes along a fixed direction, and the slopes of the squared norm of those."""
    factors = arguments[:3]
    result = environment(*arguments, **options)
    direction = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result).requires_grad_()
    slopes = torch.autograd.grad(result, factors, direction, create_graph=True)
    curvatures = torch.autograd.grad(sum(s.square().sum() for s in slopes), (*factors, direction))
    return [t.detach() for t in (result, *slopes, *curvatures)]


@pytest.mark.parametrize("n_rows", [N_ATOMS, 30])
def test_number_of_threads_changes_no_bit(n_rows, many_threads):
    several = value_slopes_curvatures(inputs(n_rows), kernel="numba")
    torch.set_num_threads(1)
    one = value_slopes_curvatures(inputs(n_rows), kernel="numba")
    assert all(torch.equal(a, b) for a, b in zip(several, one, strict=True))


def as_seen_by_forces(arguments, local=False, **options):
    """The sum, its slopes along the distances, and the slopes of their squared norm: what training on forces takes."""
    _, tensors, mixed, *rest = arguments
    distances = DISTANCES.to(mixed.dtype).requires_grad_()
    values = gaussians(distances)
    support = support_of(values.detach()) if local else None
    result = environment(values, tensors, mixed, *rest, support, **options)
    (slope,) = torch.autograd.grad(result.square().sum(), distances, create_graph=True)
    curvatures = torch.autograd.grad(slope.square().sum(), (distances, tensors, mixed))
    return [t.detach() for t in (result, slope, *curvatures)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_rows", [N_ATOMS, 3])
def test_local_functions_equal_the_plain_path_to_rounding(n_rows, dtype):
    arguments = inputs(n_rows, dtype=dtype)
    exact = as_seen_by_forces(inputs(n_rows, dtype=torch.float64), kernel="torch")
    plain = as_seen_by_forces(arguments, kernel="torch")
    fused = as_seen_by_forces(arguments, local=True, kernel="numba")
    for truth, one, other in zip(exact, plain, fused, strict=True):
        scale = truth.abs().max() * torch.finfo(dtype).eps
        assert (other - truth).abs().max() <= max(2 * (one - truth).abs().max(), 20 * scale)


def test_long_rows_are_summed_in_parts(monkeypatch):
    arguments = inputs(n_rows=2)
    whole = value_slopes_curvatures(arguments, kernel="torch")
    monkeypatch.setattr(module, "_fewer_products_by_kind", lambda *_: False)
    monkeypatch.setattr(environment_ops, "LONGEST", 100)
    parts = value_slopes_curvatures(arguments, kernel="numba")
    assert all((a - b).abs().max() <= 2e-6 * a.abs().max() for a, b in zip(whole, parts, strict=True))


def test_channels_in_ranges_change_nothing(monkeypatch):
    arguments = inputs(n_channels=192)
    whole = value_slopes_curvatures(arguments, kernel="numba")
    monkeypatch.setattr(environment_ops, "_KEPT", 70 * N_EDGES)
    ranges = value_slopes_curvatures(arguments, kernel="numba")
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-4) for a, b in zip(whole, ranges, strict=True))


@pytest.mark.parametrize(
    ("centers", "neighbors"), [([1, 0], [0, 0]), ([0, 2], [0, 0]), ([0, 1], [0, 2]), ([0, 1], [-1, 0])]
)
def test_wrong_indices_are_refused(centers, neighbors):
    s, t, z = torch.ones(2, 1), torch.ones(2, 4), torch.ones(2, 1, 16)
    with pytest.raises(IndexError, match=r"sorted and lie in 0\.\.1"):
        environment(s, t, z, torch.tensor(centers), torch.tensor(neighbors), kernel="numba")


def test_not_a_number_is_passed_on():
    s, t, z, *rest = inputs()
    with torch.no_grad():
        s[7] = torch.nan
    assert environment(s, t, z, *rest, kernel="numba").isnan().any()


@pytest.mark.parametrize("n_rows", [N_ATOMS, 3])
def test_strided_inputs_make_no_difference(n_rows):
    arguments = inputs(n_rows)
    expected = value_slopes_curvatures(arguments, kernel="numba")
    turned = [f.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for f in arguments[:3]]
    found = value_slopes_curvatures((*turned, *arguments[3:]), kernel="numba")
    assert not any(f.is_contiguous() for f in turned)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_slopes_of_a_sum_which_are_one_number_everywhere():
    found = []
    for kernel in ("torch", "numba"):
        arguments = inputs(n_rows=30)
        found.append(torch.autograd.grad(environment(*arguments, kernel=kernel).sum(), arguments[:3]))
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)


def test_compiled_by_torch_the_operators_stay_whole():
    *factors, centers, neighbors, n_atoms = inputs(n_channels=24)

    def total(s, t, z):
        return environment_ops.fused_environment(s, t, z, centers, neighbors, n_atoms, None, 0)

    eager, compiled = total(*factors), torch.compile(total, backend="aot_eager", fullgraph=True)(*factors)
    direction = torch.linspace(-1, 1, eager.numel()).view_as(eager)
    slopes = [torch.autograd.grad(value, factors, direction) for value in (eager, compiled)]
    assert torch.equal(eager, compiled)
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))
