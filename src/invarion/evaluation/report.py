"""report.html: one file that shows how good a potential is, where it fails and how it was made; pictures first."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from invarion.evaluation.dimers import DimerScan
from invarion.evaluation.errors import Comparison, metrics
from invarion.evaluation.page import (
    render_code,
    render_details,
    render_facts,
    render_figure,
    render_page,
    render_pair,
    render_section,
    render_table,
    render_text,
    render_tiles,
)
from invarion.evaluation.plots import draw_bars, draw_curves, draw_dimers, draw_histograms, draw_parity
from invarion.evaluation.wording import spell, spell_basis
from invarion.files import plain, write_atomically

_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "element": "element",
        "index": "index",
        "origin": "file and frame",
        "formula": "formula",
        "group": "group",
        "forces_mae_mev_per_angstrom": "force MAE / meV/Å",
        "forces_rmse_mev_per_angstrom": "force RMSE / meV/Å",
        "largest_force_error_mev_per_angstrom": "largest force error / meV/Å",
        "energy_mae_mev_per_atom": "energy MAE / meV/atom",
        "energy_rmse_mev_per_atom": "energy RMSE / meV/atom",
        "energy_error_mev_per_atom": "energy error / meV/atom",
        "n_structures": "structures",
        "n_atoms": "atoms",
    }
)
_MAX_PAIRS = 100
_HYPHEN = "\u2011"  # at which no line is broken
_DEEP = 0.1  # eV; a fall of the dimer's energy below the closest distance seen that the report warns of


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        header: the model file's header, as `checkpoint.describe` or `checkpoint.read_header` gives it.
        comparison: labels and predictions.
        data: name of the structures compared, for instance a path.
        log: columns of the training log by name; empty if there is none.
        dimers: scans of all pairs of elements; empty to leave them out.
        labels: rows of the label table of the structures compared; empty to leave it out.
    """

    header: Mapping[str, Any]
    comparison: Comparison
    data: str
    log: Mapping[str, Sequence[float]] = field(default_factory=dict)
    dimers: Sequence[DimerScan] = ()
    labels: Sequence[Mapping[str, Any]] = ()


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report as one self-contained HTML file.

    Args:
        report: its content.
        path: where to.

    Raises:
        InvarionError: the file cannot be written.
    """
    write_atomically(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as text; it loads nothing from anywhere."""
    found = metrics(report.comparison)
    title = f"{_model_name(report.header)} for {', '.join(report.header['symbols'])}"
    return render_page(
        title,
        [
            f"<h1>{title}</h1>",
            render_text(
                f"An interatomic potential: it predicts the energy and forces of atoms from their positions. "
                f"Tested on {report.data}.",
                "soft",
            ),
            render_text(_summary(report.comparison, found), "lead"),
            render_tiles(_tiles(report, found)),
            _accuracy(report.comparison),
            _places(found),
            _training(report),
            _short_range(report.dimers),
            _card(report),
            _use(report),
            _tables(report, found),
        ],
    )


def _accuracy(comparison: Comparison) -> str:
    return render_section(
        "How close are the predictions?",
        render_text(
            "Every point is one structure (energy) or one component of the force on one atom. On the diagonal the "
            "prediction equals the reference calculation. Energies are shown without the part that the composition "
            "alone explains. Where there are many points, brighter colours mean more of them.",
            "soft",
        ),
        render_figure(draw_parity(comparison), "predicted against reference values"),
        render_text("How often an error of each size occurs; the first and last bar hold all larger ones.", "soft"),
        render_figure(draw_histograms(comparison), "histograms of errors"),
    )


