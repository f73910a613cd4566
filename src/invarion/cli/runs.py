"""How a run ends: the model with its history, errors on structures it was not trained on, a report, what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invarion.cli.frame import say, show

if TYPE_CHECKING:
    from invarion.configuration import DataOptions, DataSets
    from invarion.evaluation.errors import Comparison
    from invarion.potential import Potential


@dataclass(frozen=True)
class Run:
    """A trained potential and what it was trained with.

    Attributes:
        potential: trained.
        folder: of the run.
        data: the `data` section.
        sets: the structures.
        facts: of the training: seed, seconds, epochs, options, ...
    """

    potential: "Potential"
    folder: Path
    data: "DataOptions"
    sets: "DataSets"
    facts: Mapping[str, Any]


def finish(run: Run, report: bool, quiet: bool) -> dict[str, Any]:
    """Save the model, measure its errors, write metrics.json and, if wanted, report.html; print them unless quiet.

    Args:
        run: what was trained.
        report: whether to write report.html.
        quiet: whether to print nothing on stdout.

    Returns:
        What metrics.json holds: errors under "test" and "valid", and facts under "training".
    """
    from invarion.checkpoint import save
    from invarion.evaluation.errors import metrics
    from invarion.files import to_json, write_atomically

    run.potential.eval()
    comparisons = _compare(run)
    errors = {part: metrics(comparison) for part, comparison in comparisons.items()}
    training = {**_describe(run), **run.facts}
    provenance = {"training": training, "errors": {part: _brief(found) for part, found in errors.items()}}
    save(run.potential, run.folder / "model.inv", provenance)
    result = {**errors, "training": {name: training[name] for name in training if name != "options"}}
    write_atomically(run.folder / "metrics.json", to_json(result) + "\n")
    if report and comparisons:
        _write_report(run, comparisons)
    if not quiet:
        _print_end(run, errors, report and bool(comparisons))
    return result


def _compare(run: Run) -> "dict[str, Comparison]":
    """Labels and predictions of the structures that no weight was fitted to; test first."""
    from invarion.evaluation.errors import compare

    parts = {"test": run.sets.test, "valid": run.sets.valid}
    return {part: compare(run.potential, atoms) for part, atoms in parts.items() if atoms}


def _describe(run: Run) -> dict[str, Any]:
    """The training data in brief, for the model file and the report."""
    from collections import Counter

    from invarion.data.statistics import smallest_distances

    counts = Counter(symbol for atoms in run.sets.train for symbol in atoms.get_chemical_symbols())
    return {
        "files": list(run.data.train),
        "n_train": len(run.sets.train),
        "n_valid": len(run.sets.valid),
        "n_test": len(run.sets.test),
        "atoms": dict(counts.most_common()),
        "smallest_distances": smallest_distances(run.sets.train, run.potential.cutoff),
        "labels": run.sets.tables["train"].to_dict()["rows"],
    }


def _brief(found: Mapping[str, Any]) -> dict[str, Any]:
    """Errors without their breakdown, for the model file."""
    return {name: value for name, value in found.items() if not isinstance(value, dict | list)}


def _write_report(run: Run, comparisons: "Mapping[str, Comparison]") -> None:
    from invarion.checkpoint import read_header
    from invarion.evaluation.dimers import scan_dimers
    from invarion.evaluation.log import read_log
    from invarion.evaluation.report import Report, write_report

    header = read_header(run.folder / "model.inv")
    part = next(iter(comparisons))
    files = {"test": run.data.test, "valid": run.data.valid}[part] or run.data.train
    table = run.sets.tables.get(part, run.sets.tables["train"])
    content = Report(
        header=header,
        comparison=comparisons[part],
        data=f"{', '.join(files)} ({part} structures)",
        log=read_log(run.folder / "log.csv"),
        dimers=scan_dimers(run.potential, header["provenance"]["training"]["smallest_distances"]),
        labels=table.to_dict()["rows"],
    )
    write_report(content, run.folder / "report.html")


def _print_end(run: Run, errors: Mapping[str, Any], reported: bool) -> None:
    """The table of errors, where everything is, and what to do next."""
    from invarion.cli.testing import print_errors

    names = {"test": "Errors on test structures, never used in training", "valid": "Errors on validation structures"}
    part = next(iter(errors), None)
    if part is not None:
        print_errors(errors[part], f"{names[part]} ({errors[part]['n_structures']})")
    model = run.folder / "model.inv"
    show(f"model    {model}")
    show(f"metrics  {run.folder / 'metrics.json'}")
    if reported:
        show(f"report   {run.folder / 'report.html'}   (open it in a browser)")
    data = next(iter(run.data.test or run.data.valid or run.data.train))
    show("\nTry next:")
    for line in (
        f"info {model}",
        f"evaluate {model} {data}",
        f"md {model} {data} --steps 2000 --temperature 300 --trajectory {run.folder / 'md.extxyz'}",
    ):
        show(f"  {_program()} {line}")
    if part is None:
        say("no structures were set aside for tests: name some as data.test to know the errors")


def _program() -> str:
    """How this program is called from here: by its name, or by its path where the name is not known."""
    import shutil
    import sys

    program = Path(sys.argv[0])
    if shutil.which("invarion") or program.name != "invarion":
        return "invarion"
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
