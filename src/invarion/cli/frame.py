"""What all commands share: exit statuses, --debug, --json; results go to stdout, all other words to stderr."""

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any, NoReturn

import typer

from invarion.exceptions import InvarionError

MISTAKE, FAILURE, INTERRUPTED = 2, 1, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
)


def command(app: typer.Typer, name: str, example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a command: its errors become one line on stderr and an exit status.

    A command returns what `--json` prints (a mapping or a frozen value); without `--json` it prints for people itself.

    Args:
        app: where to register.
        name: of the command.
        example: a line to copy, shown at the end of its help.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, debug: bool = False, **options: Any) -> None:
            try:
                _run(function, args, options)
            except BaseException as error:
                _exit(error, debug)

        signature = inspect.signature(function)
        parameters = [*signature.parameters.values(), _DEBUG]
        # what typer reads; functions have the attribute, their type does not say so
        run.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
        run.__annotations__ = {**function.__annotations__, "debug": _DEBUG.annotation, "return": None}
        needed = any(p.default is p.empty for p in parameters)
        app.command(name, epilog=f"Example:  [bold]{example}[/bold]", no_args_is_help=needed)(run)
        return function

    return register


def say(text: Any = "", style: str | None = None) -> None:
    """A line (or table) for people on stderr, so that stdout stays for results."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style=style, soft_wrap=True)


def show(value: Any) -> None:
    """A table or text on stdout."""
    from rich.console import Console

    Console(highlight=False).print(value, soft_wrap=isinstance(value, str))


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """A Rich table whose columns are the keys of the first row; numbers to the right.

    Args:
        title: printed above it.
        rows: at least one.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from invarion.evaluation.wording import spell

    result = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in rows[0]:
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        result.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        result.add_row(*(escape(spell(row.get(name))) for name in rows[0]))
    return result


def facts(values: Mapping[str, Any]) -> str:
    """Names and values one below the other; values that are None are left out.

    Args:
        values: by name.
    """
    from rich.markup import escape

    from invarion.evaluation.wording import spell

    width = max(len(name) for name in values)
    known = {name: value for name, value in values.items() if value is not None}
    return "\n".join(f"{name.ljust(width)}  {escape(spell(value))}" for name, value in known.items())


def _run(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Call a command; with --json nothing but its result may reach stdout, whatever a library prints."""
    if not options.get("json"):
        function(*args, **options)
        return
    with contextlib.redirect_stdout(sys.stderr):
        result = function(*args, **options)
    if result is None:  # a process of torchrun that is not the one to speak
        return
    from invarion.files import to_json

    sys.stdout.write(to_json(result) + "\n")
    sys.stdout.flush()


def _exit(error: BaseException, debug: bool) -> NoReturn:
    """Say what went wrong in one message and leave with the status that says whose fault it was."""
    if _is_typers(error):
        raise error
    if debug and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(error)
    status, message = _explain(error)
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(status) from None


def _is_typers(error: BaseException) -> bool:
    """Usage errors and deliberate exits, which typer handles itself."""
    return isinstance(error, typer.Exit | typer.BadParameter | typer.Abort | SystemExit)


def _explain(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, f"Interrupted. {error}".rstrip()
    if isinstance(error, InvarionError):
        return MISTAKE, f"Error: {error}"
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return MISTAKE, f"Error: {error.filename}: {error.strerror}; check the path"
    if type(error).__name__ == "ValidationError":
        return MISTAKE, f"Error: {_first_violation(error)}"
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return FAILURE, f"Error: out of memory ({error}); use a smaller batch (training.batch_edges) or fewer features"
    if isinstance(error, ModuleNotFoundError):
        package = {"sklearn": "scikit-learn"}.get(error.name or "", error.name)
        return MISTAKE, f"Error: this needs the package {package}, which is not installed: pip install {package}"
    name = type(error).__name__
    return FAILURE, f"Error: invarion failed ({name}: {error}); run again with --debug for the traceback, and report it"


def _first_violation(error: Any) -> str:
    """The first of pydantic's complaints as one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or error.title
    return f"{where}: {first['msg']} (got {first.get('input')!r:.80})"
