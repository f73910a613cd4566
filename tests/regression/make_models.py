"""Makes the stored models of a format that are not there yet: old files are what is tested, and stay.

python tests/regression/make_models.py
"""

import json
from pathlib import Path

import torch
from ase.build import molecule

import invarion as inv
from invarion.checkpoint import FORMAT
from invarion.models.committee import CommitteeConfig
from invarion.models.pairs import PairPotential

HERE = Path(__file__).parent
SIZES = {"cutoff": 4.0, "n_features": 4, "n_interactions": 2, "n_atom_layers": 1, "n_sensitivities": 4}


def main() -> None:
    configs = {
        "hip_nn": inv.hip_nn(**SIZES),
        "hip_nn_ts": inv.hip_nn_ts(**SIZES, max_rank=2),
        "hip_hop_nn": inv.hip_hop_nn(**SIZES),
        "hip_hop_nn_size": inv.hip_hop_nn(**SIZES, size="medium"),  # with messages and a pair potential
        "ace": inv.ace(cutoff=4.0, n_radial=2, max_rank=2, max_degree=2),
        "committee": CommitteeConfig(members=(inv.hip_nn(**SIZES, pair_potential=True), inv.hip_nn(**SIZES))),
    }
    for name, config in configs.items():
        path = HERE / f"{name}_format{FORMAT}.inv"
        if path.exists():
            continue
        torch.manual_seed(0)
        potential = inv.Potential(config, (1, 6, 8), [-13.6, -1028.3, -2041.7], scale=0.7).double().eval()
        with torch.no_grad():
            for parameter in potential.network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
            for module in potential.modules():
                if isinstance(module, PairPotential):
                    module.coefficients.normal_()
        inv.save(potential, path)
        prediction = potential.predict([molecule("CH3CH2OH")])
        expected = {"energy": prediction.energy[0], "forces": prediction.forces.tolist()}
        path.with_suffix(".json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