def _places(found: Mapping[str, Any]) -> str:
    elements, groups = found["per_element"], found["per_group"]
    key = "forces_mae_mev_per_angstrom"
    energy_key = "energy_mae_mev_per_atom"
    pictures = [
        _bars("Forces, by element", "mean absolute error / meV/Å", elements, key, "n_atoms"),
        _bars("Forces, by group", "mean absolute error / meV/Å", groups, key, "n_structures"),
        _bars("Energies, by group", "mean absolute error / meV/atom", groups, energy_key, "n_structures"),
    ]
    text = (
        "A long bar names what the model knows least; more training structures of that kind help most. In brackets: "
        "number of atoms of the element, or of structures in the group."
    )
    if not any(pictures):
        return ""
    return render_section("Where are the errors?", render_text(text, "soft"), render_pair(*pictures))


def _bars(title: str, axis: str, rows: Mapping[str, Mapping[str, Any]], key: str, counted: str) -> str:
    if not any(row.get(key) is not None for row in rows.values()):
        return ""
    return render_figure(draw_bars(title, axis, rows, key, counted), title)


def _training(report: Report) -> str:
    if len(report.log.get("epoch", ())) < 2:
        return ""
    text = (
        "Errors on validation structures while training went on (logarithmic scales). Curves that still fall at the "
        "right end would gain from more epochs; a validation loss that rises while the training loss falls means "
        "overfitting."
    )
    return render_section(
        "Did the training converge?",
        render_text(text, "soft"),
        render_figure(draw_curves(report.log), "learning curves"),
    )


def _short_range(scans: Sequence[DimerScan]) -> str:
    if not scans:
        return ""
    text = (
        "Energy of two isolated atoms against their distance. The dashed line is the closest approach in the training "
        "data; in the grey zone the model extrapolates. A curve that rises to the left of the line keeps atoms apart "
        "in a simulation; one that falls lets them collapse if they ever get there."
    )
    falling = [
        f"{scan.name.replace('-', _HYPHEN)} (by {scan.depth:.2g} eV)" for scan in scans if (scan.depth or 0.0) > _DEEP
    ]
    verdict = (
        render_text(f"Closer than ever seen in training, the energy falls for {', '.join(falling)}.", "warn")
        if falling
        else render_text("No pair of elements is pulled together at distances closer than seen in training.", "good")
        if any(scan.depth is not None for scan in scans)
        else ""
    )
    return render_section(
        "What happens when atoms come too close?",
        render_text(text, "soft"),
        verdict,
        render_figure(draw_dimers(scans), "dimer energies"),
    )


def _card(report: Report) -> str:
    header, past = report.header, report.header.get("provenance", {})
    training = past.get("training", {})
    seconds = training.get("seconds")
    facts = {
        "Model": f"{_model_name(header)}, {spell(header.get('n_parameters'))} parameters, {header['dtype']}",
        "Elements": header["symbols"],
        "Cutoff": f"{header['cutoff']:g} Å",
        "Invariants": spell_basis(plain(header["config"]).get("basis")),
        "Reference energies / eV": header["references"],
        "Training data": training.get("files"),
        "Training structures": training.get("n_train"),
        "Validation structures": training.get("n_valid"),
        "Epochs": training.get("epochs"),
        "Seed": training.get("seed"),
        "Wall time of the training": None if seconds is None else _duration(seconds),
        "Units": "eV, Å, eV/Å; stress eV/Å³, positive when the cell wants to shrink",
        "Made": past.get("date"),
        "Versions": past.get("versions"),
    }
    return render_section("Model card", render_facts(facts))


def _use(report: Report) -> str:
    symbols = report.header["symbols"]
    code = (
        "import invarion\nfrom ase.io import read\n\n"
        f'atoms = read("structure.xyz")  # of {", ".join(symbols)}\n'
        'atoms.calc = invarion.Calculator("model.inv")\n'
        "atoms.get_potential_energy(), atoms.get_forces()\n\n"
        "# or, in a terminal:\n# invarion md model.inv structure.xyz --steps 2000 --temperature 300"
    )
    return render_section("Use it", render_code(code))


