"""Selection by conditioning: better conditioned than the cheapest set, still independent and complete, proved."""

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.geometry import harmonics
from invarion.invariants import conditioned_basis, conditioning, optimal_basis


def environments(n: int, channels: int, max_rank: int, seed: int = 0) -> np.ndarray:
    """(n, N, M) tensors of six random neighbours, one Gaussian shell per channel."""
    vectors = np.random.default_rng(seed).standard_normal((n, 6, 3))
    distances = np.linalg.norm(vectors, axis=-1)
    shells = np.exp(-2 * (distances[:, None] - np.linspace(0.5, 2, channels)[:, None]) ** 2)
    return shells @ harmonics(vectors / distances[..., None], max_rank)


@pytest.mark.parametrize("channels", [1, 2])
def test_it_is_better_conditioned_on_environments_it_has_not_seen(channels):
    seen, unseen = environments(100, channels, 3), environments(100, channels, 3, seed=1)
    if channels == 1:
        seen, unseen = seen[:, 0], unseen[:, 0]
    cheapest = optimal_basis(max_rank=3, max_degree=4, channels=channels)
    chosen = conditioned_basis(seen, max_rank=3, max_degree=4, channels=channels)
    assert (len(chosen), chosen.complete, chosen.kind) == (len(cheapest), True, "conditioned")
    assert chosen.certificate.check()
    before, after = (np.median(conditioning(b, unseen).condition_numbers) for b in (cheapest, chosen))
    assert after < before / 1.5


def test_exchange_raises_the_smallest_singular_values():
    sample = environments(40, 2, 2)
    scores = [
        np.log(conditioning(conditioned_basis(sample, 2, channels=2, criterion=c), sample).smallest).mean()
        for c in ("determinant", "singular")
    ]
    assert scores[1] >= scores[0]


def test_conditioning_sees_a_set_that_is_blind():
    sample = environments(10, 1, 3)[:, 0]
    found = conditioning(optimal_basis(max_rank=3, max_degree=4), sample)
    assert (found.smallest > 0).all()
    assert found.condition_numbers == pytest.approx(found.largest / found.smallest)
    flat = sample.copy()
    flat[:, 4:] = 0
    assert np.isinf(conditioning(optimal_basis(max_rank=3, max_degree=4), flat).condition_numbers).all()


def test_the_same_choice_every_time():
    sample = environments(80, 1, 3)[:, 0]
    first = conditioned_basis(sample, max_rank=3, n_environments=20)
    assert first == conditioned_basis(sample, max_rank=3, n_environments=20)


@pytest.mark.parametrize(
    ("sample", "options", "message"),
    [
        (np.zeros((5, 15)), {}, "5, 15"),
        (np.zeros((1, 16)), {}, "at least 2 environments"),
        (np.full((3, 16), np.nan), {}, "not finite"),
        (np.zeros((3, 16)), {"criterion": "best"}, "'determinant', 'singular'"),
        (np.zeros((3, 16)), {"max_degree": 0}, "max_degree is 0"),
    ],
)
def test_wrong_samples(sample, options, message):
    with pytest.raises(BasisError, match=message):
        conditioned_basis(sample, max_rank=3, **options)
