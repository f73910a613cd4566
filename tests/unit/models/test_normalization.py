"""Normalisations of invariants: what typical and what extreme invariants become, and what calibration sets."""

import pytest
import torch

from invarion.models.normalization import SmoothNorm, normalization


def calibrated(kind, invariants):
    norm, gains = normalization(kind, (1, 2, 3), invariants.shape[2])
    norm.calibrating = True
    norm(invariants)
    norm.calibrating = False
    return norm, torch.tensor(gains)[:, None]


@pytest.fixture
def invariants():
    """Three invariants of 500 atoms and 16 neurons, of sizes 0.1, 10 and 1000."""
    numbers = torch.randn(500, 3, 16, generator=torch.Generator().manual_seed(0))
    return numbers * torch.tensor([0.1, 10.0, 1000.0])[:, None]


def test_scaled_invariants_stay_proportional_and_high_degrees_come_in_small(invariants):
    norm, gains = calibrated("scaled", invariants)
    scaled = gains * norm(invariants)
    sizes = scaled.square().mean(dim=(0, 2)).sqrt()
    torch.testing.assert_close(sizes, torch.tensor([1.0, 0.3, 0.09]), rtol=0.02, atol=0)
    torch.testing.assert_close(gains * norm(3.0 * invariants), 3.0 * scaled, rtol=0.1, atol=1e-6)


def test_extreme_invariants_are_held_back(invariants):
    for kind, bound in (("scaled", 10.0), ("smooth", 1.0)):
        norm, gains = calibrated(kind, invariants)
        held = (gains * norm(1e4 * invariants)).detach()[:, 0].square().mean(dim=1).sqrt()
        assert float(held.max()) <= bound * (1 + 1e-6)
        assert float(held.min()) > 0.99 * bound


def test_smooth_bends_what_is_typical(invariants):
    norm, gains = calibrated("smooth", invariants)
    assert torch.equal(gains, torch.ones(3, 1))
    sizes = norm(invariants).square().mean(dim=(0, 2)).sqrt()
    torch.testing.assert_close(sizes, torch.full((3,), 0.5**0.5), rtol=0.05, atol=0)


def test_a_floor_before_calibration_is_the_reach():
    torch.testing.assert_close(SmoothNorm(2, reach=10.0).log_floor.exp(), torch.full((2,), 10.0))
