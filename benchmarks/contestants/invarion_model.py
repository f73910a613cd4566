"""invarion: the published architectures with hippynn's settings (model: kind:features), or its own (default)."""

import numba  # noqa: F401 - the package imports it on first use; here, so that memory counts from the same point
import torch
from common import facts, inputs, steps

import invarion as inv
from invarion.graphs import Graph

PUBLISHED = {
    "cutoff": 5.0,
    "n_interactions": 2,
    "n_atom_layers": 3,
    "n_sensitivities": 20,
    "sensitivity_width": 1 / 40,
    "soft_min": 0.75,
    "soft_max": 4.5,
    "cutoff_function": "cosine_squared",
    "activation": "softplus",
}


def config(model: str, settings: dict):
    """A configuration by its short name; settings are for the default kind only."""
    kind, _, features = model.partition(":")
    sizes = {**PUBLISHED, "n_features": int(features or 64)}
    if kind == "hop":
        basis = inv.published_basis(max_rank=3, max_degree=4)
        return inv.hip_hop_nn(max_rank=3, max_degree=4, basis=basis, normalization="group", **sizes)
    if kind == "nn":
        return inv.hip_nn(**sizes)
    if kind.startswith("ts"):
        return inv.hip_nn_ts(max_rank=int(kind[2:]), **sizes)
    return inv.hip_hop_nn(**{"cutoff": 5.0, **settings})


def prepare(case: dict):
    """The step of a case."""
    arrays, dtype = inputs(case), getattr(torch, case["dtype"])
    torch.manual_seed(0)
    potential = inv.Potential(
        config(case["model"], case.get("settings", {})), sorted(set(arrays["numbers"].tolist()))
    ).to(dtype)
    positions, shifts = (torch.tensor(arrays[name], dtype=dtype) for name in ("positions", "shifts"))
    numbers, system, centers, neighbors = (
        torch.tensor(arrays[name], dtype=torch.int64) for name in ("numbers", "system", "centers", "neighbors")
    )
    n_systems = int(system[-1]) + 1

    potential.train(case["mode"] == "train")

    def evaluate(_further: bool):
        vectors = positions[neighbors] - positions[centers] + shifts
        graph = Graph(numbers, vectors, centers, neighbors, system, torch.full((n_systems,), torch.nan))
        prediction = potential(graph)
        return prediction.energy, prediction.forces

    return steps(case, potential, evaluate, len(numbers) / n_systems), facts(potential, arrays)
