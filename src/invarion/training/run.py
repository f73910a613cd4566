"""train: a potential, labelled structures and options become a better potential and a folder that tells how."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from invarion.checkpoint import save
from invarion.committees import require_single
from invarion.data.dataset import samples
from invarion.data.label_table import require_labels
from invarion.exceptions import ConfigError, DataError, InvarionError
from invarion.placement import floating_type, usable_device
from invarion.potential import Potential
from invarion.training.averaging import AveragedWeights, BestWeights
from invarion.training.batches import EpochBatches, FixedBatches, PackedSet, number_of_batches
from invarion.training.checkpoints import LastCheckpoint, check_identity, read_checkpoint
from invarion.training.course import Course
from invarion.training.errors import Errors
from invarion.training.failures import TrainingError, TrainingInterrupted
from invarion.training.folder import RunFolder, open_folder
from invarion.training.freezing import frozen
from invarion.training.identity import identify
from invarion.training.loss import PROPERTIES, Loss, make_loss
from invarion.training.module import TrainingModule
from invarion.training.options import TrainOptions
from invarion.training.processes import Processes, processes
from invarion.training.reporting import Log, display, trackers
from invarion.training.targets import Counts
from invarion.training.threads import threads_worth
from invarion.training.trainer import left_as_found, make_trainer

if TYPE_CHECKING:
    from ase import Atoms
    from lightning.pytorch.loggers import Logger

_log = logging.getLogger(__name__)

_STRUCTURES_VALIDATED_AT_ONCE = 256


class TrainingSummary(NamedTuple):
    """How a run ended.

    Attributes:
        epochs: that it had, with those before it was taken up again.
        seconds: that it took, with those before.
        stopped_by: "max_epochs", "max_minutes" or "early_stopping".
        best_epoch: whose averaged weights the potential has now; the last where there was no validation.
        errors: of these weights on the validation set; None without one.
    """

    epochs: int
    seconds: float
    stopped_by: str
    best_epoch: int
    errors: Errors | None


def train(
    potential: Potential,
    train: "Sequence[Atoms]",
    valid: "Sequence[Atoms]",
    options: TrainOptions | None = None,
    folder: str | os.PathLike[str] = "run",
    resume: bool = False,
    begin: Callable[[], None] | None = None,
) -> TrainingSummary:
    """Train a potential in place by gradient descent; it ends with the averaged weights that validated best.

    A potential that has weights already is trained further. The folder gets `options.yaml` (all options spelled out),
    `log.csv` (a row per epoch), `model.inv` (best weights so far) and `last.ckpt` (what `resume` goes on from, at the
    end of every epoch). Files of an earlier run there are moved to a numbered folder in `previous`. Under torchrun all
    processes train together, as one would on the same batches.

    Args:
        potential: with references and scale, as from `Potential.from_data`.
        train: labelled structures, at least one; a label that is missing or NaN is left out of the loss.
        valid: labelled structures that decide which weights are best; none: the last averaged weights are kept.
        options: how to train.
        folder: where to write.
        resume: go on with the run in the folder from the end of its last complete epoch. On a CPU with the same number
            of threads the result is that of a run never stopped, bit for bit, if its length is given in epochs.
        begin: called when nothing can be refused any more and the folder is ready, for instance to add files to it.

    Returns:
        TrainingSummary.

    Raises:
        DataError: no structures, an unknown element, a target with a weight that no structure carries, or validation
            structures without a label that counts.
        ConfigError: a committee (its members are trained each by itself), or settings that do not fit together.
        TrainingError: the folder cannot be written, the run in it is another one, or the loss stops being a number;
            the last checkpoint is intact.
        TrainingInterrupted: Ctrl-C; the potential has the best weights so far, or the last averaged ones where nothing
            has been validated.

    References:
        Schedule, loss and file formats: docs/training.md.
    """
    started = time.monotonic()
    options = options or TrainOptions()
    require_single(potential, "train")
    _check_sets(potential, train, valid, options)
    dtype, device = _whereabouts(potential, options)
    pack = partial(_pack, potential=potential, dtype=dtype, device=device)
    with frozen(potential, options.freeze), left_as_found():
        packed, packed_valid = pack(train), pack(valid) if valid else None
        run = _Run(
            potential=potential,
            options=options,
            train=packed,
            valid=packed_valid,
            loss=_loss(options, packed, packed_valid),
            everyone=processes(),
            started=started,
            device=device,
        )
        identity = identify(potential, dtype, options, run.train, run.valid)
        place = RunFolder(Path(folder))
        loggers = trackers(options.trackers, place.path)
        before = _checkpoint_to_resume(place, identity) if resume else None
        open_folder(place, options, resume, write=run.everyone.rank == 0)
        if begin is not None:
            begin()
        potential.to(dtype).to(device).train()  # not before everything that can be refused has been looked at
        if before is not None and _is_over(before, options):
            return _restore(potential, before)
        return _fit(run, place, identity, loggers, before is not None)


@dataclass(frozen=True)
class _Run:
    """What a run works with."""

    potential: Potential
    options: TrainOptions
    train: PackedSet
    valid: PackedSet | None
    loss: Loss
    everyone: Processes
    started: float
    device: torch.device


def _fit(
    run: _Run, place: RunFolder, identity: Mapping[str, Any], loggers: "Sequence[Logger]", resume: bool
) -> TrainingSummary:
    """Descend to the end of the run; whatever happens, the potential has the best weights then."""
    n_batches = number_of_batches(run.train.costs, run.options.batch_size, run.options.batch_edges)
    best = BestWeights(_store(run, place))
    course = Course(run.options, n_batches, best, run.started)
    log = Log(place.log, course)
    shown = [bar] if run.everyone.rank == 0 and (bar := display(course, run.options.progress)) else []
    averaged = AveragedWeights(run.options.ema_decay)
    callbacks = [best, averaged, course, log, *shown, LastCheckpoint(place.checkpoint, identity)]
    trainer = make_trainer(run.options, run.potential.device, run.everyone, callbacks, loggers, place.path)
    cost = float(run.train.costs.sum()) / (n_batches * run.everyone.size)
    try:
        with threads_worth(cost, run.device):
            trainer.fit(
                _module(run),
                train_dataloaders=_batches(run, run.train, n_batches, run.options.seed),
                val_dataloaders=_validation_batches(run),
                ckpt_path=place.checkpoint if resume else None,
                weights_only=True,
            )
    except SystemExit as stop:  # Lightning's answer to Ctrl-C and to SIGTERM
        raise TrainingInterrupted(_farewell(len(log.rows), place)) from stop
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise TrainingError(_advice_on_memory(run)) from error
    finally:
        _settle(run.potential, best.weights or averaged.weights, run.device)
    if best.errors is None and run.everyone.rank == 0:
        save(run.potential, place.model, _provenance(run, len(log.rows), None))
    epoch = best.epoch or len(log.rows)
    return TrainingSummary(len(log.rows), course.elapsed, course.stopped_by or "max_epochs", epoch, best.errors)


def _module(run: _Run) -> TrainingModule:
    counts = Counts(0.0, 0.0, 0.0, 0.0) if run.valid is None else run.valid.counts
    return TrainingModule(run.potential, run.loss, run.options, counts, run.everyone)


def _loss(options: TrainOptions, train: PackedSet, valid: PackedSet | None) -> Loss:
    """The loss of the training set; the validation set has to have labels that it can be computed from."""
    loss = make_loss(options, train.spreads, train.counts)
    if valid is None:
        return loss
    wanted = [name for name, weight in zip(PROPERTIES, loss.weights, strict=True) if weight > 0]
    missing = [name for name in wanted if not getattr(valid.counts, name) > 0]
    if missing == wanted:
        raise DataError(
            f"no validation structure has a label of {' or '.join(wanted)} that counts, so that no weights are better "
            "than others; label them (and give none of them weight 0), or leave them out"
        )
    if missing:
        _log.warning("no validation structure has a label of %s: others decide what is best", " or ".join(missing))
    return loss


def _batches(run: _Run, data: PackedSet, n_batches: int, seed: int | None) -> EpochBatches:
    return EpochBatches(data, n_batches, seed, run.everyone.rank, run.everyone.size)


def _validation_batches(run: _Run) -> FixedBatches | None:
    """The same in every validation, so they are made once."""
    if run.valid is None:
        return None
    n_batches = number_of_batches(run.valid.costs, _STRUCTURES_VALIDATED_AT_ONCE, run.options.valid_edges)
    return FixedBatches(_batches(run, run.valid, n_batches, None))


def _store(run: _Run, place: RunFolder) -> Callable[[Potential, Errors, int], None]:
    """Writes the best weights so far to model.inv, in one process only."""

    def store(potential: Potential, errors: Errors, epoch: int) -> None:
        if run.everyone.rank == 0:
            try:
                save(potential, place.model, _provenance(run, epoch, errors))
            except InvarionError as error:
                raise TrainingError(f"{error}; then resume: the checkpoint of the epoch before is intact") from error

    return store


def _provenance(run: _Run, epoch: int, errors: Errors | None) -> dict[str, Any]:
    """What model.inv says of its training."""
    return {
        "training": {
            "options": run.options,
            "n_train": len(run.train),
            "n_valid": 0 if run.valid is None else len(run.valid),
            "epoch": epoch,
            "seconds": time.monotonic() - run.started,
            "validation": errors,
        }
    }


def _check_sets(
    potential: Potential, train: "Sequence[Atoms]", valid: "Sequence[Atoms]", options: TrainOptions
) -> None:
    """Refuse what cannot be trained on, before anything is written or computed."""
    weights = (options.energy_weight, options.forces_weight, options.stress_weight)
    require_labels(train, [name for name, weight in zip(PROPERTIES, weights, strict=True) if weight])
    if not valid and (options.schedule == "plateau" or options.early_stopping is not None):
        raise ConfigError("schedule 'plateau' and early_stopping need validation structures; there are none")
    for name, structures in (("training", train), ("validation", valid)):
        for where, structure in enumerate(structures):
            potential.refuse_unknown(structure, f"{name} structure {where}")


def _pack(structures: "Sequence[Atoms]", potential: Potential, dtype: torch.dtype, device: torch.device) -> PackedSet:
    """A set whose targets are what the pair potential leaves over: no step needs to compute it."""
    parts = samples(structures, potential.cutoff, dtype)
    return PackedSet(parts, dtype, device, potential.pair_share(parts))


def _whereabouts(potential: Potential, options: TrainOptions) -> tuple[torch.dtype, torch.device]:
    """Floating type and device of the training."""
    dtype = potential.dtype if options.dtype is None else floating_type(options.dtype)
    return dtype, potential.device if options.device is None else usable_device(options.device)


def _settle(potential: Potential, weights: Mapping[str, Tensor] | None, device: torch.device) -> None:
    """Give the potential these weights, if there are any yet, where it was, ready to predict."""
    if weights is not None:
        potential.load_state_dict(weights)
    potential.to(device).eval()
    potential.zero_grad(set_to_none=True)


def _checkpoint_to_resume(place: RunFolder, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to go on from; None for a run that was stopped before its first epoch was over: it starts again."""
    if not place.checkpoint.is_file():
        return None
    checkpoint = read_checkpoint(place.checkpoint)
    check_identity(checkpoint, identity)
    return checkpoint


