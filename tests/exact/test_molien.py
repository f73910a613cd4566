"""Candidates against characters: connected graphs and their products span exactly the invariants of each degree."""

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.invariants import molien_counts
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import values
from invarion.invariants.independence import RowSpace


def weyl_counts(ranks, max_degree: int, parity: str) -> tuple[int, ...]:
    """The oracle: characters of symmetric powers, by Newton's identities, averaged over O(3) by an exact quadrature.

    A class function of SO(3) that is a trigonometric polynomial of degree D is averaged exactly by more than D + 1
    equidistant angles with weight 1 - cos(angle).
    """
    n = 2 * (max_degree * max(ranks) + 2)
    angles = 2 * np.pi * np.arange(n) / n
    sign = {"even": 1, "odd": -1}[parity]
    counts = np.zeros(max_degree)
    for determinant in (1, -1):
        powers = [
            sum(determinant ** (l * k) * sum(np.cos(m * k * angles) for m in range(-l, l + 1)) for l in ranks)  # noqa: E741 - a rank
            for k in range(1, max_degree + 1)
        ]
        complete = [np.ones(n)]
        for d in range(1, max_degree + 1):
            complete.append(sum(powers[k - 1] * complete[d - k] for k in range(1, d + 1)) / d)
        weight = (1 - np.cos(angles)) / n * (1 if determinant == 1 else sign) / 2
        counts += np.array([weight @ h for h in complete[1:]])
    return tuple(int(c) for c in np.rint(counts))


@cache
def connected_values(ranks: tuple[int, ...], degree: int, parity: str, n: int) -> np.ndarray:
    """(n, B) values of the connected contractions of one degree at random points modulo a prime."""
    field = PrimeField(PRIMES[0])
    points = field.random(np.random.default_rng(5), n * sum(2 * r + 1 for r in ranks)).reshape(n, -1)
    pool = list(enumerate_contractions(ranks, degree, parity))
    return values(pool, ranks, points, field)


def products(ranks: tuple[int, ...], degree: int, parity: str, n: int) -> np.ndarray:
    """(n, B) values of all products of connected contractions of one total degree, at most one of them odd."""
    columns = []
    for parts in partitions(degree):
        for odd in range(len(parts)) if parity == "odd" else [None]:
            columns += combine([(d, "odd" if i == odd else "even") for i, d in enumerate(parts)], ranks, n)
    return np.stack(columns, 1) if columns else np.zeros((n, 0), dtype=np.int64)


def combine(parts, ranks, n) -> list[np.ndarray]:
    """Values of all products with one factor of each (degree, parity); equal ones are taken without regard to order."""
    kinds = sorted(set(parts))
    choices = [
        list(combinations_with_replacement(range(connected_values(ranks, d, p, n).shape[1]), parts.count((d, p))))
        for d, p in kinds
    ]
    found = [np.ones(n, dtype=np.int64)]
    for (d, p), sets in zip(kinds, choices, strict=True):
        table = connected_values(ranks, d, p, n)
        found = [multiply([value, *(table[:, i] for i in chosen)]) for value in found for chosen in sets]
    return found


def multiply(factors) -> np.ndarray:
    total = factors[0]
    for factor in factors[1:]:
        total = total * factor % PRIMES[0]
    return total


def partitions(total: int, most: int | None = None) -> list[tuple[int, ...]]:
    if total == 0:
        return [()]
    top = min(total, most or total)
    return [(first, *rest) for first in range(top, 0, -1) for rest in partitions(total - first, first)]


PUBLISHED_COUNTS = {  # (N, L): degrees 1..4, as tabulated for the project
    (1, 2): (1, 3, 5, 9),
    (1, 3): (1, 4, 8, 23),
    (1, 4): (1, 5, 14, 51),
    (2, 2): (2, 9, 26, 75),
    (3, 3): (3, 24, 137, 939),
    (4, 3): (4, 40, 304, 2732),
    (4, 4): (4, 50, 548, 7311),
    (6, 4): (6, 105, 1734, 34986),
    (5, 5): (5, 90, 1630, 39970),
}


@pytest.mark.parametrize(("channels", "max_rank"), PUBLISHED_COUNTS)
def test_molien_counts_against_the_table(channels, max_rank):
    assert molien_counts(tuple(range(max_rank + 1)) * channels, 4) == PUBLISHED_COUNTS[channels, max_rank]


@pytest.mark.parametrize("ranks", [(0,), (1,), (3,), (0, 1, 2), (1, 3, 3), (0, 1, 2, 3, 4, 5, 6), (2, 2, 5)])
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_two_ways_to_count(ranks, parity):
    assert molien_counts(ranks, 7, parity) == weyl_counts(ranks, 7, parity)


def test_hilbert_series_of_one_rank_3_tensor():
    # (1 + t^15) / ((1 - t^2)(1 - t^4)(1 - t^6)(1 - t^10)); the odd generator has degree 15
    series = np.zeros(21, dtype=int)
    series[0] = 1
    for step in (2, 4, 6, 10):
        for d in range(step, 21):
            series[d] += series[d - step]
    assert molien_counts((3,), 20) == tuple(series[1:])
    assert molien_counts((3,), 20, "odd") == tuple([0] * 14 + [1, 0, 1, 0, 2, 0])


@pytest.mark.parametrize(
    ("ranks", "max_degree"),
    [
        ((0, 1, 2), 6),
        ((0, 1, 2, 3), 5),
        ((1, 2, 3, 4), 4),
        ((0, 1, 2, 3, 4), 4),
        ((1, 3, 3), 5),
        ((2, 2, 2), 6),
        ((0, 1, 2, 0, 1, 2), 4),
        ((1, 2, 3, 4, 5), 3),
        ((2, 4, 6), 4),
        ((3,), 10),
        ((4,), 8),
        ((5,), 6),
        pytest.param((3,), 12, marks=pytest.mark.slow),
        pytest.param((5,), 8, marks=pytest.mark.slow),
        ((6,), 6),
    ],
)
def test_candidates_span_all_invariants(ranks, max_degree):
    for degree, count in enumerate(molien_counts(ranks, max_degree), start=1):
        assert span(ranks, degree, "even", count) == count


@pytest.mark.parametrize(("ranks", "max_degree"), [((0, 1, 2), 7), ((1, 2, 3), 5), ((1, 1, 1), 5), ((2, 3, 4), 4)])
def test_odd_candidates_span_all_odd_invariants(ranks, max_degree):
    for degree, count in enumerate(molien_counts(ranks, max_degree, "odd"), start=1):
        assert span(ranks, degree, "odd", count) == count


def span(ranks, degree: int, parity: str, count: int) -> int:
    """Dimension of the span modulo a prime: at most that over Q, which is at most the count."""
    table = products(ranks, degree, parity, count + 3)
    return len(RowSpace(count + 3, PrimeField(PRIMES[0])).offer(np.ascontiguousarray(table.T)))


@pytest.mark.slow
def test_candidates_of_three_channels_span_all_invariants():
    ranks = (0, 1, 2, 3) * 3
    assert span(ranks, 4, "even", 939) == 939


def test_unknown_parity():
    with pytest.raises(BasisError, match="'even' and 'odd'"):
        molien_counts((1,), 2, "both")
