"""`invarion init`, `train`, `fit` and `committee`: from structures to a potential."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say
from invarion.cli.runs import Run, finish
from invarion.cli.testing import Keys, Units, parse_pairs

if TYPE_CHECKING:
    from invarion.configuration import DataSets, RunConfig
    from invarion.potential import Potential

Override = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="Replace a setting, e.g. training.max_epochs=100; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "init", "invarion init train.extxyz -o config.yaml")(init)
    command(app, "train", "invarion train config.yaml -o training.max_minutes=30 -o output.folder=runs/a")(train)
    command(app, "fit", "invarion fit ace.yaml -o output.folder=runs/si")(fit)
    command(app, "committee", "invarion committee runs/0/model.inv runs/1/model.inv -o committee.inv")(committee)


def init(
    data: Annotated[list[str], typer.Argument(help="Labelled structures: files, globs, FILE@START:STOP.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Config to write.")] = Path("config.yaml"),
    key: Keys = None,
    unit: Units = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a config that is there.")] = False,
    json: Json = False,
) -> Any:
    """Look at the data and write a commented config to begin with."""
    from invarion.configuration import draft_config
    from invarion.exceptions import ConfigError
    from invarion.files import write_atomically

    if output.exists() and not force:
        raise ConfigError(f"{output} exists; choose another name with -o, or overwrite it with --force")
    text = draft_config(data, keys=parse_pairs(key, "--key"), units=parse_pairs(unit, "--unit"))
    write_atomically(output, text)
    if not json:
        say(f"written to {output}; read its comments, then: invarion train {output}")
    return {"output": output}


START = "start.inv"
"""In the folder of a run that fine-tunes: the model as it was at the start."""


def train(
    config: Annotated[Path | None, typer.Argument(help="YAML file; with --resume, by default that of the run.")] = None,
    override: Override = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to go on with, from its last checkpoint.")] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Model to fine-tune; its settings stand in for the section `model`."),
    ] = None,
    json: Json = False,
) -> Any:
    """Train a potential; the run's folder gets config, log, model, checkpoint, test errors and a report."""
    from invarion.checkpoint import load, save
    from invarion.committees import require_single
    from invarion.configuration import read_sets, write_config
    from invarion.files import plain
    from invarion.training.run import train as descend
    from invarion.training.transfer import shift_references

    begun = None if start is not None or resume is None else resume / START
    known = load(start) if start is not None else load(begun) if begun is not None and begun.is_file() else None
    if known is not None:
        require_single(known, "fine-tune")
    settings = _read_settings(config, override or [], resume, known)
    folder = Path(settings.output.folder)
    sets = read_sets(settings.data)
    _print_sets(sets)
    potential = _new_potential(settings, sets) if known is None else known
    if start is not None:
        shift_references(potential, sets.train)
    _check_sets(potential, sets)

    def begin() -> None:
        if not _leads():
            return
        say(_announcement(potential, folder))
        write_config(settings, folder / "config.yaml")
        if known is not None:
            save(potential, folder / START)

    summary = descend(potential, sets.train, sets.valid, settings.training, folder, resume is not None, begin)
    if not _leads():
        return None
    facts = {
        "seed": settings.training.seed,
        "epochs": summary.epochs,
        "best_epoch": summary.best_epoch,
        "seconds": summary.seconds,
        "stopped_by": summary.stopped_by,
        "options": plain(settings.training),
    }
    return finish(Run(potential, folder, settings.data, sets, facts), report=settings.output.report, quiet=json)


def _check_sets(potential: "Potential", sets: "DataSets") -> None:
    """Refuse structures whose errors could not be told at the end of the run."""
    from invarion.evaluation.errors import comparable
    from invarion.exceptions import DataError

    for part, structures in (("validation", sets.valid), ("test", sets.test)):
        try:
            comparable(potential, structures) if structures else None
        except DataError as error:
            raise DataError(f"the {part} set: {error}") from error


def _new_potential(settings: "RunConfig", sets: "DataSets") -> "Potential":
    from invarion.potential import Potential

    return Potential.from_data(settings.model, sets.train, settings.data.references, settings.training.seed)


def _leads() -> bool:
    """Whether this process is the one that writes and speaks; torchrun starts several."""
    from invarion.training.processes import processes

    return processes().rank == 0


