"""InvariantBasis: evaluation of arrays and tensors of any leading shape, summary, JSON."""

import json

import numpy as np
import pytest
import torch

from invarion.exceptions import BasisError
from invarion.geometry import random_rotation, rotation_matrix
from invarion.invariants import InvariantBasis, flexible_basis, optimal_basis, published_basis
from invarion.invariants.polynomial import expand

KEYS = {
    "max_rank", "max_degree", "channels", "kind", "parity", "n_invariants", "dimension", "orbit_dimension", "rank",
    "independent", "complete", "certificate", "invariants", "n_odd",
}  # fmt: skip


def test_published_values_by_hand():
    rng = np.random.default_rng(0)
    basis, tensors = published_basis(3, 4), rng.standard_normal((5, 16))
    from invarion.geometry import unpack

    s, v, q, t = tensors[:, 0], unpack(tensors[:, 1:4], 1), unpack(tensors[:, 4:9], 2), unpack(tensors[:, 9:], 3)
    tt = np.einsum("nijk,nijm->nkm", t, t)
    wanted = [
        s,
        np.einsum("ni,ni->n", v, v),
        np.einsum("nij,nij->n", q, q),
        np.einsum("nij,njk,nki->n", q, q, q),
        np.einsum("nijk,nijk->n", t, t),
        np.einsum("nij,nij->n", tt, tt),
        np.einsum("ni,nij,nj->n", v, q, v),
        (np.einsum("nij,nj->ni", q, v) ** 2).sum(1),
        np.einsum("nijk,ni,nj,nk->n", t, v, v, v),
        np.einsum("ni,nij,nj->n", v, tt, v),
        np.einsum("nij,nij->n", tt, q),
        np.einsum("nij,nik,nkj->n", tt, q, q),
        (np.einsum("nijk,nij->nk", t, q) ** 2).sum(1),
    ]
    assert basis.evaluate(tensors) == pytest.approx(np.stack(wanted, -1))


@pytest.mark.parametrize(
    "basis", [published_basis(3, 4), flexible_basis(max_rank=3), optimal_basis(max_rank=3, parity="both")]
)
def test_numpy_and_torch_equal_the_exact_polynomials(basis):
    tensors = np.random.default_rng(1).standard_normal((2, 3, 16))
    found = basis.evaluate(tensors)
    assert found.shape == (2, 3, len(basis))
    wanted = np.stack([expand(c, basis.ranks).evaluate(tensors) for c in basis.invariants if c.degree < 9], -1)
    few = [i for i, c in enumerate(basis.invariants) if c.degree < 9]
    assert found[..., few] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert basis.evaluate(torch.tensor(tensors)).numpy() == pytest.approx(found)


def test_dtypes_are_kept_and_torch_differentiates():
    basis = published_basis(2, 3)
    assert basis.evaluate(np.zeros((1, 9), dtype=np.float32)).dtype == np.float32
    tensors = torch.randn(2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(basis.evaluate, tensors)
    assert torch.autograd.gradgradcheck(basis.evaluate, tensors)


def test_channels_are_packed_one_after_the_other():
    basis = optimal_basis(max_rank=2, max_degree=3, channels=3)
    rng = np.random.default_rng(2)
    tensors = rng.standard_normal((4, 3, 9))
    turn = rotation_matrix(random_rotation(rng, improper=True), range(3))
    assert basis.evaluate(tensors).shape == (4, len(basis))
    assert basis.evaluate(tensors @ turn.T) == pytest.approx(basis.evaluate(tensors), rel=1e-8, abs=1e-8)
    assert "1#0.1#2:ab" in basis.names


def test_whole_numbers_and_lists_are_evaluated_as_floats():
    basis = optimal_basis(max_rank=2)
    wanted = basis.evaluate(np.arange(9.0))
    np.testing.assert_array_equal(basis.evaluate(np.arange(9)), wanted)
    np.testing.assert_array_equal(basis.evaluate(list(range(9))), wanted)
    for wrong in ("abc", None, [[1.0], [1.0, 2.0]]):
        with pytest.raises(BasisError, match="tensors "):
            basis.evaluate(wrong)


@pytest.mark.parametrize("shape", [(15,), (4, 15), (2, 16, 1)])
def test_tensors_that_do_not_fit(shape):
    with pytest.raises(BasisError, match=r"needs \(..., 16\)"):
        published_basis(3, 4).evaluate(np.zeros(shape))
    with pytest.raises(BasisError, match=r"needs \(..., 2, 9\)"):
        optimal_basis(max_rank=2, max_degree=3, channels=2).evaluate(np.zeros((5, 18)))


@pytest.mark.parametrize(
    "basis", [optimal_basis(max_rank=3, max_degree=4), published_basis(2, 4), optimal_basis(max_rank=3, parity="both")]
)
def test_summary_is_plain_json_with_the_public_keys(basis):
    summary = json.loads(json.dumps(basis.summary()))
    assert summary.keys() >= KEYS
    assert summary["n_invariants"] == len(basis) == len(summary["invariants"])
    assert summary["rank"] == len(basis) - summary["n_odd"]
    assert summary["complete"] is True
    for member, contraction in zip(summary["invariants"], basis.invariants, strict=True):
        assert member["einsum"] == contraction.einsum(basis.ranks)
        assert member["degree"] == contraction.degree
        assert set(member) == {"name", "einsum", "degree", "parity", "cost"}
    assert len(set(basis.names)) == len(basis)


def test_whole_numbers_of_numpy_are_as_good_as_any():
    basis = optimal_basis(np.int64(2), np.int32(4), channels=np.int8(2))
    assert basis == optimal_basis(2, 4, channels=2)
    assert InvariantBasis.from_json(basis.to_json()) == basis


def test_bases_are_values():
    basis = published_basis(3, 4)
    assert InvariantBasis.from_json(basis.to_json()) == basis
    assert hash(InvariantBasis.from_json(basis.to_json())) == hash(basis)
    assert (basis.max_rank, basis.max_degree, basis.dimension, basis.channels, basis.n_odd) == (3, 4, 16, 1, 0)
    with pytest.raises(AttributeError):
        basis.kind = "mine"  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        '{"format": 1}',
        '{"format": 99}',
        '{"format": 1, "ranks": [1], "invariants": [[[0], []]]}',
    ],
)
def test_what_is_no_basis_is_refused(text):
    with pytest.raises(BasisError):
        InvariantBasis.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 3},
        {"channels": 0},
        {"channels": "1"},
        {"kind": 1},
        {"parity": "odd"},
        {"max_degree": -1},
        {"costs": [1.0]},
    ],
)
def test_json_whose_parts_contradict_each_other_is_refused(change):
    data = {**json.loads(published_basis(2, 3).to_json()), **change}
    with pytest.raises(BasisError):
        InvariantBasis.from_json(json.dumps(data))
