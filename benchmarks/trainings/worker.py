"""A process of one contestant: it trains on the case in its folder, then predicts the test structures.

Started by `accuracy.py` with the contestant's own Python. Reads case.json and *.extxyz; the contestant's module has
`train(case)`, which returns facts for facts.json and a function that predicts (energies, forces) of a list of Atoms.
"""

import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ase.io import read


def main() -> None:
    """Train, write facts.json, then one npz of predictions per test set."""
    case = json.loads(Path("case.json").read_text())
    torch.set_num_threads(case["threads"])
    contestant = importlib.import_module(sys.argv[1])
    start = time.perf_counter()
    facts, predict = contestant.train(case)
    seconds = time.perf_counter() - start
    versions = {name: version(name) for name in ("torch", *contestant.PACKAGES)}
    for name in case["tests"]:
        energy, forces = predict(read(f"{name}.extxyz", ":"))
        np.savez(f"{name}.npz", energy=np.asarray(energy, float), forces=np.asarray(forces, float))
    Path("facts.json").write_text(json.dumps({"seconds": seconds, "versions": versions, **facts}))


if __name__ == "__main__":
    main()
