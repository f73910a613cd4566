"""Irreducible Cartesian tensors of any rank: symmetric, traceless, orthonormal, exact."""

from math import factorial

import numpy as np
import pytest

from invarion.exceptions import ConfigError
from invarion.geometry import cartesian_basis, component_slices, harmonics, pack, squared_norm, unpack
from invarion.geometry.cartesian import integer_cartesian_basis
from invarion.geometry.stretched import split_table, stretched_numerators, stretched_table

RANKS = range(7)


@pytest.mark.parametrize("rank", RANKS)
def test_basis_is_symmetric_traceless_orthonormal(rank):
    basis = cartesian_basis(rank)
    flat = basis.reshape(2 * rank + 1, -1)
    assert flat @ flat.T == pytest.approx(np.eye(2 * rank + 1), abs=1e-14)
    if rank > 1:
        exact = integer_cartesian_basis(rank)
        assert not np.trace(exact, axis1=1, axis2=2).any()
        for axis in range(1, rank):
            assert (exact == exact.swapaxes(axis, axis + 1)).all()


@pytest.mark.parametrize("rank", RANKS)
def test_integer_norms_are_exact(rank):
    exact = integer_cartesian_basis(rank).reshape(2 * rank + 1, -1).astype(object)
    gram = exact @ exact.T
    for a in range(2 * rank + 1):
        for b in range(2 * rank + 1):
            wanted = squared_norm(rank, a - rank) * factorial(rank) ** 2 if a == b else 0
            assert gram[a, b] == wanted


@pytest.mark.parametrize("rank", RANKS)
def test_pack_undoes_unpack(rank):
    components = np.random.default_rng(rank).standard_normal((4, 2 * rank + 1))
    tensors = unpack(components, rank)
    assert tensors.shape == (4,) + (3,) * rank
    assert pack(tensors, rank) == pytest.approx(components)
    assert (tensors.reshape(4, -1) ** 2).sum(1) == pytest.approx((components**2).sum(1))


@pytest.mark.parametrize("rank", range(1, 7))
def test_packing_a_power_of_a_vector_is_the_harmonic(rank):
    vector = np.array([0.3, -0.5, 0.7])
    power = vector
    for _ in range(rank - 1):
        power = np.multiply.outer(power, vector)
    wanted = harmonics(vector[None], rank)[0, component_slices(range(rank + 1))[rank]]
    assert pack(power, rank) == pytest.approx(wanted, abs=1e-14)


def test_pack_projects_other_parts_away():
    matrix = np.random.default_rng(0).standard_normal((3, 3))
    symmetric = (matrix + matrix.T) / 2
    traceless = symmetric - np.eye(3) * np.trace(matrix) / 3
    assert unpack(pack(matrix, 2), 2) == pytest.approx(traceless)


@pytest.mark.parametrize(("rank", "part"), [(2, 1), (3, 1), (4, 2), (6, 3), (6, 5)])
def test_stretched_tables_are_isometries_and_match_cartesian(rank, part):
    table = stretched_table(rank, part)
    assert np.einsum("mab,nab->mn", table, table) == pytest.approx(np.eye(2 * rank + 1), abs=1e-13)
    left, right = cartesian_basis(part), cartesian_basis(rank - part)
    product = np.tensordot(left, right, axes=0).transpose(0, part + 1, *range(1, part + 1), *range(part + 2, rank + 2))
    wanted = np.einsum(
        "mx,abx->mab", cartesian_basis(rank).reshape(2 * rank + 1, -1), product.reshape(*table.shape[1:], -1)
    )
    assert table == pytest.approx(wanted, abs=1e-13)


def test_splits_into_several_bundles_do_not_depend_on_their_order():
    table = split_table(6, (1, 2, 3))
    assert table == pytest.approx(split_table(6, (3, 1, 2)).transpose(0, 2, 3, 1), abs=1e-13)


def test_wrong_shapes():
    with pytest.raises(ConfigError, match="5 components"):
        unpack(np.zeros(4), 2)
    with pytest.raises(ConfigError, match="3 long"):
        pack(np.zeros((3, 2)), 2)
    with pytest.raises(ConfigError, match="0 or larger"):
        integer_cartesian_basis(-1)
    with pytest.raises(ConfigError, match="part is 4"):
        stretched_numerators(3, 4)
    with pytest.raises(ConfigError, match="exact in 64 bits up to rank 12"):
        stretched_table(13, 1)


def test_whole_numbers_stay_exact_up_to_the_largest_rank():
    table = stretched_table(12, 6)
    assert np.einsum("mab,nab->mn", table, table) == pytest.approx(np.eye(25), abs=1e-12)
