"""The invariant layer: torch, machine code and TorchScript give the plan's numbers and derivatives."""

import numpy as np
import pytest
import torch

from invarion.exceptions import ConfigError
from invarion.invariants import optimal_basis, published_basis
from invarion.invariants.execution import evaluate
from invarion.invariants.plan import compile_plan
from invarion.models.invariant_layer import InvariantLayer, invariants
from invarion.models.kernels import machine_code
from invarion.models.kernels.program_ir import Shape, generate

SIZES = [(1, 1), (5, 3), (2, 16), (3, 20), (1, 64), (100, 1), (33, 33)]
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-14}


@pytest.fixture(scope="module")
def plan():
    basis = published_basis(max_rank=3, max_degree=4)
    return compile_plan(basis.invariants, basis.ranks)


def tensors(plan, size, dtype=torch.float64, rows=None):
    generator = torch.Generator().manual_seed(3)
    shape = (size[0], plan.n_inputs if rows is None else rows, size[1])
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def difference(one, other):
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kernel", ["torch", "numba"])
def test_values_are_those_of_the_plan(plan, kernel, dtype, size):
    x = tensors(plan, size, dtype)
    y = invariants(x, plan, kernel)
    expected = evaluate(plan, x.detach().double().transpose(1, 2).numpy())
    assert y.dtype == dtype
    assert difference(y.detach().double(), torch.from_numpy(expected).transpose(1, 2)) < TOLERANCE[dtype]


@pytest.mark.parametrize("kernel", ["torch", "numba"])
def test_derivatives_are_exact(plan, kernel):
    x = tensors(plan, (2, 3))
    assert torch.autograd.gradcheck(lambda t: invariants(t, plan, kernel), x)
    assert torch.autograd.gradgradcheck(lambda t: invariants(t, plan, kernel), x, fast_mode=kernel == "torch")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_machine_code_equals_torch_to_second_derivatives(plan, dtype, size):
    def derivatives(kernel):
        x = tensors(plan, size, dtype)
        weights = tensors(plan, size, dtype, rows=plan.n_outputs)
        (slope,) = torch.autograd.grad((weights * invariants(x, plan, kernel)).sum(), x, create_graph=True)
        return slope, *torch.autograd.grad(slope.square().sum(), (x, weights))

    for fused, plain in zip(derivatives("numba"), derivatives("torch"), strict=True):
        assert difference(fused, plain) < 10 * TOLERANCE[dtype]


def test_long_programs_are_cut_into_segments():
    basis = optimal_basis(max_rank=4, max_degree=4)
    plan = compile_plan(basis.invariants, basis.ranks)
    code = generate(plan.curvature, Shape((25, plan.n_outputs, 25), 64, 8))
    assert code.count("define internal void") > 4
    x = tensors(plan, (4, 9))
    assert torch.autograd.gradgradcheck(lambda t: invariants(t[:, :, :1], plan, "numba"), x[:1], fast_mode=True)
    assert difference(invariants(x, plan, "numba"), invariants(x, plan, "torch")) < 1e-13


@pytest.mark.parametrize("kernel", ["torch", "numba"])
@pytest.mark.parametrize("size", [(0, 4), (3, 0)])
def test_empty_inputs(plan, kernel, size):
    x = tensors(plan, size)
    y = invariants(x, plan, kernel)
    assert y.shape == (size[0], 13, size[1])
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape


@pytest.mark.parametrize("kernel", ["torch", "numba"])
def test_strided_inputs(plan, kernel):
    x = tensors(plan, (6, 8)).detach()
    strided = x.transpose(0, 2)[1:, :, ::2]
    assert torch.equal(invariants(strided, plan, kernel), invariants(strided.contiguous(), plan, kernel))


def test_threads_do_not_change_the_numbers(plan):
    x = tensors(plan, (500, 64), torch.float32).detach()
    before = torch.get_num_threads()
    try:
        results = [torch.set_num_threads(n) or invariants(x, plan, "numba") for n in (1, 2, 3)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_torchscript_and_compiled_layers_agree():
    layer = InvariantLayer(published_basis(max_rank=2, max_degree=3))
    x = tensors(layer.plan, (3, 5))
    scripted = torch.jit.script(layer)
    compiled = torch.compile(lambda t: invariants(t, layer.plan), backend="aot_eager")
    (slope,) = torch.autograd.grad(layer(x).sum(), x)
    for other in (scripted, compiled):
        assert difference(other(x), layer(x)) < 1e-13
        assert difference(torch.autograd.grad(other(x).sum(), x)[0], slope) < 1e-13


def test_layer_adds_nothing_to_a_saved_model():
    assert not InvariantLayer(published_basis(max_rank=2, max_degree=3)).state_dict()


def test_other_types_take_the_plain_path(plan):
    x = tensors(plan, (2, 3)).detach()
    assert difference(invariants(x.bfloat16(), plan).double(), invariants(x, plan)) < 0.1
    with pytest.raises(ConfigError, match="float32 and float64"):
        invariants(x.bfloat16(), plan, "numba")


def test_refuses_tensors_of_another_shape(plan):
    with pytest.raises(ConfigError, match=r"\(N, 16, C\)"):
        invariants(torch.zeros(2, 9, 3), plan)


@pytest.mark.parametrize("damage", ["absent", "kept", "truncated", "flipped", "unwritable"])
def test_cache_of_machine_code(tmp_path, monkeypatch, damage):
    folder = tmp_path / "cache"
    monkeypatch.setenv("INVARION_CACHE_DIR", str(folder))
    norm = compile_plan([c for c in published_basis(1, 2).invariants if c.degree == 2], (0, 1)).values
    written = []

    def write():
        written.append(1)
        return generate(norm, Shape((4,), 64, 2))

    key = machine_code.fingerprint("test", norm.digest)
    if damage == "unwritable":
        folder.write_text("a file, not a folder")
    elif damage != "absent":
        machine_code.MachineCode(key, write)
        (file,) = folder.iterdir()
        assert file.stat().st_mode & 0o077 == 0
        content = bytearray(file.read_bytes())
        content[-1] ^= damage == "flipped"
        file.write_bytes(content[: -7 if damage == "truncated" else None])
        written.clear()
    assert machine_code.MachineCode(key, write).kernel
    assert len(written) == (damage != "kept")


def test_fused_results_do_not_depend_on_the_cache(plan, tmp_path, monkeypatch):
    from invarion.models.kernels import program_kernel

    x = tensors(plan, (7, 11)).detach()
    first = program_kernel.run(plan.values, x)
    monkeypatch.setenv("INVARION_CACHE_DIR", str(tmp_path))
    program_kernel._compiled.cache_clear()
    assert torch.equal(program_kernel.run(plan.values, x), first)
    assert any(tmp_path.iterdir())
    np.testing.assert_allclose(first.numpy(), invariants(x, plan, "torch").numpy(), rtol=1e-12)
