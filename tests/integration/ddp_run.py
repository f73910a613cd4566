"""One process of several, started by test_ddp.py: `torchrun ddp_run.py FOLDER EPOCHS [resume] [briefly]`."""

import sys
from pathlib import Path

import torch

from invarion.potential import Potential
from invarion.training import TrainOptions, train
from springs import Springs, crystals, molecules

OPTIONS = TrainOptions(
    max_epochs=5,
    batch_size=2,
    learning_rate=0.02,
    schedule="constant",
    loss={"huber": 1.0, "rmse": 0.5},
    hierarchicality=0.1,
    gradient_clip=0.5,
    dtype="float64",
)


def run(folder: Path, options: TrainOptions = OPTIONS, resume: bool = False) -> Potential:
    """Train on molecules and crystals, in batches of one or two: a process may have nothing to do."""
    torch.set_num_threads(1)
    atoms = [*molecules(9), *crystals(4)]
    potential = Potential.from_data(Springs(), atoms, dtype=torch.float64)
    train(potential, atoms, [*molecules(3, seed=1), *crystals(2, seed=1)], options, folder, resume=resume)
    return potential


if __name__ == "__main__":
    changed = OPTIONS.model_copy(update={"max_epochs": int(sys.argv[2])})
    if "briefly" in sys.argv:
        changed = changed.model_copy(update={"max_minutes": 0.03})
    trained = run(Path(sys.argv[1]), changed, resume="resume" in sys.argv)
    torch.save(trained.state_dict(), Path(sys.argv[1]) / f"weights_{torch.distributed.get_rank()}.pt")
