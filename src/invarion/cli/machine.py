"""`invarion doctor`: what runs here, and how fast."""

from typing import Any

import typer

from invarion.cli.frame import Json, command, facts, show


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "doctor", "invarion doctor")(doctor)


def doctor(json: Json = False) -> Any:
    """Which computing path runs here and why, a half-second benchmark, threads and versions."""
    from invarion.doctor import examine

    report = examine()
    if not json:
        show(facts({name.replace("_", " "): value for name, value in report.items()}))
    return report
