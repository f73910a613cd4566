"""Results of `accuracy.py` as a table in Markdown and as figures."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_data import benchmarks

HEAD = ("contestant", "minutes", "machine", "seeds", "epochs")
HEAD += ("energy MAE", "energy RMSE", "force MAE", "force RMSE")
SUFFIXES = {"kcal/mol": "kcal_per_mol", "meV/atom": "mev_per_atom"}


def table(results: Sequence[dict]) -> str:
    """One table per benchmark and test set: means over seeds, with the standard deviation where there are several."""
    lines = []
    for (benchmark, test), found in _grouped(results, lambda r, test: (r["benchmark"], test)).items():
        unit, n_train = benchmarks()[benchmark].unit, found[0]["n_train"]
        dimers = any("relative_energy_mae_kcal_per_mol" in r["test"][test] for r in found)
        energy, unit = ("relative_energy", "kcal/mol") if dimers else ("energy", unit)
        lines += [f"**{benchmark}**, {test} ({n_train} training structures; energies in {unit}, forces in meV/Å)", ""]
        lines += ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
        rows = _grouped(found, lambda r, _: (short(r["contestant"]), r["minutes"], _machine(r)), tests=(test,))
        lines += [_row(name, same, test, f"{energy}_{{}}_{SUFFIXES[unit]}") for name, same in rows.items()]
        lines.append("")
    return "\n".join(lines)


def short(contestant: str) -> str:
    """A contestant's name without the folder and ending of its settings."""
    package, at, path = contestant.partition("@")
    return package + at + (Path(path).stem if at else "")


def _machine(result: dict) -> str:
    """Threads and processor, without what is no name."""
    words = result["machine"]["processor"].replace("(R)", "").replace("(TM)", "").replace(" Processor", "")
    return f"{result['threads']} x {words}"


def draw(results: Sequence[dict], folder: Path) -> None:
    """Error against time of every benchmark (`time.png`), error against training structures (`size.png`)."""
    folder.mkdir(parents=True, exist_ok=True)
    _draw_time(results, folder / "time.png")
    _draw_size(results, folder / "size.png")


def _grouped(results: Sequence[dict], key: Any, tests: Sequence[str] | None = None) -> dict[Any, list[dict]]:
    groups = defaultdict(list)
    for result in results:
        for test in tests or result["test"]:
            groups[key(result, test)].append(result)
    return groups


def _row(name: tuple[str, float, str], same: Sequence[dict], test: str, energy: str) -> str:
    names = (energy.format("mae"), energy.format("rmse"))
    names += ("forces_mae_mev_per_angstrom", "forces_rmse_mev_per_angstrom")
    cells = [_spread([r["test"][test][n] for r in same if n in r["test"][test]]) for n in names]
    epochs = _spread([r["epochs"] for r in same])
    return "| " + " | ".join([name[0], f"{name[1]:g}", name[2], str(len(same)), epochs, *cells]) + " |"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.4g}"
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def _draw_time(results: Sequence[dict], path: Path) -> None:
    """Validation errors as training goes on."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(r["benchmark"] for r in results))
    if not names:
        return
    figure = Figure(figsize=(6, 3.2 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        rows = [r for r in results if r["benchmark"] == name]
        forces = any("forces_mae_mev_per_angstrom" in point for r in rows for point in r["curve"])
        column = "forces_mae_mev_per_angstrom" if forces else "energy_mae_mev_per_atom"
        colours: dict[str, str] = {}
        for r in rows:
            label = f"{short(r['contestant'])}, {r['minutes']:g} min"
            for piece in _pieces(r["curve"], column):
                known = colours.get(label)  # one entry in the legend for all seeds and members
                (line,) = axes.plot(*zip(*piece, strict=True), label=None if known else label, color=known)
                colours[label] = line.get_color()
        axes.set(
            title=name,
            xlabel="seconds",
            ylabel="validation " + ("force MAE (meV/Å)" if forces else "energy MAE (meV/atom)"),
        )
        axes.set(xscale="log", yscale="log")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def _pieces(curve: Sequence[dict], column: str) -> list[list[tuple[float, float]]]:
    """Seconds and errors; members of a committee that were trained at the same time begin a piece each."""
    pieces: list[list[tuple[float, float]]] = []
    for point in curve:
        if point.get(column) is None:
            continue
        if not pieces or point["seconds"] < pieces[-1][-1][0]:
            pieces.append([])
        pieces[-1].append((point["seconds"], point[column]))
    return pieces


def _draw_size(results: Sequence[dict], path: Path) -> None:
    """Test errors against the number of training structures, of families with several."""
    from matplotlib.figure import Figure

    families = _grouped(results, lambda r, test: (benchmarks()[r["benchmark"]].family, test))
    families = {name: rows for name, rows in families.items() if len({r["n_train"] for r in rows}) > 1}
    if not families:
        return
    figure = Figure(figsize=(6, 3.2 * len(families)), layout="constrained")
    for axes, ((family, test), rows) in zip(
        figure.subplots(len(families), squeeze=False)[:, 0], families.items(), strict=True
    ):
        unit = next(b.unit for b in benchmarks().values() if b.family == family)
        column = f"energy_rmse_{SUFFIXES[unit]}"
        series = _grouped(rows, lambda r, _: (short(r["contestant"]), r["minutes"]), tests=(test,))
        for (contestant, minutes), same in series.items():
            sizes = sorted({r["n_train"] for r in same})
            means = [statistics.fmean(r["test"][test][column] for r in same if r["n_train"] == n) for n in sizes]
            axes.plot(sizes, means, "o-", label=f"{contestant}, {minutes:g} min")
        axes.set(title=f"{family}, {test}", xlabel="training structures", ylabel=f"energy RMSE ({unit})")
        axes.set(xscale="log", yscale="log")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)
