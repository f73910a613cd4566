"""`invarion md`: molecular dynamics with a report on how well the energy is kept."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say, show

if TYPE_CHECKING:
    from ase import Atoms


class Ensemble(StrEnum):
    """What is held while the atoms move."""

    nve = "nve"
    langevin = "langevin"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "md", "invarion md model.inv start.xyz --steps 2000 --temperature 300 --trajectory md.extxyz")(md)


def md(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    structure: Annotated[str, typer.Argument(help="Structure to start from; its last frame, or FILE@INDEX.")],
    steps: Annotated[int, typer.Option(help="Number of steps.")],
    temperature: Annotated[
        float, typer.Option(help="K; initial velocities are drawn for it, Langevin holds it.")
    ] = 300.0,
    ensemble: Annotated[Ensemble, typer.Option(help="nve keeps the energy, langevin the temperature.")] = Ensemble.nve,
    timestep: Annotated[
        float | None, typer.Option(help="fs; by default 0.5 with hydrogen and 1 without.", show_default=False)
    ] = None,
    friction: Annotated[float, typer.Option(help="1/fs, of the Langevin bath.")] = 0.01,
    trajectory: Annotated[Path | None, typer.Option(help="Write frames here, e.g. md.extxyz or md.traj.")] = None,
    interval: Annotated[int, typer.Option(help="Steps between frames.")] = 10,
    seed: Annotated[int, typer.Option(help="Of velocities and bath.")] = 0,
    max_spread: Annotated[
        float | None,
        typer.Option(
            help="eV/A; stop where the members of a committee lie further apart in the force on an atom.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; by default that of the model.")] = None,
    json: Json = False,
) -> Any:
    """Run molecular dynamics and say whether the total energy is kept (drift in meV/atom/ps)."""
    from invarion.checkpoint import load
    from invarion.data import read
    from invarion.engines.ase import Calculator
    from invarion.engines.dynamics import run_dynamics

    atoms = read(structure, index="-1")[-1]
    atoms.calc = Calculator(load(model, device, dtype))
    step = timestep if timestep is not None else (0.5 if 1 in atoms.numbers else 1.0)
    with _progress(steps) as advance:
        report = run_dynamics(
            atoms,
            steps,
            temperature,
            ensemble.value,
            step,
            friction,
            trajectory,
            interval,
            seed,
            advance,
            max_spread,
        )
    if not json:
        _print(report, atoms, trajectory)
    return report


def _progress(steps: int) -> Any:
    """A bar on stderr where that is a terminal; gives a function that takes the number of steps done."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("md", total=steps)
            yield lambda done: progress.update(task, completed=done)

    return bar()


def _print(report: Any, atoms: "Atoms", trajectory: Path | None) -> None:
    formula, kind = atoms.get_chemical_formula(), report.ensemble.upper()
    show(f"{formula}: {report.steps} steps of {report.timestep:g} fs = {report.picoseconds:g} ps, {kind}")
    show(f"temperature  {report.temperature:.1f} ± {report.temperature_error:.1f} K (second half)")
    if report.drift is not None:
        show(f"drift        {report.drift:+.3g} ± {report.drift_error:.2g} meV/atom/ps")
        show(f"fluctuation  {report.fluctuation:.3g} meV/atom around the line")
    if report.largest_spread is not None:
        show(f"spread       {report.largest_spread:.3g} eV/A at most, of the committee's forces on one atom")
    show(f"speed        {report.microseconds_per_atom_step:.3g} microseconds per atom and step")
    show(f"verdict      [{'green' if report.stable else 'bold red'}]{report.verdict}[/]")
    if trajectory is not None:
        say(f"frames in {trajectory}")
