"""How long does a new process take to its first prediction, with and without compiled kernels on disk?

Import of invarion, loading of a HIP-HOP-NN from a file, energies and forces of one molecule, in a process of its own.

    python benchmarks/first_prediction.py --rounds 5
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import invarion as inv

PREDICT = """
import sys, invarion
from ase import Atoms
invarion.load(sys.argv[1]).predict(Atoms("OH2", [(0, 0, 0), (0, 0, 1), (1, 0, 0)]))
"""


def seconds(code: str, model: Path, kernels: Path) -> float:
    """Wall time of a new process that runs the code."""
    begin = time.perf_counter()
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kernels)}
    subprocess.run([sys.executable, "-c", code, str(model)], env=environment, check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, kernels = Path(folder) / "model.inv", Path(folder) / "kernels"
        inv.save(inv.Potential(inv.hip_hop_nn(cutoff=5.0), [1, 8]), model)
        cold = seconds(PREDICT, model, kernels)
        warm = statistics.median(seconds(PREDICT, model, kernels) for _ in range(settings.rounds))
        torch = statistics.median(seconds("import torch", model, kernels) for _ in range(settings.rounds))
    print(f"nothing compiled before: {cold:.1f} s; compiled before: {warm:.1f} s; import of torch alone: {torch:.1f} s")


if __name__ == "__main__":
    main()
