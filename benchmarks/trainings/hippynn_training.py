"""hippynn with the authors' settings through its own training routines; a batch callback ends it in time.

Methane has the recipe published for it; other data that of the package's molecular examples, with 64 features. Energies
in kcal/mol, as its recipes have them; loss RMSE + MAE of energies and of forces + 1e-6 L2.
"""

import os

os.environ.update(HIPPYNN_PROGRESS="none", HIPPYNN_WARN_LOW_DISTANCES="0")

import time

import numpy as np
import torch
from ase.io import read
from ase.units import kcal, mol
from hippynn.databases import Database
from hippynn.experiment import assemble_for_training
from hippynn.experiment.controllers import PatienceController, RaiseBatchSizeOnPlateau
from hippynn.experiment.routines import SetupParams, setup_training, train_model
from hippynn.graphs import inputs, loss, networks, physics, targets
from hippynn.graphs.predictor import Predictor

PACKAGES = ("hippynn", "numba")
KCAL = kcal / mol
NETWORKS = {"nn": networks.Hipnn, "ts1": networks.HipnnVec, "ts2": networks.HipnnQuad, "hop": networks.HipHopnn}
METHANE = {
    "n_features": 32,
    "n_interactions": 1,
    "soft": (0.4, 9.0),
    "learning_rate": 2.5e-3,
    "batch_size": 256,
    "max_batch_size": 2048,
    "patience": 150,
}
MOLECULES = {
    "n_features": 64,
    "n_interactions": 2,
    "soft": (0.75, 4.5),
    "learning_rate": 1e-3,
    "batch_size": 12,
    "max_batch_size": 64,
    "patience": 10,
}


def train(case: dict):
    """Train for the case's time; the network that validated best predicts."""
    deadline = time.monotonic() + 60 * case["minutes"]
    torch.manual_seed(case["seed"])
    settings = METHANE if case["family"] == "methane" else MOLECULES
    frames = {part: read(f"{part}.extxyz", ":") for part in ("train", "valid")}
    both = frames["train"] + frames["valid"]
    periodic, has_forces = bool(both[0].pbc.any()), "REF_forces" in both[0].arrays
    nodes = _graph(case, settings, sorted({z for atoms in both for z in atoms.numbers.tolist()}), periodic)
    modules, info = _losses(nodes, has_forces)
    database = Database(_arrays(both, periodic), seed=case["seed"], quiet=True, pin_memory=False, **info)
    database.make_explicit_split("train", torch.arange(len(frames["train"])))
    database.split_the_rest("valid")
    optimizer = torch.optim.Adam(modules.model.parameters(), lr=settings["learning_rate"])
    parameters = SetupParams(controller=_controller(optimizer, settings), device="cpu")
    modules, controller, metrics = setup_training(modules, parameters)
    clock = _Clock(deadline, 60 * case["minutes"], metrics, np.mean([len(atoms) for atoms in frames["valid"]]))
    callbacks, files = ([clock.epoch], [clock.step]), {"store_best": False, "store_structure_file": False}
    train_model(modules, database, controller, metrics, *callbacks, **files, quiet=True)
    facts = {
        "settings": {**settings, "cutoff": case["cutoff"], "n_sensitivities": 20, "n_atom_layers": 3},
        "parameters": sum(p.numel() for p in modules.model.parameters()),
        "epochs": len(clock.curve),
        "steps": clock.steps,
        "curve": clock.curve,
    }
    return facts, lambda tested: _predict(nodes, tested, periodic)


class _Clock:
    """Counts steps, notes errors after every epoch, and ends the training in time as Ctrl-C would (hippynn's way)."""

    def __init__(self, deadline: float, seconds: float, metrics: object, n_atoms: float) -> None:
        self.deadline, self.start = deadline, deadline - seconds
        self.metrics, self.n_atoms = metrics, n_atoms
        self.steps, self.curve = 0, []

    def step(self, *_: object) -> None:
        self.steps += 1
        if time.monotonic() > self.deadline and self.curve:  # there is no model to go back to before the first epoch
            raise KeyboardInterrupt

    def epoch(self, *_: object) -> None:
        found = self.metrics.epoch_metric_values[-1]["valid"]
        point = {"energy_mae_mev_per_atom": 1e3 * KCAL * float(found["E-MAE"]) / self.n_atoms}
        if "F-MAE" in found:
            point["forces_mae_mev_per_angstrom"] = 1e3 * KCAL * float(found["F-MAE"])
        self.curve.append({"seconds": time.monotonic() - self.start, **point})


