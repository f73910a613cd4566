"""Arithmetic of tiles: operators, comparisons, and exponentials as exact as their type allows."""

import math

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="tiles are numba values")

from invarion.models.kernels.arithmetic import (  # noqa: E402 - compiled only where numba is
    below,
    between,
    end_of_bits,
    exp_of_minus,
    exponential_series,
    first_bit,
    lanes_below,
    least,
    sine_and_cosine,
    smaller,
)
from invarion.models.kernels.compiled import compiled  # noqa: E402 - compiled only where numba is
from invarion.models.kernels.simd import load, store, zeros  # noqa: E402 - compiled only where numba is

WIDTHS = (1, 2, 4, 8)


def mapped(function, width):
    """A function of tiles as a function of arrays of float64 whose size is a multiple of the width."""
    inner = numba.njit(function)

    @numba.njit
    def work(x, out):
        zero = zeros(x, 1, width)
        for start in range(0, x.size, width):
            store(inner(zero, load(zero, x, start, width)), out, start, width)

    def call(x):
        out = np.empty_like(x)
        work(x, out)
        return out

    return call


@pytest.mark.parametrize("width", WIDTHS)
def test_operators(width):
    x = np.linspace(0.5, 3.0, 16)
    found = mapped(lambda zero, x: (2.0 - x) * 3.0 + x * x / (x + 1.0) - (zero + 0.5), width)(x)
    np.testing.assert_allclose(found, (2.0 - x) * 3.0 + x * x / (x + 1.0) - 0.5, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("dtype", "ulps"), [(np.float32, 0.1), (np.float64, 1.5)])
def test_exponential(width, dtype, ulps):
    series = exponential_series(np.dtype(dtype))
    x = np.concatenate([np.linspace(0, 45, 40000), np.geomspace(1e-20, 707.9, 40000)])
    found = mapped(lambda zero, x: exp_of_minus(zero, x, series), width)(x)
    exact = np.exp(-x.astype(np.longdouble))
    assert abs((found - exact) / exact).max() < ulps * np.finfo(dtype).eps


@pytest.mark.parametrize("width", WIDTHS)
def test_exponential_of_extremes(width):
    series = exponential_series(np.dtype(np.float64))
    x = np.array([np.nan, np.inf, 708.1, 1e300, 0.0, 1.0, np.nan, 2.0])
    found = mapped(lambda zero, x: exp_of_minus(zero, x, series), width)(x)
    np.testing.assert_allclose(found, [np.nan, 0, 0, 0, 1, math.exp(-1), np.nan, math.exp(-2)], rtol=1e-15)
    assert found[4] == 1.0


@pytest.mark.parametrize("width", WIDTHS)
def test_sine_and_cosine(width):
    x = np.linspace(0, math.pi / 2, 4096)
    sine = mapped(lambda zero, x: sine_and_cosine(x)[0], width)(x)
    cosine = mapped(lambda zero, x: sine_and_cosine(x)[1], width)(x)
    np.testing.assert_allclose(sine, np.sin(x), rtol=4e-16)
    np.testing.assert_allclose(cosine, np.cos(x), rtol=0, atol=3e-16)


@pytest.mark.parametrize("width", WIDTHS)
def test_comparisons_let_nan_through(width):
    x = np.array([1.0, np.nan, 3.0, 2.0, -np.inf, np.inf, 0.0, 2.5])
    np.testing.assert_equal(mapped(lambda zero, x: below(zero + 7.0, x, 2.5), width)(x), [7, 7, 0, 7, 7, 0, 7, 0])
    np.testing.assert_equal(mapped(lambda zero, x: smaller(x, zero + 2.0), width)(x), [1, 2, 2, 2, -np.inf, 2, 0, 2])


@pytest.mark.parametrize("width", WIDTHS)
def test_lanes(width):
    @compiled
    def work(x, bound, first, last, out):
        tile = load(zeros(x, 1, width), x, 0, width)
        store(between(tile, first, last), out, 0, width)
        return lanes_below(tile, bound), least(tile)

    x = np.arange(1.0, 1.0 + width)
    for bound in range(width + 2):
        assert work(x, float(bound), 0, width, np.empty(width)) == ((1 << min(max(bound - 1, 0), width)) - 1, 1.0)
    out = np.empty(width)
    for first in range(-2, width + 2):
        for last in range(-2, width + 2):
            work(x, 0.0, first, last, out)
            n = np.arange(width)
            np.testing.assert_equal(out, np.where((n >= first) & (n < last), x, 0))


def test_ends_of_bits():
    @numba.njit
    def work(bits):
        return first_bit(bits), end_of_bits(bits)

    assert [work(bits) for bits in (1, 0b1100, 1 << 40)] == [(0, 1), (2, 4), (40, 41)]