def _is_over(checkpoint: Mapping[str, Any], options: TrainOptions) -> bool:
    course = checkpoint["callbacks"]["Course"]
    in_time = options.max_minutes is None or course["elapsed"] < 60.0 * options.max_minutes
    in_epochs = options.max_epochs is None or checkpoint["epoch"] + 1 < options.max_epochs
    return course["stopped_by"] == "early_stopping" or not in_time or not in_epochs


def _restore(potential: Potential, checkpoint: Mapping[str, Any]) -> TrainingSummary:
    """The end of a run that is over: its best weights, or the averaged ones where nothing was validated."""
    best, course = checkpoint["callbacks"]["BestWeights"], checkpoint["callbacks"]["Course"]
    epochs = checkpoint["epoch"] + 1
    averaged = {k.removeprefix("potential."): v for k, v in checkpoint["state_dict"].items()}
    _settle(potential, best["weights"] or averaged, potential.device)
    errors = None if best["errors"] is None else Errors(*best["errors"])
    return TrainingSummary(
        epochs, course["elapsed"], course["stopped_by"] or "max_epochs", best["epoch"] or epochs, errors
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    # on the CPU torch has no class of its own for it
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _advice_on_memory(run: _Run) -> str:
    return (
        f"out of memory on {run.device}: lower batch_size ({run.options.batch_size} structures) or batch_edges "
        f"({run.options.batch_edges}), or valid_edges ({run.options.valid_edges}) if it happened in a validation; the "
        f"largest structure has {run.train.costs.max()} edges and atoms"
    )


def _farewell(epochs: int, place: RunFolder) -> str:
    if not place.checkpoint.is_file():
        return f"training was stopped in its first epoch; nothing to resume in {place.path}, start it again"
    best = f"; the best model so far is {place.model}" if place.model.is_file() else ""
    return (
        f"training was stopped after {epochs} epochs; {place.checkpoint} is complete: go on with resume=True "
        f"(invarion train ... --resume {place.path}){best}"
    )
