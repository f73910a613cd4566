"""invarion: its defaults with the benchmark's cutoff; sections `model` and `training` of a file replace some.

`committee: K` in that file trains K potentials with seeds of their own, one after the other, each for an equal part of
the time, and predicts with their mean.
"""

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
    size = asked.get("committee", 1)
    limits = {"max_epochs": None, "max_minutes": case["minutes"] / size, "progress": False}
    frames, valid = read("train.extxyz", ":"), read("valid.extxyz", ":")
    members, epochs, steps, curve = [], 0, 0, []
    for place in range(size):
        seed = case["seed"] * size + place
        options = inv.TrainOptions(**{**limits, "seed": seed, **asked.get("training", {})})
        potential = inv.Potential.from_data(model, frames, seed=seed)
        folder = Path("run" if size == 1 else f"run{place}")
        summary = inv.train(potential, frames, valid, options, folder=folder)
        rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
        begin = 60 * place * case["minutes"] / size
        members.append(potential)
        epochs, steps = epochs + summary.epochs, steps + int(float(rows[-1]["step"]))
        curve += [_point(row, begin) for row in rows]
    joint = members[0] if size == 1 else inv.committee(members)
    facts = {
        "settings": {
            "model": json.loads(model.model_dump_json(exclude={"basis"})),
            "training": options.model_dump(mode="json"),
            "committee": size,
        },
        "parameters": sum(p.numel() for p in joint.parameters()),
        "epochs": epochs,
        "steps": steps,
        "curve": curve,
    }
    return facts, lambda tested: joint.predict(tested)[:2]


def _point(row: dict, begin: float) -> dict:
    errors = {name: float(row[f"valid_{name}"]) for name in COLUMNS if row[f"valid_{name}"]}
    return {"seconds": begin + float(row["time_s"]), **errors}
