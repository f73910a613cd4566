"""Sizes stand for numbers that can be overruled one by one."""

import re

import pytest
import torch
from ase.build import molecule

import invarion as inv
from invarion.models import model_config
from invarion.models.activations import wide_silu


def test_sizes_stand_for_numbers_that_can_be_overruled():
    assert inv.hip_hop_nn(5.0).widths == (64, 64)
    assert inv.hip_nn(5.0, size="small").widths == (32,)
    assert inv.hip_nn_ts(5.0, size="large", n_interactions=3).widths == (128,) * 3
    assert inv.hip_nn(5.0, n_features=(8, 4), size="large").widths == (8, 4)
    for wrong in ("huge", "", False, ["small"]):
        with pytest.raises(ValueError, match=re.escape(f"size is {wrong!r}; give small, medium, large")):
            inv.hip_nn(5.0, size=wrong)


@pytest.mark.parametrize(("size", "widths"), [("small", (32,)), ("medium", (64,) * 2), ("large", (64,) * 3)])
def test_hip_hop_nns_of_all_sizes_hand_on_their_tensors_between_interactions(size, widths):
    config = inv.hip_hop_nn(5.0, size=size)
    assert (config.widths, config.n_atom_layers, config.message_rank) == (widths, 1, 3)
    assert config.interaction_activation == "wide_silu"
    assert config.pair_potential
    assert len(config.network((1, 6)).messages) == len(widths) - 1


def test_the_default_is_medium_and_numbers_alone_are_the_published_architecture():
    assert inv.hip_hop_nn(5.0) == inv.hip_hop_nn(5.0, size="medium")
    assert inv.hip_hop_nn(5.0, message_rank=1) == inv.hip_hop_nn(5.0, size="medium", message_rank=1)
    for numbers in ({"n_features": 64}, {"n_interactions": 2}, {"n_atom_layers": 3}):
        config = inv.hip_hop_nn(5.0, **numbers)
        assert config == inv.hip_hop_nn(5.0, n_features=64, n_interactions=2, n_atom_layers=3)
        assert (config.widths, config.n_atom_layers, config.message_rank) == ((64, 64), 3, 0)
        assert config.interaction_activation is None


@pytest.mark.parametrize(
    "settings", [{}, {"size": "large", "n_features": 8}, {"n_features": 8}, {"message_rank": 0}, {"max_rank": 2}]
)
@pytest.mark.parametrize("kind", ["hip_nn", "hip_hop_nn"])
def test_a_mapping_means_what_the_builder_means(kind, settings):
    if kind == "hip_nn":
        settings = {name: value for name, value in settings.items() if name in ("size", "n_features")}
    config = model_config({"kind": kind, "cutoff": 5.0, **settings})
    assert config == getattr(inv, kind)(5.0, **settings)
    assert model_config(config.model_dump()) == config


def test_what_a_size_stands_for_can_be_overruled():
    assert inv.hip_hop_nn(5.0, max_rank=2, size="large").message_rank == 2
    assert inv.hip_hop_nn(5.0, n_features=(8, 4), n_atom_layers=2, size="large", message_rank=1).model_dump(
        include={"n_features", "n_interactions", "n_atom_layers", "message_rank"}
    ) == {"n_features": (8, 4), "n_interactions": None, "n_atom_layers": 2, "message_rank": 1}


@pytest.mark.parametrize("kind", ["hip_nn", "hip_hop_nn"])
def test_a_size_beside_all_that_it_stands_for_is_refused(kind):
    """As when `-o model.size=large` meets the settings that a run wrote down, where it would change nothing."""
    written = getattr(inv, kind)(5.0).model_dump()
    with pytest.raises(ValueError, match="size is 'large', and all that it stands for is given, too"):
        model_config({**written, "size": "large"})


def test_messages_can_be_left_out_of_a_size_and_asked_for_without_one():
    assert inv.hip_hop_nn(5.0, message_rank=0).message_rank == 0
    assert inv.hip_hop_nn(5.0, n_features=8, max_rank=2, message_rank="all").message_rank == 2


def test_activations_of_interactions_and_of_atom_layers_are_told_apart():
    atoms = molecule("CH3CH2OH")

    def energy(**settings):
        torch.manual_seed(0)
        potential = inv.Potential(inv.hip_hop_nn(3.0, n_features=8, **settings), [1, 6, 8])
        torch.nn.init.ones_(potential.network.readouts[2].weight)
        return potential.predict(atoms).energy[0]

    assert energy(interaction_activation="silu") == energy()
    assert energy(activation="wide_silu", interaction_activation="wide_silu") == energy(activation="wide_silu")
    assert len({energy(), energy(interaction_activation="wide_silu"), energy(activation="wide_silu")}) == 3


def test_a_wide_silu_is_nearly_linear():
    x = torch.linspace(-0.4, 0.4, 9)
    torch.testing.assert_close(wide_silu(x), x + x**2 / 8, atol=1e-4, rtol=0)
