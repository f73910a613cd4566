"""Figures of the report: drawn on matplotlib's Figure objects, so that no global state of pyplot is touched."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from invarion.evaluation.dimers import DimerScan
from invarion.evaluation.errors import Comparison
from invarion.evaluation.wording import spell

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#667085"
_WIDTH = 10.0  # inches; at 100 pixels each the page's width, so that letters come out as large as those of the text
_MAX_BARS = 20
_MAX_DIMERS = 12


def to_data_uri(figure: Figure) -> str:
    """A figure as a PNG inside a `data:` address, so that a page needs no second file."""
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def draw_parity(comparison: Comparison) -> Figure:
    """Predicted against true energies, forces and, where there are labels, stresses; the diagonal is perfection."""
    quantities = [
        ("Energy", "meV/atom", *_relative_energies(comparison)),
        ("Force components", "eV/Å", comparison.forces.ravel(), comparison.predicted_forces.ravel()),
        ("Stress components", "eV/Å³", comparison.stress.ravel(), comparison.predicted_stress.ravel()),
    ]
    shown = [q for q in quantities if np.isfinite(q[2] + q[3]).any()]
    figure = _figure(_WIDTH, _WIDTH / max(len(shown), 2) * 0.95)
    for place, (name, unit, label, predicted) in enumerate(shown, start=1):
        _draw_parity(_axes(figure, (1, len(shown), place), name), unit, label, predicted)
    return figure


def draw_histograms(comparison: Comparison) -> Figure:
    """How large the errors are, and how many there are of each size."""
    quantities = [
        ("Energy error", "meV/atom", comparison.energy_errors),
        ("Force error, by component", "meV/Å", comparison.forces_errors),
        ("Stress error, by component", "meV/Å³", comparison.stress_errors),
    ]
    shown = [(name, unit, e[np.isfinite(e)]) for name, unit, e in quantities if np.isfinite(e).any()]
    figure = _figure(_WIDTH, 3.4)
    for place, (name, unit, errors) in enumerate(shown, start=1):
        _draw_histogram(_axes(figure, (1, len(shown), place), name), unit, errors)
    return figure


def draw_bars(
    title: str, axis: str, rows: Mapping[str, Mapping[str, Any]], key: str, counted: str = "n_atoms"
) -> Figure:
    """One bar per element or group, the longest first.

    Args:
        title: what is shown.
        axis: what the length of a bar means, with its unit.
        rows: by name, mappings with `key` and `counted`.
        key: the value of the bar; rows where it is None are left out.
        counted: the number written behind the name.
    """
    kept = sorted(((row[key], name, row[counted]) for name, row in rows.items() if row[key] is not None), reverse=True)
    kept = kept[:_MAX_BARS]
    figure = _figure(_WIDTH / 2, 1.1 + 0.34 * len(kept))
    axes = _axes(figure, (1, 1, 1), title)
    places = np.arange(len(kept))
    axes.barh(places, [value for value, _, _ in kept], color=BLUE, height=0.65)
    axes.set_yticks(places, [f"{name}  ({count})" for _, name, count in kept])
    axes.invert_yaxis()
    axes.set_xlabel(axis)
    for place, (value, _, _) in zip(places, kept, strict=True):
        axes.annotate(f"{value:.3g}", (value, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.margins(x=0.12)
    return figure


def draw_curves(log: Mapping[str, Sequence[float]]) -> Figure:
    """Learning curves: what the training minimises, and the errors on validation structures, epoch by epoch.

    Args:
        log: columns by name, as `read_log` gives them; `epoch` and whichever of the known columns there are.
    """
    panels = [
        ("Loss", "loss", (("training", log.get("train_loss"), GREY), ("validation", log.get("valid_loss"), BLUE))),
        ("Validation, energy", "meV/atom", _mae_and_rmse(log, "energy")),
        ("Validation, forces", "meV/Å", _mae_and_rmse(log, "forces")),
        ("Validation, stress", "meV/Å³", _mae_and_rmse(log, "stress")),
    ]
    shown = [(name, unit, [c for c in curves if _has_values(c[1])]) for name, unit, curves in panels]
    shown = [panel for panel in shown if panel[2]]
    figure = _figure(_WIDTH, 3.4)
    for place, (name, unit, curves) in enumerate(shown, start=1):
        axes = _axes(figure, (1, len(shown), place), name)
        for label, values, color in curves:
            _draw_curve(axes, np.asarray(log["epoch"], float), np.asarray(values, float), label, color)
        axes.set(xlabel="epoch", ylabel=unit, yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize=9)
    return figure


def draw_dimers(scans: Sequence[DimerScan]) -> Figure:
    """Energy of two atoms against their distance, one panel per pair; the grey zone was never seen in training."""
    shown = sorted(scans, key=lambda s: -(s.depth or 0.0))[:_MAX_DIMERS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = _figure(_WIDTH * max(columns, 2) / 3, 2.7 * rows)
    for place, scan in enumerate(shown, start=1):
        _draw_dimer(_axes(figure, (rows, columns, place), scan.name), scan)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", dpi=180)


def _axes(figure: Figure, place: tuple[int, int, int], title: str) -> Axes:
    axes = figure.add_subplot(*place)
    axes.set_title(title, fontsize=11, fontweight="bold", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return axes


def _relative_energies(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Energies per atom in meV without the part that the composition alone explains, which would hide all the rest."""
    elements = np.unique(comparison.numbers)
    parts = np.split(comparison.numbers, np.cumsum(comparison.n_atoms)[:-1])
    counts = np.array([(part[:, None] == elements).sum(0) for part in parts], dtype=float)
    known = np.isfinite(comparison.energy)
    fitted = np.linalg.lstsq(counts[known], comparison.energy[known], rcond=None)[0]
    scale = 1000.0 / comparison.n_atoms
    return (
        scale * (comparison.energy - counts @ fitted),
        scale * (comparison.predicted_energy - counts @ fitted),
    )


