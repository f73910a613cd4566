"""Converted hippynn networks give hippynn's own energies and forces, to rounding."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from invarion.exceptions import ConfigError
from invarion.models.hippynn import convert_hippynn, convert_hippynn_folder
from invarion.neighbors import graph

hippynn = pytest.importorskip("hippynn", reason="parity needs the peers extra: pip install invarion[peers]")

SPECIES = [1, 6, 8, 14]
TOLERANCE = 1e-9
SIZES = {
    "possible_species": [0, *SPECIES],
    "n_features": 7,
    "n_sensitivities": 9,
    "dist_soft_min": 0.8,
    "dist_soft_max": 4.0,
    "dist_hard_max": 4.5,
    "n_atom_layers": 2,
    "n_interaction_layers": 2,
}
HOP = [(n, rank) for n in (1, 2, 3, 4) for rank in (0, 1, 2, 3)]
CASES = {
    "hipnn": ("Hipnn", {}),
    "hipnn_plain": ("Hipnn", {"resnet": False}),
    "hipnn_widths": ("Hipnn", {"n_features": (6, 4, 5), "n_interaction_layers": None, "resnet": [3, 8, 5]}),
    "vector": ("HipnnVec", {}),
    "vector_narrow": ("HipnnVec", {"resnet": 5, "n_interaction_layers": 3}),
    "quadrupole": ("HipnnQuad", {"cusp_reg": 1e-4}),
    "hop_no_norm": ("HipHopNNModule", {"group_norm": False}),
    "hop_narrow": ("HipHopNNModule", {"resnet": 5, "n_interaction_layers": 1}),
    "hop_plain": ("HipHopNNModule", {"resnet": False}),
    **{f"hop_n{n}_l{rank}": ("HipHopNNModule", {"n_max": n, "l_max": rank}) for n, rank in HOP},
}


@pytest.fixture(scope="module", autouse=True)
def _exact_projections():
    """Compare with hippynn at its most exact: tensor projections in float64 (it computes them in the default dtype at
    import), and its plain sum over neighbours (its compiled one leaves out small terms: features off by 4e-11)."""
    from hippynn import custom_kernels
    from hippynn.layers.hiplayers import tensors

    custom_kernels.set_custom_kernels("pytorch")

    for rank in range(1, 4):
        tensors.cmaps[rank] = tensors.cartesian_irreducible_mapping(rank).double()
        tensors.pmaps[rank] = tensors.pinv_project(tensors.cmaps[rank])


def structures() -> list[Atoms]:
    rng = np.random.default_rng(3)
    silica = bulk("Si", cubic=True)
    silica.numbers[:3] = 8
    skewed = bulk("Si") * (2, 1, 1)
    skewed.numbers[0] = 6
    atoms = [molecule("CH3CH2OH"), silica, skewed]
    for a in atoms:
        a.rattle(0.1, seed=int(rng.integers(1000)))
    return atoms


def hippynn_models(kind: str, options: dict):
    """A hippynn network and its energy layer with random weights everywhere, in float64."""
    from hippynn.layers.targets import HEnergy
    from hippynn.networks import hiphop, hipnn

    torch.manual_seed(len(kind) + len(options))
    network = getattr(hipnn, kind, None) or hiphop.HipHopNNModule
    network = network(**{**SIZES, **options}).double()
    readout = HEnergy(network.feature_sizes).double()
    for name, parameter in [*network.named_parameters(), *readout.named_parameters()]:
        if parameter.requires_grad and parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    return network, readout


def hippynn_numbers(network, readout, batch) -> tuple[np.ndarray, np.ndarray]:
    """Energies and forces that hippynn itself gives on our pair list."""
    onehot = (batch.species[:, None] == torch.tensor(SPECIES)).double()
    vectors = batch.vectors.clone().requires_grad_()
    arguments = [onehot, batch.centers, batch.neighbors, vectors.norm(dim=1)]
    if type(network).__name__ != "Hipnn":
        arguments.append(vectors)
    energy = readout(network(*arguments), batch.system, batch.n_systems)[0]
    (g,) = torch.autograd.grad(energy.sum(), vectors)
    forces = torch.zeros(batch.n_atoms, 3).double().index_add(0, batch.centers, g).index_add(0, batch.neighbors, -g)
    return energy[:, 0].detach().numpy(), forces.numpy()


@pytest.mark.filterwarnings("ignore")  # hippynn's own
@pytest.mark.parametrize("case", CASES)
def test_energies_and_forces_are_hippynns(case, record_property):
    network, readout = hippynn_models(*CASES[case])
    potential = convert_hippynn(network, readout, species=SPECIES)
    batch = graph(structures(), potential.cutoff)
    energy, forces = hippynn_numbers(network, readout, batch)
    ours = potential(batch)
    deviation = float(np.abs(ours.forces.numpy() - forces).max() / np.abs(forces).max())
    record_property("largest_relative_force_deviation", deviation)
    print(f"{case}: largest relative force deviation {deviation:.1e}")
    assert deviation < TOLERANCE
    assert np.abs(ours.energy.numpy() - energy).max() < TOLERANCE * np.abs(energy).max()


@pytest.mark.filterwarnings("ignore")  # hippynn's own
def test_the_order_of_species_matters_and_is_checked():
    network, readout = hippynn_models("Hipnn", {})
    with pytest.raises(ConfigError, match="in this order"):
        convert_hippynn(network, readout, species=SPECIES[::-1])
    with pytest.raises(ConfigError, match="one each"):
        convert_hippynn(network, readout, species=[1, 6])


@pytest.mark.filterwarnings("ignore")  # hippynn's own
def test_other_sensitivities_are_refused():
    from hippynn.layers.hiplayers import SensitivityBottleneck

    def bottleneck(*sizes):
        return SensitivityBottleneck(*sizes, n_dist_bare=12)

    network, readout = hippynn_models("Hipnn", {"sensitivity_type": bottleneck})
    with pytest.raises(ConfigError, match="sensitivities are SensitivityBottleneck"):
        convert_hippynn(network, readout, species=SPECIES)


def test_a_run_folder_needs_trust(tmp_path):
    with pytest.raises(ConfigError, match="trust"):
        convert_hippynn_folder(tmp_path)


def test_a_real_run_folder_is_converted(tmp_path):
    """A run that hippynn itself writes, read back and compared; in a process of its own, as a user's run is."""
    script = textwrap.dedent(
        """
        import sys, numpy as np, torch, warnings
        warnings.simplefilter("ignore")  # hippynn's own
        torch.set_default_dtype(torch.float64)
        import hippynn
        from hippynn.graphs import inputs, networks, targets, physics, loss
        from hippynn.experiment.serialization import create_structure_file
        from hippynn.experiment.assembly import assemble_for_training
        from hippynn.experiment.controllers import PatienceController
        from hippynn.experiment import SetupParams, setup_training
        species = inputs.SpeciesNode(db_name="Z"); positions = inputs.PositionsNode(db_name="R")
        options = dict(possible_species=[0, 1, 6, 8], n_features=5, n_sensitivities=6, dist_soft_min=0.8,
                       dist_soft_max=3.5, dist_hard_max=4.0, n_interaction_layers=1, n_atom_layers=1)
        network = networks.HipHopnn("net", (species, positions), module_kwargs=options)
        energy = targets.HEnergyNode("E", network, db_name="E")
        mse = loss.MSELoss.of_node(energy)
        modules, metrics = assemble_for_training(mse, {"MSE": mse})
        controller = PatienceController(
            torch.optim.Adam(modules.model.parameters()), None, batch_size=1, max_epochs=1, stopping_key="MSE",
            termination_patience=1)
        modules, controller, _ = setup_training(modules, SetupParams(controller=controller, device="cpu"))
        create_structure_file(modules, None, controller)
        torch.save(modules.model.state_dict(), "best_model.pt")
        Z = torch.tensor([[8, 1, 1]]); R = torch.tensor([[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0.0]]])
        predictor = hippynn.graphs.Predictor([species, positions], [energy.mol_energy], model_device="cpu")
        np.save("energy.npy", predictor(Z=Z, R=R)["E"].numpy())
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    potential = convert_hippynn_folder(tmp_path, trust=True)
    water = Atoms("OH2", [(0, 0, 0), (0.96, 0, 0), (-0.24, 0.93, 0.0)])
    expected = float(np.load(tmp_path / "energy.npy").squeeze())
    assert potential.predict(water).energy[0] == pytest.approx(expected, rel=1e-6)  # hippynn's run is in float32
