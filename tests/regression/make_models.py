"""Makes the stored models of a format; run once per format number, never again: old files are what is tested.

python tests/regression/make_models.py
"""

import json
from pathlib import Path

import torch
from ase.build import molecule

import invarion as inv
from invarion.checkpoint import FORMAT

HERE = Path(__file__).parent
SIZES = {"cutoff": 4.0, "n_features": 4, "n_interactions": 2, "n_atom_layers": 1, "n_sensitivities": 4}


def main() -> None:
    configs = {
        "hip_nn": inv.hip_nn(**SIZES),
        "hip_nn_ts": inv.hip_nn_ts(**SIZES, max_rank=2),
        "hip_hop_nn": inv.hip_hop_nn(**SIZES),
        "ace": inv.ace(cutoff=4.0, n_radial=2, max_rank=2, max_degree=2),
    }
    for name, config in configs.items():
        torch.manual_seed(0)
        potential = inv.Potential(config, (1, 6, 8), [-13.6, -1028.3, -2041.7], scale=0.7).double().eval()
        with torch.no_grad():
            for parameter in potential.network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        inv.save(potential, HERE / f"{name}_format{FORMAT}.inv")
        prediction = potential.predict([molecule("CH3CH2OH")])
        expected = {"energy": prediction.energy[0], "forces": prediction.forces.tolist()}
        (HERE / f"{name}_format{FORMAT}.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
