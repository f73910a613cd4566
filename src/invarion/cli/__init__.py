"""The command line, `invarion`; heavy libraries are imported only when a command needs them."""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from invarion.cli import bases, descriptors, exchange, machine, potentials, simulation, testing

app = typer.Typer(
    name="invarion",
    help="Smallest complete sets of rotation invariants, and interatomic potentials made of them.",
    epilog="Begin with:  [bold]invarion init DATA[/bold]  then  [bold]invarion train config.yaml[/bold]",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invarion {version('invarion')}")
        raise typer.Exit


@app.callback()
def _main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # torch, not loaded yet, lets idle threads spin by default: on the cores where the kernels' own threads have work
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


for _room in (potentials, testing, simulation, bases, descriptors, exchange, machine):
    _room.register(app)