def _announcement(potential: "Potential", folder: Path) -> str:
    kind = getattr(potential.config, "kind", "model")
    count = sum(p.numel() for p in potential.parameters())
    return f"training a {kind} with {count} parameters; every epoch adds a line to {folder / 'log.csv'}"


def fit(
    config: Annotated[Path, typer.Argument(help="YAML file with an ACE model and, if wanted, a section `fit`.")],
    override: Override = None,
    json: Json = False,
) -> Any:
    """Solve for the coefficients of a linear model; the folder gets config, model, test errors and a report."""
    import time

    import torch

    from invarion.configuration import read_sets, write_config
    from invarion.files import plain
    from invarion.potential import Potential
    from invarion.training.linear import fit as solve

    settings, options = _read_fit_settings(config, override or [])
    sets = read_sets(settings.data)
    _print_sets(sets)
    start = time.perf_counter()
    potential = Potential.from_data(settings.model, sets.train, settings.data.references, dtype=torch.float64)
    _check_sets(potential, sets)
    solve(potential, sets.train, options)
    folder = Path(settings.output.folder)
    write_config(settings, folder / "config.yaml")
    facts = {"seconds": time.perf_counter() - start, "options": plain(options)}
    return finish(Run(potential, folder, settings.data, sets, facts), report=settings.output.report, quiet=json)


def committee(
    models: Annotated[list[Path], typer.Argument(help="Model files, trained alike with different seeds.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path("committee.inv"),
    json: Json = False,
) -> Any:
    """Join several models into one whose energy is their mean: more accurate, at the cost of all of them."""
    from invarion.checkpoint import load, read_header, save
    from invarion.committees import committee as join
    from invarion.committees import members

    potential = join([load(model) for model in models])
    origins = [{"file": str(model), **read_header(model)["provenance"]} for model in models]
    save(potential, output, {"members": origins, **_nearest_of(origins)})
    if not json:
        say(f"{len(members(potential))} members; written to {output}; try it with: invarion evaluate {output} DATA")
    return {"output": output, "members": len(members(potential))}


def _nearest_of(origins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The smallest distances that any member has seen in training, which a report compares its scans with."""
    seen = [origin.get("training", {}).get("smallest_distances", {}) for origin in origins]
    pairs = sorted({pair for distances in seen for pair in distances})
    if not pairs:
        return {}
    nearest = {pair: min(distances[pair] for distances in seen if pair in distances) for pair in pairs}
    return {"training": {"smallest_distances": nearest}}


def _read_settings(
    config: Path | None, overrides: list[str], resume: Path | None, known: "Potential | None"
) -> "RunConfig":
    """The settings of a run; one that is taken up again has its own in its folder, a model that is known its own."""
    from invarion.configuration import read_config
    from invarion.exceptions import ConfigError

    if resume is not None:
        if not resume.is_dir():
            raise ConfigError(f"{resume} is no folder of a run; give the one that holds last.ckpt")
        overrides = [*overrides, f"output.folder={resume}"]
        config = config or resume / "config.yaml"
    if config is None:
        raise ConfigError("give a config, for example one written by: invarion init DATA")
    if known is not None and (replaced := [text for text in overrides if text.strip().startswith("model.")]):
        raise ConfigError(
            f"{replaced[0]!r} cannot replace a setting of the model that is fine-tuned, which has its own; leave it out"
        )
    return read_config(config, overrides, None if known is None else known.config)


def _read_fit_settings(config: Path, overrides: list[str]) -> Any:
    """The run's settings, and the section `fit`, which only this command has."""
    from pydantic import ValidationError

    from invarion.configuration import override, parse_config
    from invarion.configuration.mistakes import in_words
    from invarion.configuration.text import as_sections, parse_yaml
    from invarion.exceptions import ConfigError
    from invarion.training.linear import FitOptions

    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config}: cannot be read ({error})") from None
    content = override(as_sections(parse_yaml(text, str(config))), overrides)
    section = content.pop("fit", None) or {}
    try:
        return parse_config(content), FitOptions.model_validate(section)
    except ValidationError as error:
        raise in_words(error, FitOptions, "fit") from None


def _print_sets(sets: "DataSets") -> None:
    if not _leads():
        return
    for part, table in sets.tables.items():
        say(f"\n{part}", style="bold")
        say(table)
    say(f"{len(sets.train)} structures to train on, {len(sets.valid)} to validate, {len(sets.test)} to test")
