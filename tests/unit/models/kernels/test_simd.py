"""Tiles of numbers in registers do what their names say, for every shape that kernels use."""

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="tiles are numba values")

from invarion.models.kernels.simd import (  # noqa: E402 - compiled only where numba is
    add_outer,
    add_product,
    add_scaled,
    load,
    store,
    total,
    transposed,
    zeros,
)

DTYPES = (np.float32, np.float64)


def numbers(dtype, *shape):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "lanes"), [(1, 1), (3, 4), (16, 16), (9, 8), (25, 16)])
def test_load_store_and_sums(rows, lanes, dtype):
    @numba.njit
    def work(a, b, out):
        tile = zeros(a, rows, lanes)
        one, other = load(tile, a, 0, lanes), load(tile, b, 0, lanes)
        store(add_product(add_scaled(one, 2, other), one, other), out, 0, lanes)
        return total(one)

    a, b = numbers(dtype, 2, rows, lanes)
    out = np.empty(rows * lanes, dtype)
    assert work(a.ravel(), b.ravel(), out) == pytest.approx(a.sum(), rel=1e-4)
    np.testing.assert_allclose(out.reshape(rows, lanes), a + 2 * b + a * b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_outer_product_reads_with_a_stride(dtype):
    @numba.njit
    def work(a, row, out):
        tile = zeros(a, 5, 8)
        store(add_outer(tile, a, 1, 3, load(zeros(a, 1, 8), row, 0, 8)), out, 0, 8)

    a, row, out = numbers(dtype, 20), numbers(dtype, 8), np.empty(40, dtype)
    work(a, row, out)
    np.testing.assert_allclose(out.reshape(5, 8), np.outer(a[1:14:3], row), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "lanes", "padded"), [(1, 8, 1), (4, 16, 4), (9, 16, 16), (16, 16, 16), (25, 8, 32)])
def test_columns_become_rows(rows, lanes, padded, dtype):
    @numba.njit
    def work(a, out):
        store(transposed(zeros(a, lanes, padded), load(zeros(a, rows, lanes), a, 0, lanes)), out, 0, padded)

    a, out = numbers(dtype, rows, lanes), np.empty(lanes * padded, dtype)
    work(a.ravel(), out)
    expected = np.zeros((lanes, padded), dtype)
    expected[:, :rows] = a.T
    np.testing.assert_array_equal(out.reshape(lanes, padded), expected)