def _graph(case: dict, settings: dict, species: list[int], periodic: bool):
    """Input, network, energy and force nodes of the published architecture."""
    kind = case["settings"].get("model", "hop")
    shortest, longest = settings["soft"]
    arguments = {
        "possible_species": [0, *species],
        "n_features": settings["n_features"],
        "n_sensitivities": 20,
        "dist_soft_min": shortest,
        "dist_soft_max": longest,
        "dist_hard_max": case["cutoff"],
        "n_interaction_layers": settings["n_interactions"],
        "n_atom_layers": 3,
        "sensitivity_type": "inverse",
        "resnet": True,
    }
    if kind in ("ts1", "ts2"):
        arguments["cusp_reg"] = 1e-6
    if kind == "hop":
        arguments.update(l_max=3, n_max=4, group_norm=True)
    numbers, positions = inputs.SpeciesNode(db_name="numbers"), inputs.PositionsNode(db_name="positions")
    parents = (numbers, positions, inputs.CellNode(db_name="cell")) if periodic else (numbers, positions)
    network = NETWORKS[kind]("network", parents, periodic=periodic, module_kwargs=arguments)
    energy = targets.HEnergyNode("energy", network, db_name="energy")
    forces = physics.GradientNode("forces", (energy, positions), sign=-1, db_name="forces")
    return parents, network, energy, forces


def _losses(nodes, has_forces: bool):
    """The published loss, and what validation reports."""
    _, network, energy, forces = nodes
    total, parts = 1e-6 * loss.l2reg(network), {}
    for name, node in (("E", energy), ("F", forces))[: 1 + has_forces]:
        mean = loss.MAELoss.of_node(node)
        total = total + loss.MSELoss.of_node(node) ** (1 / 2) + mean
        parts[f"{name}-MAE"] = mean
    return assemble_for_training(total, {**parts, "Loss": total})


def _controller(optimizer, settings: dict) -> PatienceController:
    """Batches grow when validation stands still, then steps shrink; only the clock ends the training."""
    scheduler = RaiseBatchSizeOnPlateau(
        optimizer, max_batch_size=settings["max_batch_size"], patience=settings["patience"], factor=0.5
    )
    return PatienceController(
        optimizer,
        scheduler,
        batch_size=settings["batch_size"],
        eval_batch_size=256,
        max_epochs=10**6,
        termination_patience=10**6,
        stopping_key="Loss",
        quiet=True,
    )


def _arrays(frames, periodic: bool) -> dict[str, np.ndarray]:
    """Padded arrays in kcal/mol and Angstrom, float32; atoms of number 0 are none."""
    most = max(map(len, frames))
    numbers = np.zeros((len(frames), most), np.int64)
    positions, forces = (np.zeros((len(frames), most, 3), np.float32) for _ in range(2))
    for k, atoms in enumerate(frames):
        numbers[k, : len(atoms)], positions[k, : len(atoms)] = atoms.numbers, atoms.positions
        forces[k, : len(atoms)] = atoms.arrays.get("REF_forces", 0.0) / KCAL
    energy = np.array([[atoms.info["REF_energy"] / KCAL] for atoms in frames], np.float32)
    found = {"numbers": numbers, "positions": positions, "forces": forces, "energy": energy}
    return {**found, "cell": np.array([atoms.cell.array for atoms in frames], np.float32)} if periodic else found


def _predict(nodes, frames, periodic: bool):
    """Energies in eV and forces in eV/A."""
    given, _, energy, forces = nodes
    arrays = _arrays(frames, periodic)
    predictor = Predictor(given, [energy.main_output, forces], model_device="cpu")
    names = [node.db_name for node in given]
    found = predictor(batch_size=100, **{name: torch.as_tensor(arrays[name]) for name in names})
    real = arrays["numbers"] > 0
    energies, slopes = (found[node].numpy().astype(float) * KCAL for node in (energy.main_output, forces))
    return energies[:, 0], slopes[real]
