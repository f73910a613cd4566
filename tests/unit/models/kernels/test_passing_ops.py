"""Rows handed along edges: what the two operators refuse, and that threads and order leave the numbers alone."""

import pytest
import torch

pytest.importorskip("numba", reason="the kernels need numba")

from invarion.models.kernels import threads
from invarion.models.kernels.passing_ops import add_passed, overlaps, passed


def inputs(n_edges=500, n_rows=20, width=33):
    g = torch.Generator().manual_seed(0)
    to, origin = (torch.randint(n_rows, (n_edges,), generator=g) for _ in range(2))
    return torch.randn(n_edges, generator=g), torch.randn(n_rows, width, generator=g), to, origin


def test_edges_may_come_in_any_order():
    w, x, to, origin = inputs()
    expected = torch.zeros_like(x).index_add(0, to, w[:, None] * x[origin])
    torch.testing.assert_close(passed(w, x, to, origin, len(x)), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(overlaps(x, x, to, origin), (x[to] * x[origin]).sum(1), rtol=1e-5, atol=1e-5)


def test_sums_are_added_to_what_is_there():
    w, x, to, origin = inputs()
    total = torch.ones_like(x)
    add_passed(total, w, x, to, origin)
    torch.testing.assert_close(total, passed(w, x, to, origin, len(x)) + 1, rtol=1e-5, atol=1e-5)


def test_two_threads_give_the_same_bits(monkeypatch):
    arguments = (*inputs(), 20)
    one = passed(*arguments)
    monkeypatch.setattr(threads, "_WORTHWHILE", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert torch.equal(passed(*arguments), one)


@pytest.mark.parametrize(("to", "origin"), [([0, 2], [0, 0]), ([0, 1], [0, 2]), ([0, 1], [-1, 0])])
def test_rows_that_do_not_exist_are_refused(to, origin):
    w, x, to, origin = torch.ones(2), torch.ones(2, 3), torch.tensor(to), torch.tensor(origin)
    with pytest.raises(IndexError, match="allowed are 0 to 1"):
        passed(w, x, to, origin, 2)
    with pytest.raises(IndexError, match="allowed are 0 to 1"):
        overlaps(x, x, to, origin)


def test_derivatives_pass_through_torchs_compiler():
    w, x, to, origin = inputs(n_edges=40, n_rows=5, width=8)
    factors = [w.double().requires_grad_(), x.double().requires_grad_()]

    def total(w, x):
        return passed(w, x, to, origin, 5).square().sum()

    eager, compiled = total(*factors), torch.compile(total, backend="aot_eager", fullgraph=True)(*factors)
    torch.testing.assert_close(compiled, eager)
    for found, expected in zip(*(torch.autograd.grad(y, factors) for y in (compiled, eager)), strict=True):
        torch.testing.assert_close(found, expected)