def _tables(report: Report, found: Mapping[str, Any]) -> str:
    units = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}
    overall = [
        {"quantity": name, **_row(found, name), "unit": unit} for name, unit in units.items() if _row(found, name)
    ]
    dimers = [
        {"pair": s.name, "closest in training / Å": s.smallest, "falls inwards by / eV": s.depth}
        for s in _deepest(report.dimers)
    ]
    training = report.header.get("provenance", {}).get("training", {})
    return render_section(
        "Tables",
        render_table("All errors", overall),
        render_table("By element", _short([{"element": k, **v} for k, v in found["per_element"].items()])),
        render_table("By group", _short([{"group": k, **v} for k, v in found["per_group"].items()])),
        render_table("Worst structures (index counts from 0)", _short(found["worst"])),
        render_table("Pairs of elements", dimers),
        render_table("Labels found in the test data", list(report.labels)),
        render_table("Labels found in the training data", training.get("labels", [])),
        "<h3>Settings</h3>",
        render_details("model", json.dumps(plain(report.header["config"]), indent=1)),
        render_details("training", json.dumps(plain(training.get("options", {})), indent=1)),
    )


def _summary(comparison: Comparison, found: Mapping[str, Any]) -> str:
    """The result in one sentence, with something to compare the force error with."""
    parts = []
    if found["forces_mae_mev_per_angstrom"] is not None:
        typical = 1000.0 * float(np.nanmean(np.abs(comparison.forces)))
        mae = found["forces_mae_mev_per_angstrom"]
        share = f" ({100.0 * mae / typical:.2g} % of the mean size of a component)" if typical > 0 else ""
        parts.append(f"force components are off by {mae:.3g} meV/Å on average{share}")
    if found["energy_mae_mev_per_atom"] is not None:
        parts.append(f"energies by {found['energy_mae_mev_per_atom']:.3g} meV/atom")
    return f"On {spell(found['n_structures'])} structures, {' and '.join(parts)}."


def _tiles(report: Report, found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    training = report.header.get("provenance", {}).get("training", {})
    tiles = [
        ("Energy, mean absolute error", found["energy_mae_mev_per_atom"], "meV/atom", found["energy_r2"]),
        ("Forces, mean absolute error", found["forces_mae_mev_per_angstrom"], "meV/Å", found["forces_r2"]),
        ("Stress, mean absolute error", found["stress_mae_mev_per_angstrom3"], "meV/Å³", found["stress_r2"]),
    ]
    shown = [
        (name, f"{value:.3g}", unit, "" if r2 is None else f"R² = {r2:.5f} (1 is perfect)")
        for name, value, unit, r2 in tiles
        if value is not None
    ]
    shown.append(("Tested on", spell(found["n_structures"]), "structures", f"{spell(found['n_atoms'])} atoms"))
    if training.get("n_train") is not None:
        validation = f"{spell(training.get('n_valid'))} for validation"
        shown.append(("Trained on", spell(training["n_train"]), "structures", validation))
    return shown


def _deepest(scans: Sequence[DimerScan]) -> list[DimerScan]:
    """The pairs to be warned of first; of very many pairs the rest is left out."""
    return sorted(scans, key=lambda scan: -(scan.depth or 0.0))[:_MAX_PAIRS]


def _row(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One quantity's line of the table of all errors; empty without labels."""
    values = {
        kind: next((v for k, v in found.items() if k.startswith(f"{name}_{kind}")), None)
        for kind in ("mae", "rmse", "max")
    }
    if values["mae"] is None:
        return {}
    names = {"mae": "mean absolute", "rmse": "root mean square", "max": "largest"}
    return {**{names[kind]: value for kind, value in values.items()}, "R²": found[f"{name}_r2"]}


def _short(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with names for people, without columns that are empty in every row."""
    kept = {key: name for key, name in _COLUMNS.items() if any(row.get(key) not in (None, "") for row in rows)}
    return [{name: row.get(key) for key, name in kept.items()} for row in rows]


def _model_name(header: Mapping[str, Any]) -> str:
    return str(plain(header["config"]).get("kind", "model")).upper().replace("_", "-")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
