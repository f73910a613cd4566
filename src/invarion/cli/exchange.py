"""`invarion export` and `invarion convert`: models for and from other programs."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say

if TYPE_CHECKING:
    from invarion.potential import Potential


class Source(StrEnum):
    """Programs whose models can be taken over."""

    hippynn = "hippynn"


class Target(StrEnum):
    """What a model can be deployed as."""

    yace = "yace"
    metatomic = "metatomic"
    mliap = "mliap"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "convert", "invarion convert hippynn RUN_FOLDER --trust -o model.inv")(convert)
    command(app, "export", "invarion export model.inv --to yace -o si.yace")(export)


def convert(
    source: Annotated[Source, typer.Argument(help="Program that the model comes from.")],
    folder: Annotated[Path, typer.Argument(help="Its run folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path("model.inv"),
    trust: Annotated[
        bool, typer.Option("--trust", help="Read its pickles, which can run code: only where you know their origin.")
    ] = False,
    energy_unit: Annotated[
        str, typer.Option(help="Energy unit that the model was trained in; its files do not say.")
    ] = "eV",
    json: Json = False,
) -> Any:
    """Take over a trained model from another program, with the same numbers."""
    import torch

    from invarion.checkpoint import save
    from invarion.models.hippynn import convert_hippynn_folder
    from invarion.units import factor

    scale = factor(energy_unit, "energy")
    potential = convert_hippynn_folder(folder, trust)
    with torch.no_grad():
        potential.scale *= scale
        potential.references *= scale
    save(potential, output, {"converted": {"from": source.value, "folder": str(folder), "energy_unit": energy_unit}})
    if not json:
        say(f"energies are taken to be in {energy_unit}, lengths in Angstrom (--energy-unit names another unit)")
        say(f"written to {output}; look at it with: invarion info {output}")
    return {"output": output, "energy_unit": energy_unit, "species": potential.species}


def export(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    to: Annotated[Target, typer.Option(help="Kind of deployment file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    json: Json = False,
) -> Any:
    """Write a model for another program, with a check of the written file where that is possible."""
    from invarion.checkpoint import load

    exporter = _exporter(to.value)
    found = exporter(load(model), output)
    if not json:
        say(f"written to {output}")
        for name, value in _facts(found).items():
            say(f"{name.replace('_', ' ')}: {value}")
    return {"output": output, "to": to.value, "check": found}


def _facts(found: Any) -> dict[str, Any]:
    """What an exporter reports, without the path; lines for another program's input stand one below the other."""
    fields = found._asdict() if hasattr(found, "_asdict") else vars(found) if hasattr(found, "__dict__") else {}
    return {n: "\n  " + "\n  ".join(v) if isinstance(v, tuple) else v for n, v in fields.items() if n != "path"}


def _exporter(target: str) -> "Callable[[Potential, Path], Any]":
    """The function that writes this kind of file; an engine that this version lacks is named."""
    from importlib import import_module
    from importlib.util import find_spec

    from invarion.exceptions import ConfigError

    module = f"invarion.engines.{target}"
    if find_spec(module) is None:
        raise ConfigError(f"this version cannot export to {target}; it can export to {', '.join(_available())}")
    return getattr(import_module(module), f"export_{target}")


def _available() -> list[str]:
    from importlib.util import find_spec

    return [t.value for t in Target if find_spec(f"invarion.engines.{t.value}") is not None] or ["nothing yet"]
