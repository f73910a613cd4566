"""invarion: its defaults with the benchmark's cutoff; sections `model` and `training` of a file replace some."""

import csv
import json
from pathlib import Path

from ase.io import read

import invarion as inv
from invarion.configuration.text import build_model

PACKAGES = ("invarion", "lightning", "numba")
COLUMNS = ("energy_mae_mev_per_atom", "forces_mae_mev_per_angstrom")


def train(case: dict):
    """Train for the case's time."""
    asked = case["settings"]
    model = build_model({"kind": "hip_hop_nn", "cutoff": case["cutoff"], **asked.get("model", {})})
    limits = {"max_epochs": None, "max_minutes": case["minutes"], "seed": case["seed"], "progress": False}
    options = inv.TrainOptions(**{**limits, **asked.get("training", {})})
    frames = read("train.extxyz", ":")
    potential = inv.Potential.from_data(model, frames, seed=case["seed"])
    summary = inv.train(potential, frames, read("valid.extxyz", ":"), options, folder="run")
    rows = list(csv.DictReader(Path("run/log.csv").read_text().splitlines()))
    facts = {
        "settings": {
            "model": json.loads(model.model_dump_json(exclude={"basis"})),
            "training": options.model_dump(mode="json"),
        },
        "parameters": sum(p.numel() for p in potential.parameters()),
        "epochs": summary.epochs,
        "steps": int(float(rows[-1]["step"])),
        "curve": [_point(row) for row in rows],
    }
    return facts, lambda tested: potential.predict(tested)[:2]


def _point(row: dict) -> dict:
    errors = {name: float(row[f"valid_{name}"]) for name in COLUMNS if row[f"valid_{name}"]}
    return {"seconds": float(row["time_s"]), **errors}
