"""NequIP through its own `nequip-train`, with the settings of its tutorial; Lightning's max_time ends it.

Model: l<rank>_f<features>_n<layers>, by default that of the tutorial (l1_f32_n4). Uncompiled, as on any machine without
a compiler, and without the ZBL term, which other contestants do not have either.
"""

import csv
import json
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from ase.io import read
from lightning import Callback

PACKAGES = ("nequip", "e3nn", "lightning")
MONITORED = "val0_epoch/weighted_sum"
CLOCK = "clock.csv"


class Clock(Callback):
    """Notes steps, seconds and validation errors after every epoch.

    Args:
        start: seconds of `time.time` when the training began.
    """

    def __init__(self, start: float) -> None:
        self.start = start

    def on_validation_epoch_end(self, trainer, pl_module) -> None:
        """Add a line (not for the check before training)."""
        if trainer.sanity_checking:
            return
        found = trainer.callback_metrics
        errors = [float(found.get(f"val0_epoch/{name}", np.nan)) for name in ("per_atom_energy_mae", "forces_mae")]
        with open(CLOCK, "a", newline="") as file:
            csv.writer(file).writerow([trainer.global_step, time.time() - self.start, *errors])


def train(case: dict):
    """Train for the case's time; the averaged weights that validated best predict."""
    start = time.time()
    frames = read("train.extxyz", ":")
    species = [chemical_symbols[z] for z in sorted({z for atoms in frames for z in atoms.numbers.tolist()})]
    config = _config(case, species, frames, start)
    Path("config.yaml").write_text(json.dumps(config))  # JSON is YAML
    sys.argv = ["nequip-train", f"--config-path={Path.cwd()}", "--config-name=config", "hydra.run.dir=."]
    from nequip.scripts.train import main

    main()
    rows = [list(map(float, row)) for row in csv.reader(Path(CLOCK).read_text().splitlines())]
    facts = {
        "settings": {**config["training_module"], "batch_size": 5},
        "epochs": len(rows),
        "steps": int(rows[-1][0]),
        "curve": [_point(row) for row in rows],
    }
    return facts, lambda tested: _predict(tested, species, case["cutoff"])


def _point(row: list[float]) -> dict[str, float]:
    point = {"seconds": row[1], "energy_mae_mev_per_atom": 1e3 * row[2]}
    return point if np.isnan(row[3]) else {**point, "forces_mae_mev_per_angstrom": 1e3 * row[3]}


def _config(case: dict, species: list[str], frames: list, start: float) -> dict:
    """The tutorial's configuration, for CPU, with the time limit; energies without forces have their own loss."""
    forces = "REF_forces" in frames[0].arrays
    transforms = [
        {"_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper", "model_type_names": species},
        {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": case["cutoff"]},
    ]
    names = {"REF_energy": "total_energy", **({"REF_forces": "forces"} if forces else {})}
    loader = {"_target_": "torch.utils.data.DataLoader", "num_workers": 0}
    left = timedelta(seconds=max(1, int(start + 60 * case["minutes"] - time.time())))
    kept = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "monitor": MONITORED,
        "dirpath": ".",
        "filename": "best",
    }
    return {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": case["seed"],
            "train_file_path": str(Path("train.extxyz").resolve()),
            "val_file_path": str(Path("valid.extxyz").resolve()),
            "key_mapping": names,
            "transforms": transforms,
            "train_dataloader": {**loader, "batch_size": 5, "shuffle": True},
            "val_dataloader": {**loader, "batch_size": 10},
            "stats_manager": {
                "_target_": f"nequip.data.{'Common' if forces else 'EnergyOnly'}DataStatisticsManager",
                "dataloader_kwargs": {"batch_size": 10},
                "type_names": species,
            },
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": -1,
            "max_time": f"00:{left.seconds // 3600:02d}:{left.seconds // 60 % 60:02d}:{left.seconds % 60:02d}",
            "logger": False,
            "enable_progress_bar": False,
            "num_sanity_val_steps": 0,
            "callbacks": [kept, {"_target_": "nequip_training.Clock", "start": start}],
        },
        "training_module": {
            "_target_": "nequip.train.EMALightningModule",
            "ema_decay": 0.999,
            **_measures(forces),
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
            "lr_scheduler": {
                "scheduler": {
                    "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
                    "factor": 0.6,
                    "patience": 5,
                    "threshold": 0.2,
                    "min_lr": 1e-6,
                },
                "monitor": MONITORED,
                "interval": "epoch",
                "frequency": 1,
            },
            "model": _model(case, species, forces),
        },
        "global_options": {"allow_tf32": False},
    }


def _measures(forces: bool) -> dict:
    """Loss and metrics."""
    if not forces:
        metrics = {"total_energy_mae": 1.0, "per_atom_energy_mae": None}
        return {
            "loss": {"_target_": "nequip.train.EnergyOnlyLoss", "per_atom_energy": True},
            "val_metrics": {"_target_": "nequip.train.EnergyOnlyMetrics", "coeffs": metrics},
        }
    coefficients = {"total_energy": 1.0, "forces": 1.0}
    metrics = {"total_energy_mae": 1.0, "forces_mae": 1.0, "per_atom_energy_mae": None}
    return {
        "loss": {"_target_": "nequip.train.EnergyForceLoss", "per_atom_energy": True, "coeffs": coefficients},
        "val_metrics": {"_target_": "nequip.train.EnergyForceMetrics", "coeffs": metrics},
    }


def _model(case: dict, species: list[str], forces: bool) -> dict:
    rank, features, layers = map(
        int, re.fullmatch(r"l(\d+)_f(\d+)_n(\d+)", case["settings"].get("model", "l1_f32_n4")).groups()
    )
    scale = "per_type_forces_rms" if forces else "per_atom_energy_std"
    return {
        "_target_": "nequip.model.NequIPGNNModel",
        "compile_mode": "eager",
        "seed": case["seed"],
        "model_dtype": "float32",
        "type_names": species,
        "r_max": case["cutoff"],
        "num_bessels": 8,
        "polynomial_cutoff_p": 6,
        "num_layers": layers,
        "l_max": rank,
        "parity": True,
        "num_features": features,
        "radial_mlp_depth": 2,
        "radial_mlp_width": 64,
        "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
        "per_type_energy_scales": f"${{training_data_stats:{scale}}}",
        "per_type_energy_shifts": "${training_data_stats:per_atom_energy_mean}",
    }


def _predict(frames: list, species: list[str], cutoff: float):
    """Energies and forces, a structure at a time."""
    from nequip.data.ase import from_ase
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
    from nequip.model import ModelFromCheckpoint

    model = ModelFromCheckpoint("best.ckpt")["sole_model"].eval()
    types, pairs = ChemicalSpeciesToAtomTypeMapper(model_type_names=species), NeighborListTransform(r_max=cutoff)
    energies, forces = [], []
    for atoms in frames:
        found = model(pairs(types(from_ase(atoms))))
        energies.append(found["total_energy"].item())
        forces.append(found["forces"].detach().numpy())
    return np.array(energies), np.concatenate(forces)
