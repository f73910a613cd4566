"""The folder of a run: which files there are, and what happens to those of an earlier run."""

import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from invarion.exceptions import InvarionError
from invarion.files import write_atomically
from invarion.training.failures import TrainingError
from invarion.training.options import TrainOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def log(self) -> Path:
        """A row per epoch."""
        return self.path / "log.csv"

    @property
    def model(self) -> Path:
        """The best averaged weights so far."""
        return self.path / "model.inv"

    @property
    def checkpoint(self) -> Path:
        """What the run goes on from."""
        return self.path / "last.ckpt"

    @property
    def options(self) -> Path:
        """The options, every default spelled out; there as soon as the run has begun."""
        return self.path / "options.yaml"

    @property
    def further(self) -> tuple[Path, ...]:
        """What the command line adds: settings, errors, report, and where fine-tuning began."""
        return tuple(self.path / name for name in ("config.yaml", "metrics.json", "report.html", "start.inv"))

    @property
    def previous(self) -> Path:
        """Where the files of earlier runs go, each into a folder with a number."""
        return self.path / "previous"


def open_folder(run: RunFolder, options: TrainOptions, resume: bool, write: bool = True) -> None:
    """Make the folder ready for a run; files of an earlier run are moved aside, not lost, unless it is taken up again.

    Args:
        run: its folder.
        options: written into it.
        resume: whether to go on with the run in it.
        write: False in all processes but the first.

    Raises:
        TrainingError: the folder cannot be written, or there is nothing to resume.
    """
    if resume and not run.options.is_file():
        raise TrainingError(f"{run.path} holds no run to resume (no {run.options.name}); start it without resume")
    if not write:
        return
    try:
        if not resume:
            _set_aside(run)
        write_atomically(run.options, _yaml(options))
    except (OSError, InvarionError) as error:
        raise TrainingError(
            f"cannot start a run in {run.path}: {error}; choose a folder that can be written"
        ) from error


def _set_aside(run: RunFolder) -> None:
    files = (run.options, run.log, run.model, run.checkpoint, *run.further)
    found = [file for file in files if file.exists()]
    if not found:
        return
    numbers = [int(place.name) for place in run.previous.glob("*") if place.name.isdecimal()]
    place = run.previous / str(1 + max(numbers, default=0))
    place.mkdir(parents=True)
    for file in found:
        file.replace(place / file.name)
    _log.warning("%s held an earlier run; its files are in %s now", run.path, place)


def _yaml(options: TrainOptions) -> str:
    head = f"# invarion {version('invarion')}: the options of this run, defaults spelled out\n"
    return head + yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False)