def _draw_parity(axes: Axes, unit: str, label: np.ndarray, predicted: np.ndarray) -> None:
    known = np.isfinite(label) & np.isfinite(predicted)
    label, predicted = label[known], predicted[known]
    low, high = min(label.min(), predicted.min()), max(label.max(), predicted.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=GREY, linewidth=1)
    if len(label) > 3000:  # so many points hide each other: show how many fall on each spot
        axes.hexbin(label, predicted, gridsize=90, extent=(*limits, *limits), norm=LogNorm(), cmap="viridis", mincnt=1)
    else:
        axes.scatter(label, predicted, s=30 if len(label) < 200 else 9, color=BLUE, alpha=0.5, linewidths=0)
    axes.set(xlim=limits, ylim=limits, xlabel=f"reference / {unit}", ylabel=f"predicted / {unit}", aspect="equal")


def _draw_histogram(axes: Axes, unit: str, errors: np.ndarray) -> None:
    reach = max(float(np.quantile(np.abs(errors), 0.995)), 1e-12)
    axes.hist(np.clip(errors, -reach, reach), bins=61, range=(-reach, reach), color=BLUE)
    axes.axvline(0.0, color=GREY, linewidth=1)
    median, most = np.quantile(np.abs(errors), [0.5, 0.95])
    text = f"half within ±{median:.3g}\n95 % within ±{most:.3g}\nlargest {spell(float(np.abs(errors).max()))}"
    axes.annotate(text, (0.98, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=9)
    axes.set(xlabel=f"predicted - reference / {unit}", ylabel="number")


def _mae_and_rmse(log: Mapping[str, Sequence[float]], quantity: str) -> tuple[tuple[str, Any, str], ...]:
    names = {"mae": ("mean absolute", BLUE), "rmse": ("root mean square", ORANGE)}
    columns = {kind: [v for name, v in log.items() if name.startswith(f"valid_{quantity}_{kind}")] for kind in names}
    return tuple((names[kind][0], found[0] if found else None, names[kind][1]) for kind, found in columns.items())


def _has_values(values: Any) -> bool:
    return values is not None and bool(np.isfinite(np.asarray(values, float)).any())


def _draw_curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, label: str, color: str) -> None:
    known = np.isfinite(values) & (values > 0)
    axes.plot(epochs[known], values[known], color=color, linewidth=1.4, label=label)


def _draw_dimer(axes: Axes, scan: DimerScan) -> None:
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot(scan.distances, scan.energies, color=BLUE, linewidth=1.6)
    if scan.smallest is not None:
        axes.axvspan(scan.distances[0], scan.smallest, color=GREY, alpha=0.15, linewidth=0)
        axes.axvline(scan.smallest, color=RED, linewidth=1, linestyle="--")
        axes.annotate(
            f"closest in training\n{scan.smallest:.2f} Å", (scan.smallest, 0.97), xytext=(4, 0), va="top", fontsize=8,
            xycoords=("data", "axes fraction"), textcoords="offset points", color=RED,
        )  # fmt: skip
    visible = scan.energies[scan.distances >= (scan.smallest or scan.distances[0])]
    reach = max(2.0 * float(np.abs(visible).max(initial=0.0)), 0.5)
    axes.set(xlabel="distance / Å", ylabel="energy / eV", xlim=(scan.distances[0], scan.distances[-1]))
    low, high = float(scan.energies.min()) - 0.1 * reach, float(scan.energies.max()) + 0.1 * reach
    axes.set_ylim(max(-reach, low), min(reach, high))
