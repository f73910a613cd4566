"""Is the reduced ACE basis worth it? Accuracy and cost of full, reduced, truncated and random sets on six elements.

    python benchmarks/reduced_ace.py --data ../shared/data/zuo2020 --out runs/reduced_ace        # everything, hours
    python benchmarks/reduced_ace.py --elements Si --cases a,b,d                                  # a part of it
    python benchmarks/reduced_ace.py --costs                               # times of all that is there, taken in turn
    python benchmarks/reduced_ace.py --report runs/reduced_ace                                    # table and figure

Cases, with the same leading radial functions, ranks and degree: (a) full linear, (b) reduced linear, (c) full +
network, (d) reduced + network, (e) the same number truncated by degree + network, (f) a random subset of the same
number + network, (g) reduced + polynomial; (b), (d) and (g) for each way of selecting. Reduced sets have mixtures of
the leading radial functions besides (`--n-principal`), which would only repeat what a full set holds already. Every
finished case is one JSON file, so that a stopped run goes on. Data: Zuo et al., J. Phys. Chem. A 124, 731 (2020), the
published split.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read

import invarion as inv
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.config import AceConfig, full_basis
from invarion.models.ace.reduction import cost
from invarion.training.linear import FitOptions, solve
from measure import circumstances, save

CUTOFFS = {"Cu": 5.2, "Ni": 4.6, "Li": 6.0, "Mo": 4.7, "Si": 5.4, "Ge": 5.6}
MARKERS = {"cheapest": "o", "balanced": "s", "conditioned": "^"}
SELECTIONS = tuple(MARKERS)
NAMES = {
    "a": "full linear",
    "b": "reduced linear",
    "c": "full + network",
    "d": "reduced + network",
    "e": "truncated + network",
    "f": "random + network",
    "g": "reduced + polynomial",
}


class Case(NamedTuple):
    """One fit: an element, what is fitted, how the functions were selected, and a seed where something is random."""

    element: str
    case: str
    selection: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return "-".join(str(part) for part in self if part != "")


def all_cases(settings: argparse.Namespace) -> Iterator[Case]:
    """Cases in the order in which they are run: the cheap ones of every element first."""
    for case in sorted(settings.cases, key="bdagefc".index):
        for element in settings.elements:
            for selection in settings.selections if case in "bdg" else ("",):
                for seed in range(settings.seeds if case in "cdef" else 1):
                    yield Case(element, case, selection, seed)


def make_config(case: Case, settings: argparse.Namespace) -> AceConfig:
    """The model of a case; the training structures decide later on bases of selection "conditioned"."""
    readout = {"a": "linear", "b": "linear", "g": "polynomial"}.get(case.case, "mlp")
    sizes = {"n_radial": tuple(settings.n_radial), "max_rank": tuple(settings.max_rank)}
    sizes |= {"max_degree": settings.max_degree}
    sizes |= {"n_principal": settings.n_principal, "basis": "reduced"}
    if case.case in "ac":
        sizes |= {"n_radial": tuple(settings.full_radial), "basis": "full", "n_principal": None}
    sizes |= {"polynomial_degree": settings.polynomial_degree, "polynomial_budget": settings.polynomial_budget}
    cutoff = settings.cutoff or CUTOFFS[case.element]
    config = inv.ace(cutoff, **sizes, readout=readout, hidden=tuple(settings.hidden))
    if case.selection:
        return config.model_copy(update={"selection": case.selection})
    if case.case in "ef":
        basis = rival_basis(case, config, tuple(settings.full_radial))
        return config.model_copy(update={"basis": basis, "n_principal": None})
    return config


def rival_basis(case: Case, config: AceConfig, n_radial: tuple[int, ...]) -> AceBasis:
    """As many functions as the reduced set has: the cheapest of all, dependent or not, or a random choice."""
    from ase.data import atomic_numbers

    species = (atomic_numbers[case.element],)
    full = full_basis(config.model_copy(update={"n_radial": n_radial}), species)
    size, functions = len(config.build_basis(species)), full.functions[0]
    if case.case == "e":
        kept = sorted(range(len(functions)), key=lambda i: cost(functions[i]))[:size]
    else:
        kept = np.random.default_rng(case.seed).choice(len(functions), size, replace=False).tolist()
    return full.choose([sorted(kept)])


def run_case(case: Case, settings: argparse.Namespace) -> dict[str, Any]:
    """Fit one case and measure it on the test set."""
    train, test = (read(settings.data / f"{case.element}_{part}.extxyz", ":") for part in ("train", "test"))
    train, test = train[:: settings.every], test[:: settings.every]
    torch.manual_seed(case.seed)
    begin = time.perf_counter()
    config = make_config(case, settings)
    potential = inv.Potential.from_data(config, train, seed=case.seed, dtype=torch.float64)
    options = FitOptions(
        energy_weight=settings.energy_weight,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        seed=case.seed,
    )
    processor = time.process_time()
    solve(potential, train, options)
    processor = time.process_time() - processor
    seconds = time.perf_counter() - begin
    return {
        **case._asdict(),
        "functions": len(potential.network.basis),
        "degrees": potential.network.basis.degrees(),
        "parameters": sum(p.numel() for p in potential.network.parameters()),
        "fit_seconds": seconds,
        "fit_processor_seconds": processor,
        "microseconds_per_atom": cost_per_atom([potential], case.element)[0],
        "test": errors(potential, test),
        "train": errors(potential, train[::4] or train),
        "settings": stated(settings),
    }


def stated(settings: argparse.Namespace) -> dict[str, Any]:
    """What decides about models and fits, as a file keeps it."""
    chosen = ("every", "n_radial", "full_radial", "n_principal", "max_rank", "max_degree", "cutoff", "hidden")
    chosen += ("polynomial_degree", "polynomial_budget", "epochs", "learning_rate", "energy_weight")
    return {name: getattr(settings, name) for name in chosen}


def errors(potential: inv.Potential, frames: list[Atoms]) -> dict[str, float]:
    """Errors of energies per atom (meV) and force components (meV/A)."""
    prediction = potential.predict(frames, stress=False)
    n = np.array([len(frame) for frame in frames])
    energy = 1e3 * (prediction.energy - [frame.get_potential_energy() for frame in frames]) / n
    forces = 1e3 * (prediction.forces - np.concatenate([frame.get_forces() for frame in frames]))
    return {
        "energy_mae": float(np.abs(energy).mean()),
        "energy_rmse": float(np.sqrt(np.square(energy).mean())),
        "forces_mae": float(np.abs(forces).mean()),
        "forces_rmse": float(np.sqrt(np.square(forces).mean())),
    }


def cost_per_atom(potentials: list[inv.Potential], element: str, repeats: int = 5) -> list[float]:
    """Median microseconds per atom for energy and forces of about 500 atoms, neighbour list not included, in turn."""
    atoms = bulk(element)
    atoms = atoms.repeat(max(2, round((500 / len(atoms)) ** (1 / 3))))
    atoms.rattle(0.05, seed=0)
    graphs = [inv.graph(atoms, potential.cutoff) for potential in potentials]
    times = np.zeros((repeats + 1, len(potentials)))
    for turn in range(repeats + 1):  # the first compiles
        for place, (potential, graph) in enumerate(zip(potentials, graphs, strict=True)):
            potential.eval()
            begin = time.perf_counter()
            potential(graph)
            times[turn, place] = time.perf_counter() - begin
    return (1e6 * np.median(times[1:], axis=0) / len(atoms)).tolist()


def measure_costs(settings: argparse.Namespace) -> None:
    """Take the times of all finished cases again, those of an element in turn; what was fitted plays no part."""
    for element in settings.elements:
        cases = [case for case in all_cases(settings) if case.element == element]
        # seeds change the functions of random subsets only
        cases = [case for case in cases if case.seed == 0 or case.case == "f"]
        cases = [case for case in cases if (settings.out / f"{case.name}.json").exists()]
        if not cases:
            continue
        train = read(settings.data / f"{element}_train.extxyz", ":")[:: settings.every]
        potentials = [
            inv.Potential.from_data(make_config(case, settings), train, seed=0, dtype=torch.float64) for case in cases
        ]
        for case, microseconds in zip(cases, cost_per_atom(potentials, element, repeats=9), strict=True):
            print(case.name, f"{microseconds:.1f} us/atom", flush=True)
            same = f"{case.name}.json" if case.case == "f" else f"{case.name.removesuffix('0')}*.json"
            for path in settings.out.glob(same):
                found = json.loads(path.read_text())
                if any(found["settings"].get(name, value) != value for name, value in stated(settings).items()):
                    raise SystemExit(f"{path}: fitted with other settings; give those that differ: {found['settings']}")
                found |= {"microseconds_per_atom": microseconds, "microseconds_taken_with": circumstances()}
                path.write_text(json.dumps(found, indent=2) + "\n")


def run(settings: argparse.Namespace) -> None:
    """Every case that has no file yet."""
    settings.out.mkdir(parents=True, exist_ok=True)
    for case in all_cases(settings):
        path = settings.out / f"{case.name}.json"
        if path.exists():
            continue
        found = run_case(case, settings)
        save(found, path)
        line = (found["functions"], found["parameters"], f"{found['test']['forces_rmse']:.1f} meV/A")
        times = f"{found['fit_seconds']:.0f} s", f"{found['microseconds_per_atom']:.1f} us/atom"
        print(case.name, *line, *times, flush=True)


def report(folder: Path) -> str:
    """A table of all finished cases, mean and spread over seeds, and a figure of error against cost beside it."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for each in found:
        groups.setdefault((each["element"], each["case"], each["selection"]), []).append(each)
    lines = [
        "| element | case | functions | parameters | E MAE | E RMSE | F MAE | F RMSE | fit, processor s | us/atom |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (element, case, selection), rows in sorted(groups.items()):
        name = f"({case}) {NAMES[case]}" + (f", {selection}" if selection else "")
        cells = [_spread([row["test"][key] for row in rows]) for key in rows[0]["test"]]
        costs = [
            f"{np.mean([row[key] for row in rows]):.1f}" for key in ("fit_processor_seconds", "microseconds_per_atom")
        ]
        numbers = [str(rows[0]["functions"]), str(rows[0]["parameters"]), *cells, *costs]
        lines.append("| " + " | ".join([element, name, *numbers]) + " |")
    draw(groups, folder / "reduced_ace.png")
    return "\n".join([*lines, "", *summary(groups)])


def summary(groups: dict[tuple[str, str, str], list[dict[str, Any]]]) -> list[str]:
    """Lines of a table, a row for each case: force errors on the test set (on the training set), and time per atom."""
    elements = [element for element in CUTOFFS if any(key[0] == element for key in groups)]
    lines = ["| F RMSE, test (train); us/atom | " + " | ".join(elements) + " |", "|---" * (len(elements) + 1) + "|"]
    for case, selection in sorted({key[1:] for key in groups}):
        cells = []
        for element in elements:
            rows = groups.get((element, case, selection))
            if rows is None:
                cells.append("-")
                continue
            test = [row["test"]["forces_rmse"] for row in rows]
            train, cost = (f"{np.mean(x):.1f}" for x in zip(*map(_train_and_cost, rows), strict=True))
            spread = f" ± {np.std(test, ddof=1):.1f}" if len(test) > 1 else ""
            cells.append(f"{np.mean(test):.1f}{spread} ({train}); {cost}")
        lines.append(f"| ({case}) {NAMES[case]}{', ' if selection else ''}{selection} | " + " | ".join(cells) + " |")
    return lines


def _train_and_cost(row: dict[str, Any]) -> tuple[float, float]:
    return row["train"]["forces_rmse"], row["microseconds_per_atom"]


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")


def draw(groups: dict[tuple[str, str, str], list[dict[str, Any]]], path: Path) -> None:
    """Force error against cost per atom, one panel per element, Pareto front drawn through."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    elements = sorted({key[0] for key in groups})
    figure = Figure(figsize=(4 * min(3, len(elements)), 3.4 * -(-len(elements) // 3)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, element in enumerate(elements):
        axes = figure.add_subplot(-(-len(elements) // 3), min(3, len(elements)), place + 1)
        points = []
        for (other, case, selection), rows in groups.items():
            if other != element:
                continue
            x = float(np.mean([row["microseconds_per_atom"] for row in rows]))
            y = float(np.mean([row["test"]["forces_rmse"] for row in rows]))
            axes.plot(x, y, MARKERS.get(selection, "o"), color=f"C{'abcdefg'.index(case)}")
            points.append((x, y))
        front = [p for p in sorted(points) if all(p[1] <= q[1] for q in points if q[0] <= p[0])]
        axes.plot(*zip(*front, strict=True), "-", color="0.7", zorder=0)
        axes.set(title=element, xlabel="us per atom, energy and forces", ylabel="force RMSE, meV/A")
        axes.set_xlim(0, 1.15 * max(x for x, _ in points))
    shown, selections = (sorted({key[place] for key in groups}) for place in (1, 2))
    handles = [
        Line2D([], [], ls="", marker="o", color=f"C{'abcdefg'.index(c)}", label=f"({c}) {NAMES[c]}") for c in shown
    ]
    handles += [Line2D([], [], ls="", marker=MARKERS[s], color="0.5", label=s) for s in selections if s]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data" / "zuo2020")
    parser.add_argument("--out", type=Path, default=root / "runs" / "reduced_ace")
    parser.add_argument("--report", type=Path, help="only print the table of this folder and draw its figure")
    parser.add_argument("--costs", action="store_true", help="only take the times of finished cases again")
    parser.add_argument("--elements", type=lambda text: text.split(","), default=list(CUTOFFS))
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list("abcdefg"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-radial", type=int, nargs="+", default=[12, 5, 7, 3], help="per degree")
    parser.add_argument("--full-radial", type=int, nargs="+", default=[12, 5, 4, 3], help="per degree, of full sets")
    parser.add_argument("--n-principal", type=int, default=5, help="radial functions that are no mixtures")
    parser.add_argument("--max-rank", type=int, nargs="+", default=[0, 4, 4, 2], help="per degree")
    parser.add_argument("--max-degree", type=int, default=4)
    parser.add_argument("--cutoff", type=float, help="for all elements instead of each one's own, Angstrom")
    parser.add_argument("--selections", type=lambda text: text.split(","), default=list(SELECTIONS))
    parser.add_argument("--hidden", type=int, nargs="+", default=[256])
    parser.add_argument("--polynomial-degree", type=int, default=4)
    parser.add_argument("--polynomial-budget", type=float, default=10.0)
    parser.add_argument("--epochs", type=int, default=0, help="of training below the last layer of networks")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="of networks")
    parser.add_argument("--energy-weight", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="use every n-th structure only")
    parser.add_argument("--smoke", action="store_true", help="two elements, few structures, small sets: seconds")
    settings = parser.parse_args()
    if settings.report:
        print(report(settings.report))
        return
    if settings.smoke:
        small = {"elements": ["Li"], "n_radial": [2, 2, 1], "max_rank": [0, 1, 1], "max_degree": 3}
        small |= {
            "full_radial": [2, 2, 2],
            "n_principal": 2,
            "polynomial_budget": 4.0,
            "seeds": 1,
            "hidden": [3],
            "every": 12,
            "epochs": 1,
            "cutoff": 4.0,
        }
        vars(settings).update(small)
    torch.set_num_threads(settings.threads)
    print(json.dumps(circumstances()))
    (measure_costs if settings.costs else run)(settings)
    print(report(settings.out))


if __name__ == "__main__":
    main()
