"""Fused lengths, direction tensors, sensitivities and unit rows: equal to the plain path, with right derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

pytest.importorskip("numba", reason="the kernels need numba")

from invarion.models.edges import edge_geometry, plain_geometry
from invarion.models.kernels.radial_ops import gaussians
from invarion.models.normalization import plain_unit_rows, unit_rows
from invarion.models.radial import plain_gaussians

DTYPES = (torch.float32, torch.float64)


def random(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def shape_of_gaussians(n_radial, width, dtype=torch.float64):
    places = torch.linspace(0.2, 1.3, n_radial, dtype=dtype)
    return places.requires_grad_(), torch.full((n_radial,), width, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_edges", [0, 1, 7, 16, 50])
@pytest.mark.parametrize("max_rank", range(5))
def test_geometry_equals_the_plain_path(n_edges, max_rank, dtype):
    vectors = random(n_edges, 3, dtype=dtype)
    for fused, plain in zip(
        edge_geometry(vectors, max_rank), plain_geometry(vectors, (max_rank + 1) ** 2), strict=True
    ):
        torch.testing.assert_close(fused, plain)


@pytest.mark.parametrize("max_rank", [0, 1, 3])
def test_derivatives_of_geometry(max_rank):
    vectors = random(9, 3).requires_grad_()
    assert gradcheck(lambda v: edge_geometry(v, max_rank), vectors)
    assert gradgradcheck(lambda v: edge_geometry(v, max_rank), vectors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("n_edges", [0, 1, 3000])
def test_gaussians_equal_the_plain_path(n_edges, cosine, dtype):
    distances = (0.5 + 5.0 * torch.rand(n_edges, generator=torch.Generator().manual_seed(0))).to(dtype)
    places, sigmas = shape_of_gaussians(20, 30.0, dtype)
    values, support = gaussians(distances, places, sigmas, 5.0, cosine)
    plain = plain_gaussians(distances, places, sigmas, 5.0, cosine)
    torch.testing.assert_close(values, plain, rtol=2e-5, atol=16 * torch.finfo(dtype).eps)
    k = torch.arange(20)
    outside = (k < support[:, :1]) | (k >= support[:, 1:])
    largest = plain.max(dim=1, keepdim=True).values if n_edges else plain
    assert (plain * outside <= 1.01 * torch.finfo(dtype).eps / 64 * largest).all()
    assert not values[outside].any()


def test_a_distance_that_is_not_a_number_is_passed_on():
    distances = torch.tensor([1.0, torch.nan, 2.0])
    values, _ = gaussians(distances, *shape_of_gaussians(20, 30.0, torch.float32), 5.0, False)
    assert values[1].isnan().any()
    assert not values[::2].isnan().any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cosine", [True, False])
def test_slopes_just_inside_the_cutoff_are_small_numbers(cosine, dtype):
    # where the cutoff function rounds to zero, its logarithmic slope is infinite
    cutoff = torch.tensor(5.0, dtype=dtype)
    last = torch.nextafter(cutoff, torch.zeros_like(cutoff))
    distances = torch.stack([last, cutoff - 1e-9, cutoff - 1e-4, cutoff]).requires_grad_()
    places, sigmas = shape_of_gaussians(20, 3.0, dtype)
    inputs = (distances, places, sigmas)
    values = gaussians(*inputs, 5.0, cosine)[0]
    first = torch.autograd.grad(values.sum(), inputs, create_graph=True)
    second = torch.autograd.grad(first[0].sum(), inputs)
    assert all(slope.isfinite().all() for slope in (*first, *second))
    assert first[0].abs().max() < 1e-3


@pytest.mark.parametrize("n_radial", [1, 2, 3, 5, 8, 11, 12, 20, 33, 70])
def test_any_number_of_gaussians(n_radial):
    distances = torch.linspace(0.7, 5.2, 37, dtype=torch.float64).requires_grad_()
    inputs, slope = (distances, *shape_of_gaussians(n_radial, 20.0)), random(37, n_radial).requires_grad_()
    found = []
    for function in (lambda *x: gaussians(*x, 5.0, True)[0], lambda *x: plain_gaussians(*x, 5.0, True)):
        values = function(*inputs)
        first = torch.autograd.grad(values, inputs, slope, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), (slope, *inputs))
        found.append([t.detach() for t in (values, *first, *second)])
    for fused, plain in zip(*found, strict=True):
        assert (fused - plain).abs().max() <= 2e-12 * plain.abs().max()


def test_float32_gaussians_are_exact_to_rounding():
    distances = torch.linspace(0.7, 4.9, 4001)
    places, sigmas = shape_of_gaussians(20, 30.0, torch.float32)
    values = gaussians(distances, places, sigmas, 5.0, False)[0].double()
    exact = plain_gaussians(*(x.double() for x in (distances, places, sigmas)), 5.0, False)
    error = ((values - exact) / exact)[values > 0].abs().max()
    assert error < 0.55 * torch.finfo(torch.float32).eps


def test_slopes_of_functions_that_do_not_count_are_not_read():
    distances = torch.linspace(1.0, 5.2, 9).requires_grad_()
    places, sigmas = shape_of_gaussians(20, 30.0, torch.float32)
    values, support = gaussians(distances, places, sigmas, 5.0, False)
    k = torch.arange(20)
    outside = (k < support[:, :1]) | (k >= support[:, 1:])
    slope = torch.ones(9, 20).masked_fill(outside, torch.nan)
    for found in torch.autograd.grad(values, (distances, places, sigmas), slope):
        assert found.isfinite().all()


def test_number_of_threads_changes_no_bit_of_gaussians(many_threads):
    distances = (0.7 + 4.5 * torch.rand(5003, generator=torch.Generator().manual_seed(0))).requires_grad_()
    inputs = (distances, *shape_of_gaussians(13, 10.0, torch.float32))
    found = []
    for threads in (3, 1):
        torch.set_num_threads(threads)
        values = gaussians(*inputs, 5.0, True)[0]
        first = torch.autograd.grad(values.square().sum(), inputs, create_graph=True)
        found.append([values, *first, *torch.autograd.grad(first[0].square().sum(), inputs)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("cosine", [True, False])
def test_derivatives_of_gaussians(cosine):
    distances = torch.linspace(1.0, 5.2, 9, dtype=torch.float64).requires_grad_()
    inputs = (distances, *shape_of_gaussians(4, 3.0))
    assert gradcheck(lambda *x: gaussians(*x, 5.0, cosine)[0], inputs)
    assert gradgradcheck(lambda *x: gaussians(*x, 5.0, cosine)[0], inputs)


def test_derivatives_of_many_gaussians_equal_the_plain_path():
    distances = torch.linspace(0.6, 5.2, 3000, dtype=torch.float64).requires_grad_()
    inputs, slope = (distances, *shape_of_gaussians(20, 30.0)), random(3000, 20).requires_grad_()
    found = []
    for function in (lambda *x: gaussians(*x, 5.0, True)[0], lambda *x: plain_gaussians(*x, 5.0, True)):
        first = torch.autograd.grad(function(*inputs), inputs, slope, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), (slope, *inputs))
        found.append([t.detach() for t in (*first, *second)])
    for fused, plain in zip(*found, strict=True):
        assert (fused - plain).abs().max() <= 1e-12 * plain.abs().max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("shape", [(20, 13, 64), (3, 2, 7), (0, 13, 64), (4, 1, 1)])
def test_unit_rows_equal_the_plain_path(shape, centered, dtype):
    values, floors = random(*shape, dtype=dtype), torch.linspace(0.1, 2.0, shape[1], dtype=dtype)
    torch.testing.assert_close(unit_rows(values, floors, centered), plain_unit_rows(values, floors, centered))


@pytest.mark.parametrize("centered", [True, False])
def test_derivatives_of_unit_rows(centered):
    inputs = (random(3, 2, 5).requires_grad_(), torch.tensor([0.3, 2.0], dtype=torch.float64).requires_grad_())
    assert gradcheck(lambda *x: unit_rows(*x, centered), inputs)
    assert gradgradcheck(lambda *x: unit_rows(*x, centered), inputs)
