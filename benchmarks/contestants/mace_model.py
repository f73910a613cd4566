"""MACE: ScaleShiftMACE with scalar messages, as its foundation models are built. Model: <channels>x0e."""

import os

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # constants of e3nn 0.4 under torch >= 2.6; MACE sets it, too

import numpy as np
import torch
from common import facts, inputs, steps
from e3nn import o3
from mace import modules


def network(model: str, numbers: list[int], neighbors: float) -> torch.nn.Module:
    """Two layers, correlation 3, l_max 3, 8 Bessel functions, cutoff 5 A."""
    return modules.ScaleShiftMACE(
        r_max=5.0,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=len(numbers),
        hidden_irreps=o3.Irreps(model),
        MLP_irreps=o3.Irreps("16x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.zeros(len(numbers)),
        avg_num_neighbors=neighbors,
        atomic_numbers=numbers,
        correlation=3,
        radial_type="bessel",
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def prepare(case: dict):
    """The step of a case."""
    arrays, dtype = inputs(case), getattr(torch, case["dtype"])
    torch.set_default_dtype(dtype)
    species = sorted(set(arrays["numbers"].tolist()))
    n_atoms, n_systems = len(arrays["numbers"]), int(arrays["system"][-1]) + 1
    model = network(case["model"], species, len(arrays["centers"]) / n_atoms).to(dtype)
    batch = torch.tensor(arrays["system"], dtype=torch.int64)
    data = {
        "node_attrs": (torch.tensor(arrays["numbers"])[:, None] == torch.tensor(species)).to(dtype),
        "edge_index": torch.tensor(np.stack([arrays["centers"], arrays["neighbors"]]), dtype=torch.int64),
        "shifts": torch.tensor(arrays["shifts"], dtype=dtype),
        "unit_shifts": torch.tensor(arrays["images"], dtype=dtype),
        "cell": torch.tensor(arrays["cells"], dtype=dtype).reshape(-1, 3),
        "batch": batch,
        "ptr": torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(batch).cumsum(0)]),
        "head": torch.zeros(n_systems, dtype=torch.int64),
    }
    positions = torch.tensor(arrays["positions"], dtype=dtype)

    def evaluate(further: bool):
        x = positions.clone().requires_grad_()
        output = model({**data, "positions": x}, training=further, compute_force=True)
        return output["energy"], output["forces"]

    return steps(case, model, evaluate, n_atoms / n_systems), facts(model, arrays)
