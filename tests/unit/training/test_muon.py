"""Muon: equal singular values, the same steps as PyTorch's own for one matrix, and nothing lost between steps."""

import copy
import io

import pytest
import torch
from torch import nn

from invarion.training.muon import Muon, is_matrix, orthogonalized


def with_slopes(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=generator)
    return parameters


def random_matrices(*shapes):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_singular_values_become_equal():
    matrices = random_matrices((16, 16), (5, 40), (40, 5), (16, 16), (2, 2), (16, 60))
    for matrix, turned in zip(matrices, orthogonalized(matrices), strict=True):
        assert turned.shape == matrix.shape
        values = torch.linalg.svdvals(turned)
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.3
        assert float(values.median()) == pytest.approx(0.95, abs=0.3)


def test_each_matrix_is_turned_by_itself():
    matrices = random_matrices((16, 16), (40, 5), (16, 16), (5, 40))
    for matrix, turned in zip(matrices, orthogonalized(matrices), strict=True):
        torch.testing.assert_close(orthogonalized([matrix])[0], turned, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 8), (8, 12)])
def test_equals_the_iteration_on_the_matrix_itself(shape):
    """Also for singular values far below the largest, whose squares are below rounding."""
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(4)), full_matrices=False)
    matrix = u @ torch.diag(torch.logspace(0, -6, 8)) @ v
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    torch.testing.assert_close(orthogonalized([matrix])[0].double(), x, rtol=0, atol=2e-3)


def test_singular_vectors_stay():
    matrix = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    u, _, v = torch.linalg.svd(matrix)
    turned = u.T @ orthogonalized([matrix])[0] @ v.T
    assert float((turned - turned.diagonal().diag()).abs().max()) < 1e-3


def test_a_slope_of_zero_moves_nothing():
    assert float(orthogonalized([torch.zeros(3, 3)])[0].abs().max()) == 0.0


def test_equals_that_of_torch_on_one_matrix():
    (ours,), (theirs,), (start,) = (with_slopes((12, 20)) for _ in range(3))
    settings = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.95}
    pairs = [
        (ours, Muon([ours], **settings)),
        (theirs, torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)),
    ]
    for seed in range(3):
        for parameter, optimizer in pairs:
            parameter.grad = with_slopes((12, 20), seed=seed)[0].grad
            optimizer.step()
    moved = float((ours - start).detach().norm())
    assert float((ours - theirs).detach().norm()) < 0.03 * moved  # PyTorch's iteration runs in bfloat16
    assert moved > 0.05


def test_a_stack_moves_as_one_tall_matrix():
    (stack,) = with_slopes((3, 6, 4))
    tall = nn.Parameter(stack.detach().flatten(0, 1).clone())
    tall.grad = stack.grad.flatten(0, 1).clone()
    Muon([stack], lr=0.1).step()
    Muon([tall], lr=0.1).step()
    torch.testing.assert_close(stack.detach().flatten(0, 1), tall.detach())


def test_vectors_and_single_rows_move_as_with_adamw():
    ours, theirs = with_slopes((7,), (1, 7)), with_slopes((7,), (1, 7))
    Muon(ours, lr=0.1).step()
    torch.optim.AdamW(theirs, lr=0.1, weight_decay=0.0, fused=True).step()
    torch.testing.assert_close([p.detach() for p in ours], [p.detach() for p in theirs])
    assert not any(map(is_matrix, ours))


def test_goes_on_from_its_stored_state():
    straight = with_slopes((5, 5), (2, 3, 4), (6,))
    optimizer = Muon(straight, lr=0.1)
    optimizer.step()
    stored = io.BytesIO()
    torch.save(optimizer.state_dict(), stored)
    stored.seek(0)
    resumed = [nn.Parameter(p.detach().clone()) for p in straight]
    again = Muon(resumed, lr=0.1)
    again.load_state_dict(torch.load(stored, weights_only=True))
    for parameters, each in ((straight, optimizer), (resumed, again)):
        for p, like in zip(parameters, with_slopes((5, 5), (2, 3, 4), (6,), seed=3), strict=True):
            p.grad = copy.deepcopy(like.grad)
        each.step()
    assert all(bool((a == b).all()) for a, b in zip(straight, resumed, strict=True))
