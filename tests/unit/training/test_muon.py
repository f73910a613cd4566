"""Muon: equal singular values, the same steps as PyTorch's own for one matrix, and nothing lost between steps."""

import copy
import io

import pytest
import torch
from torch import nn

from invarion.training.muon import Muon, is_stack, orthogonalized


def with_slopes(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=generator)
    return parameters


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 5, 40), (3, 40, 5), (1, 2, 2)])
def test_singular_values_become_equal(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.3
    assert float(values.median()) == pytest.approx(0.95, abs=0.3)


def test_singular_vectors_stay():
    matrix = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    u, _, v = torch.linalg.svd(matrix)
    turned = u.T @ orthogonalized(matrix[None])[0] @ v.T
    assert float((turned - turned.diagonal().diag()).abs().max()) < 1e-3


def test_a_slope_of_zero_moves_nothing():
    assert float(orthogonalized(torch.zeros(2, 3, 3)).abs().max()) == 0.0


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


def test_a_stack_moves_as_its_matrices_do():
    (stack,) = with_slopes((3, 6, 4))
    single = [nn.Parameter(m.detach().clone()) for m in stack]
    for p, slope in zip(single, stack.grad, strict=True):
        p.grad = slope.clone()
    Muon([stack], lr=0.1).step()
    Muon(single, lr=0.1).step()
    torch.testing.assert_close(stack.detach(), torch.stack([p.detach() for p in single]))


def test_vectors_and_single_rows_move_as_with_adamw():
    ours, theirs = with_slopes((7,), (1, 7)), with_slopes((7,), (1, 7))
    Muon(ours, lr=0.1).step()
    torch.optim.AdamW(theirs, lr=0.1, weight_decay=0.0, fused=True).step()
    torch.testing.assert_close([p.detach() for p in ours], [p.detach() for p in theirs])
    assert not any(map(is_stack, ours))


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
