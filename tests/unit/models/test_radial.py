"""Radial functions: where they are placed, and how wide they start."""

import pytest
import torch

import invarion as inv
from invarion.models.radial import Sensitivities, counting_range, cutoff_value


def sensitivities(n=10, width=None):
    return Sensitivities(n, soft_min=0.8, soft_max=4.0, cutoff=5.0, function="smooth", width=width)


def test_centres_are_even_in_the_inverse_distance():
    inverse = 1.0 / sensitivities().mu.detach()
    torch.testing.assert_close(inverse, torch.linspace(0.25, 1.25, 10))


@pytest.mark.parametrize(("n", "width", "expected"), [(20, None, 0.15), (3, None, 1 / 6), (20, 1 / 40, 1 / 40)])
def test_width_is_a_part_of_the_largest_inverse_distance(n, width, expected):
    found = sensitivities(n, width)
    torch.testing.assert_close(0.8 / found.sigma.detach(), torch.full((n,), expected))


def test_published_width_is_that_of_hippynn():
    # hippynn 0.1.3: sigma starts at 2 * n_sensitivities * soft_min
    torch.testing.assert_close(sensitivities(20, 1 / 40).sigma.detach(), torch.full((20,), 2 * 20 * 0.8))


def test_calibration_keeps_the_width_relative_to_the_innermost_place():
    network = inv.hip_nn(cutoff=5.0, n_sensitivities=20, sensitivity_width=0.2).network((1,))
    layer = next(m for m in network.modules() if isinstance(m, Sensitivities))
    layer.calibrate(1.0)
    torch.testing.assert_close(layer.sigma.detach(), torch.full((20,), 0.9 / 0.2))


@pytest.mark.parametrize(("width", "least", "most"), [(None, 0.9, 1.0), (1 / 40, 0.65, 0.75)])
def test_how_high_neighbouring_functions_meet(width, least, most):
    layer = sensitivities(20, width)
    inverse = 1.0 / layer.mu.detach()
    halfway = 2.0 / (inverse[1:] + inverse[:-1])
    values = layer(halfway)[0].detach() / cutoff_value(halfway, 5.0)[:, None]
    assert least < float(values.diagonal().min()) <= float(values.diagonal().max()) < most


@pytest.mark.parametrize(
    ("support", "expected"),
    [
        (None, (0, 10)),
        (torch.empty(0, 2, dtype=torch.int32), (0, 10)),
        (torch.tensor([[2, 5], [3, 7]], dtype=torch.int32), (2, 7)),
        (torch.tensor([[0, 0], [0, 0]], dtype=torch.int32), (0, 10)),
    ],
    ids=["all", "no edges", "two edges", "beyond the cutoff"],
)
def test_which_functions_count_on_any_edge(support, expected):
    n_edges = 0 if support is None else len(support)
    assert counting_range(torch.zeros(n_edges, 10), support) == expected


@pytest.mark.parametrize("width", [None, 1 / 40])
def test_functions_that_count_within_the_range_of_distances_hold_those_of_every_edge(width):
    layer = sensitivities(20, width)
    distances = torch.linspace(1.1, 4.9, 500)
    begin, end = layer.span(1.1)
    first, last = counting_range(*layer(distances))
    assert begin <= first
    assert last <= end
    assert (begin, end) != (0, 20) or width is None
