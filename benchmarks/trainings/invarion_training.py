"""invarion: its defaults with the benchmark's cutoff; sections `model` and `training` of a file replace some.

`committee: K` in that file trains K potentials with seeds of their own, as many at a time as there are threads, each
for an equal part of the time, and predicts with their mean.
"""

import csv
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from ase.io import read

import invarion as inv
from invarion.configuration.text import build_model

PACKAGES = ("invarion", "lightning", "numba")
COLUMNS = ("energy_mae_mev_per_atom", "forces_mae_mev_per_angstrom")


def train(case: dict):
    """Train for the case's time."""
    asked = case["settings"]
    size = asked.get("committee", 1)
    at_once = min(size, case["threads"])
    rounds = -(-size // at_once)
    share = {**case, "minutes": case["minutes"] / rounds, "threads": case["threads"] // at_once}
    if at_once == 1:
        trained = [_member(share, place, size) for place in range(size)]
    else:
        with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as processes:
            trained = list(processes.map(_member, [share] * size, range(size), [size] * size))
    members = [inv.load(member["folder"] + "/model.inv") for member in trained]
    joint = members[0] if size == 1 else inv.committee(members)
    begins = [60 * share["minutes"] * (place // at_once) for place in range(size)]
    facts = {
        "settings": {**trained[-1]["settings"], "committee": size},
        "parameters": sum(p.numel() for p in joint.parameters()),
        "epochs": sum(member["epochs"] for member in trained),
        "steps": sum(member["steps"] for member in trained),
        "curve": [_point(row, begin) for member, begin in zip(trained, begins, strict=True) for row in member["log"]],
    }
    return facts, lambda tested: joint.predict(tested)[:2]


def _member(case: dict, place: int, size: int) -> dict:
    """Train one potential in a folder of its own; what there is to say of it."""
    began = time.monotonic()
    torch.set_num_threads(case["threads"])
    frames, valid = read("train.extxyz", ":"), read("valid.extxyz", ":")
    asked, seed = case["settings"], case["seed"] * size + place
    model = build_model({"kind": "hip_hop_nn", "cutoff": case["cutoff"], **asked.get("model", {})})
    folder = Path("run" if size == 1 else f"run{place}")
    potential = inv.Potential.from_data(model, frames, seed=seed)
    left = case["minutes"] - (time.monotonic() - began) / 60.0
    limits = {"max_epochs": None, "max_minutes": left, "progress": False, "seed": seed}
    options = inv.TrainOptions(**{**limits, **asked.get("training", {})})
    summary = inv.train(potential, frames, valid, options, folder=folder)
    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    return {
        "folder": str(folder),
        "settings": {
            "model": json.loads(model.model_dump_json(exclude={"basis"})),
            "training": options.model_dump(mode="json"),
        },
        "epochs": summary.epochs,
        "steps": int(float(rows[-1]["step"])),
        "log": rows,
    }


def _point(row: dict, begin: float) -> dict:
    errors = {name: float(row[f"valid_{name}"]) for name in COLUMNS if row[f"valid_{name}"]}
    return {"seconds": begin + float(row["time_s"]), **errors}
