"""Every law runs on every model in both precisions: the fixture `potential` goes through them all."""

import pytest
import torch

import invarion as inv
from invarion.models.committee import CommitteeConfig
from invarion.models.pairs import PairPotential
from invarion.potential import Potential

SPECIES = (1, 6, 8)
SIZES = {"cutoff": 3.5, "n_features": 8, "n_interactions": 2, "n_atom_layers": 1, "n_sensitivities": 6}

MODELS = {
    "hip_nn": lambda: inv.hip_nn(**SIZES),
    "hip_nn_core": lambda: inv.hip_nn(**SIZES, zbl=(0.8, 1.6)),
    "hip_nn_ts_vector": lambda: inv.hip_nn_ts(**SIZES, max_rank=1),
    "hip_nn_ts_quadrupole": lambda: inv.hip_nn_ts(**SIZES, max_rank=2),
    "hip_hop_nn": lambda: inv.hip_hop_nn(**SIZES),
    "hip_hop_nn_published": lambda: inv.hip_hop_nn(
        **SIZES, basis="published", normalization="group", cutoff_function="cosine_squared"
    ),
    "hip_hop_nn_rank4": lambda: inv.hip_hop_nn(**SIZES, max_rank=4, max_degree=4, resnet=12),
    "hip_hop_nn_messages": lambda: inv.hip_hop_nn(**SIZES, message_rank=2, interaction_activation="wide_silu"),
    "hip_hop_nn_pairs": lambda: inv.hip_hop_nn(**SIZES, pair_potential=True),
    "committee": lambda: CommitteeConfig(members=(inv.hip_nn(**SIZES, zbl=(0.8, 1.6)), inv.hip_hop_nn(**SIZES))),
    "ace_full": lambda: inv.ace(cutoff=3.5, n_radial=(4, 2, 2), max_rank=2, basis="full"),
    "ace_reduced_network": lambda: inv.ace(cutoff=3.5, n_radial=2, max_rank=2, readout="mlp", hidden=(6, 5)),
    "ace_embedding": lambda: inv.ace(cutoff=3.5, n_radial=2, max_rank=3, max_degree=2, readout="embedding"),
}

SMOOTH = [name for name in MODELS if name != "hip_hop_nn_published"]
"""Models that promise a C2 cutoff; the published network breaks this law and keeps its place for comparison."""

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


def random_potential(config, dtype, seed: int = 0) -> Potential:
    """A potential with random weights in every layer and references of several eV."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        potential = Potential(config, SPECIES, references=[-3.0, -40.0, -70.0], scale=1.5).to(dtype)
        for name, parameter in potential.network.named_parameters():
            if "readouts." in name:
                torch.nn.init.normal_(parameter)
        for module in potential.modules():
            if isinstance(module, PairPotential):
                module.coefficients.normal_()
    return potential.eval()


@pytest.fixture(scope="session", params=PRECISIONS)
def dtype(request) -> torch.dtype:
    """Both floating types, one after the other."""
    return PRECISIONS[request.param]


@pytest.fixture(scope="session", params=MODELS)
def potential(request, dtype) -> Potential:
    """Every model in every precision."""
    return random_potential(MODELS[request.param](), dtype)


@pytest.fixture(scope="session", params=SMOOTH)
def smooth_potential(request) -> Potential:
    """Every model with a C2 cutoff, in float64."""
    return random_potential(MODELS[request.param](), torch.float64)


@pytest.fixture(scope="session", params=MODELS)
def exact_potential(request) -> Potential:
    """Every model in float64, for comparisons with finite differences."""
    return random_potential(MODELS[request.param](), torch.float64)
