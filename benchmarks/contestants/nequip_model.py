"""NequIP, uncompiled as on any machine without a compiler. Model: l<rank>_f<features>_n<layers>."""

import re

import numpy as np
import torch
from ase.data import chemical_symbols
from common import facts, inputs, steps
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state


def network(case: dict, species: list[int], neighbors: float) -> torch.nn.Module:
    """Without parity, radial networks of one layer of 64."""
    rank, features, layers = map(int, re.fullmatch(r"l(\d+)_f(\d+)_n(\d+)", case["model"]).groups())
    names = [chemical_symbols[number] for number in species]
    return NequIPGNNModel(
        num_layers=layers,
        l_max=rank,
        num_features=features,
        parity=False,
        radial_mlp_depth=1,
        radial_mlp_width=64,
        seed=0,
        model_dtype=case["dtype"],
        type_names=names,
        r_max=5.0,
        avg_num_neighbors=neighbors,
        compile_mode="eager",
        per_type_energy_shifts=dict.fromkeys(names, 0.0),
        per_type_energy_scales=dict.fromkeys(names, 1.0),
    )


def prepare(case: dict):
    """The step of a case."""
    torch.set_default_dtype(torch.float64)  # NequIP's inputs are float64 whatever the model is
    set_global_state(allow_tf32=False)
    arrays = inputs(case)
    species = sorted(set(arrays["numbers"].tolist()))
    n_atoms, n_systems = len(arrays["numbers"]), int(arrays["system"][-1]) + 1
    model = network(case, species, len(arrays["centers"]) / n_atoms)
    batch = torch.tensor(arrays["system"], dtype=torch.int64)
    data = {
        "pos": torch.tensor(arrays["positions"]),
        "atom_types": torch.tensor([species.index(number) for number in arrays["numbers"]]),
        "edge_index": torch.tensor(np.stack([arrays["centers"], arrays["neighbors"]]), dtype=torch.int64),
        "batch": batch,
        "num_atoms": torch.bincount(batch),
    }
    if arrays["periodic"]:
        images = torch.tensor(arrays["images"], dtype=torch.float64)
        data.update(cell=torch.tensor(arrays["cells"]).reshape(-1, 3, 3), edge_cell_shift=images)

    def evaluate(further: bool):
        model.train(further)
        output = model({name: value.clone() for name, value in data.items()})
        return output["total_energy"][:, 0], output["forces"]

    return steps(case, model, evaluate, n_atoms / n_systems), facts(model, arrays)
