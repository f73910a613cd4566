"""hippynn: network and energy head called on a given pair list, which favours it. Model: kind:features@kernel."""

import os

os.environ.update(HIPPYNN_PROGRESS="none", HIPPYNN_WARN_LOW_DISTANCES="0", HIPPYNN_USE_CUSTOM_KERNELS="False")

import hippynn.custom_kernels
import numba
import torch
from common import facts, inputs, steps
from hippynn.layers.targets import HEnergy
from hippynn.networks.hiphop import HipHopNNModule
from hippynn.networks.hipnn import Hipnn, HipnnQuad, HipnnVec

NETWORKS = {"nn": Hipnn, "ts1": HipnnVec, "ts2": HipnnQuad, "hop": HipHopNNModule}


def network(kind: str, features: int, species: list[int]) -> torch.nn.Module:
    """A network with the settings of the published models."""
    settings = {
        "possible_species": [0, *species],
        "n_features": features,
        "n_sensitivities": 20,
        "dist_soft_min": 0.75,
        "dist_soft_max": 4.5,
        "dist_hard_max": 5.0,
        "n_interaction_layers": 2,
        "n_atom_layers": 3,
        "sensitivity_type": "inverse",
        "resnet": True,
    }
    if kind in ("ts1", "ts2"):
        settings["cusp_reg"] = 1e-6
    if kind == "hop":
        settings.update(l_max=3, n_max=4, group_norm=True)
    return NETWORKS[kind](**settings)


def prepare(case: dict):
    """The step of a case."""
    name, kernel = case["model"].split("@")
    kind, features = name.split(":")
    arrays, dtype = inputs(case), getattr(torch, case["dtype"])
    torch.set_default_dtype(dtype)
    hippynn.custom_kernels.set_custom_kernels(kernel)
    numba.set_num_threads(min(case["threads"], numba.config.NUMBA_NUM_THREADS))
    species = sorted(set(arrays["numbers"].tolist()))
    net = network(kind, int(features), species)
    head = HEnergy(net.feature_sizes)
    model = torch.nn.ModuleList([net, head]).to(dtype)
    one_hot = (torch.tensor(arrays["numbers"])[:, None] == torch.tensor(species)).to(dtype)
    positions, shifts = (torch.tensor(arrays[name], dtype=dtype) for name in ("positions", "shifts"))
    system, centers, neighbors = (
        torch.tensor(arrays[name], dtype=torch.int64) for name in ("system", "centers", "neighbors")
    )
    n_systems = int(system[-1]) + 1

    def evaluate(further: bool):
        x = positions.detach().requires_grad_()
        vectors = x[neighbors] - x[centers] + shifts
        distances = vectors.norm(dim=1)
        geometry = (distances,) if kind == "nn" else (distances, vectors)
        energy = head(net(one_hot, centers, neighbors, *geometry), system, n_systems)[0]
        return energy[:, 0], -torch.autograd.grad(energy.sum(), x, create_graph=further)[0]

    return steps(case, model, evaluate, len(one_hot) / n_systems), facts(model, arrays)
