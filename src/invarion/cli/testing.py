"""`invarion evaluate` and `invarion info`: how good a model is, and what is in its file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from invarion.cli.frame import Json, command, facts, say, show, table

Keys = Annotated[
    list[str] | None, typer.Option("--key", help="Name of a label in the files, e.g. energy=E_dft; may be repeated.")
]
Units = Annotated[
    list[str] | None, typer.Option("--unit", help="Unit in the files, e.g. energy=kcal/mol; may be repeated.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "evaluate", "invarion evaluate runs/demo/model.inv test.extxyz --report runs/demo")(evaluate)
    command(app, "info", "invarion info runs/demo/model.inv")(info)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    data: Annotated[list[str], typer.Argument(help="Labelled structures: files, globs, FILE@START:STOP.")],
    report: Annotated[Path | None, typer.Option(help="Folder to write report.html to.")] = None,
    key: Keys = None,
    unit: Units = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; by default that of the model.")] = None,
    json: Json = False,
) -> Any:
    """Errors of a model on labelled structures: energy per atom, forces, stress; optionally a report to look at."""
    from invarion.checkpoint import load, read_header
    from invarion.data.reading import read_labelled
    from invarion.evaluation.errors import compare, metrics

    potential = load(model, device, dtype)
    reading = read_labelled(data, keys=parse_pairs(key, "--key"), units=parse_pairs(unit, "--unit"))
    comparison = compare(potential, reading.atoms)
    found = metrics(comparison)
    if not json:
        say(reading.table)
        print_errors(found, f"Errors of {model} on {', '.join(data)}")
    if report is not None:
        from invarion.evaluation.dimers import scan_dimers
        from invarion.evaluation.log import read_log
        from invarion.evaluation.report import Report, write_report

        header = read_header(model)
        smallest = header["provenance"].get("training", {}).get("smallest_distances")
        content = Report(
            header=header,
            comparison=comparison,
            data=", ".join(data),
            log=read_log(model.with_name("log.csv")),
            dimers=scan_dimers(potential, smallest),
            labels=reading.table.to_dict()["rows"],
        )
        write_report(content, report / "report.html")
        say(f"report: {report / 'report.html'}")
    return found


def info(model: Annotated[Path, typer.Argument(help="Model file.")], json: Json = False) -> Any:
    """What is in a model file: species, cutoff, units, basis, training data, errors, versions."""
    from invarion.checkpoint import load, read_header

    header = read_header(model)
    load(model)  # damage to the weights shows here, not in the middle of a simulation
    if not json:
        _print_header(model, header)
    return header


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str] | None:
    """Mapping of `name=value` texts as they stand behind an option; None without any."""
    from invarion.exceptions import ConfigError

    if not pairs:
        return None
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"{option} is {pair!r}; write name=value, for example {option} energy=...")
    return dict(pair.split("=", 1) for pair in pairs)


def print_errors(found: Mapping[str, Any], title: str) -> None:
    """Tables of errors: all, by element, by group where structures have groups."""
    units = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}
    rows = [_error_row(found, name, unit) for name, unit in units.items()]
    show(table(title, [row for row in rows if row["MAE"] is not None]))
    elements = [_part_row("element", name, row, "n_atoms") for name, row in found["per_element"].items()]
    if len(elements) > 1 and found["forces_mae_mev_per_angstrom"] is not None:
        show(table("By element", elements))
    groups = [_part_row("group", name, row, "n_structures") for name, row in found["per_group"].items()]
    if groups:
        show(table("By group", groups))


def _error_row(found: Mapping[str, Any], name: str, unit: str) -> dict[str, Any]:
    suffix = {"energy": "mev_per_atom", "forces": "mev_per_angstrom", "stress": "mev_per_angstrom3"}[name]
    return {
        "": f"{name} / {unit}",
        "MAE": found[f"{name}_mae_{suffix}"],
        "RMSE": found[f"{name}_rmse_{suffix}"],
        "largest": found[f"{name}_max_{suffix}"],
        "R²": _several_digits(found[f"{name}_r2"]),
    }


def _part_row(what: str, name: str, row: Mapping[str, Any], counted: str) -> dict[str, Any]:
    shown = {
        what: name,
        counted.removeprefix("n_"): row[counted],
        "force MAE / meV/Å": row["forces_mae_mev_per_angstrom"],
    }
    if "energy_mae_mev_per_atom" in row:
        shown["energy MAE / meV/atom"] = row["energy_mae_mev_per_atom"]
    return shown


def _several_digits(r2: float | None) -> str | None:
    """R2 is close to one: four digits would hide what matters."""
    return None if r2 is None else f"{r2:.6f}"


def _print_header(model: Path, header: Mapping[str, Any]) -> None:
    from invarion.evaluation.wording import spell_basis

    past = header["provenance"]
    training, errors = past.get("training", {}), past.get("errors", {})
    members = header["config"].get("members", [])
    config = _settings(header["config"])
    content = {
        "model": config.pop("kind", None),
        "elements": header["symbols"],
        "cutoff": f"{header['cutoff']:g} Å",
        "parameters": header["n_parameters"],
        "dtype": header["dtype"],
        "units": header["units"],
        "references / eV": header["references"],
        "settings": config or None,
        "basis": spell_basis(header["config"].get("basis")),
        **{f"member {number}": _settings(member) for number, member in enumerate(members, start=1)},
        "made of": [member.get("file") for member in past.get("members", [])] or None,
        "training data": {key: training[key] for key in ("files", "n_train", "n_valid") if key in training} or None,
        "trained": {key: training[key] for key in ("epochs", "seed", "seconds") if key in training} or None,
        **{f"errors, {name}": _brief(values) for name, values in errors.items()},
        "made": past.get("date"),
        "versions": past.get("versions"),
        "format": header["format"],
    }
    show(f"[bold]{model}[/bold]")
    show(facts(content))


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What fits on a few lines."""
    long = ("basis", "members")
    return {name: value for name, value in config.items() if name not in long and value not in (None, {})}


def _brief(values: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "energy_mae_mev_per_atom": "energy MAE / meV/atom",
        "forces_mae_mev_per_angstrom": "force MAE / meV/Å",
        "stress_mae_mev_per_angstrom3": "stress MAE / meV/Å³",
        "n_structures": "structures",
    }
    return {shown: values[key] for key, shown in names.items() if values.get(key) is not None}
