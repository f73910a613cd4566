"""`invarion basis`: sets of invariants without a potential."""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say, show, table

if TYPE_CHECKING:
    from invarion.invariants import InvariantBasis


_PATIENCE = 2.0  # seconds after which a search begins to say how far it is
_FEW = 5  # tensors whose strata are gone through to say where a member is needed


class Kind(StrEnum):
    """What a set of invariants is asked to be."""

    optimal = "optimal"
    published = "published"
    flexible = "flexible"
    separating = "separating"


class Parity(StrEnum):
    """Whether invariants that change sign in a mirror are appended."""

    even = "even"
    both = "both"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "basis", "invarion basis --max-rank 3 --max-degree 4")(basis)


def basis(
    max_rank: Annotated[int | None, typer.Option(help="Largest tensor rank L; one tensor of each rank 0..L.")] = None,
    max_degree: Annotated[
        int | None, typer.Option(help="Most tensors in one product (body order - 1); by default as many as needed.")
    ] = None,
    channels: Annotated[int, typer.Option(help="Number of channels, each with its own tensors.")] = 1,
    kind: Annotated[Kind, typer.Option(help="What the set is asked to be.")] = Kind.optimal,
    parity: Annotated[
        Parity, typer.Option(help="both: append invariants that tell mirror images apart.")
    ] = Parity.even,
    ranks: Annotated[str | None, typer.Option(help="Any list of tensor ranks instead, e.g. 1,3,3.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write the basis as JSON here.")] = None,
    strata: Annotated[bool, typer.Option("--strata", help="Also list where some of the tensors vanish.")] = False,
    atlas: Annotated[
        Path | None, typer.Option(help="Write a web page of all shipped bases into this folder; needs no other option.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Keep finished stages of the search in this file; asked for the same again, it goes on."),
    ] = None,
    json: Json = False,
) -> Any:
    """Build a basis of rotation invariants; print its members, their cost and the certificate.

    A long search says how far it is. Ctrl-C stops it; with --resume FILE it goes on where it was.
    """
    if atlas is not None:
        from invarion.invariants.atlas import write_atlas

        page = write_atlas(atlas)
        say(f"written to {page}; open it in a browser")
        if max_rank is None and ranks is None:
            return {"atlas": str(page)}
    try:
        found = _build(max_rank, max_degree, channels, kind.value, parity.value, ranks, resume)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(resume)) from None
    found.certificate.check()
    if output is not None:
        from invarion.files import write_atomically

        write_atomically(output, found.to_json() + "\n")
    summary = found.summary()
    if strata:
        summary["strata"] = [_stratum(*row) for row in found.strata()]
    if not json:
        _print(found, summary)
        if output is not None:
            say(
                f"written to {output}; use it as `basis: {output}` of a model, or read it with InvariantBasis.from_json"
            )
    return summary


def _build(
    max_rank: int | None,
    max_degree: int | None,
    channels: int,
    kind: str,
    parity: str,
    ranks: str | None,
    resume: Path | None,
) -> "InvariantBasis":
    """The basis that the options ask for; options that a kind does not take are refused."""
    import invarion.invariants as rooms
    from invarion.exceptions import BasisError

    if (max_rank is None) == (ranks is None):
        raise BasisError(
            "give either --max-rank (one tensor of each rank 0..L) or --ranks (any list), for example --max-rank 3"
        )
    if kind == "published":
        if channels != 1 or parity != "even" or max_rank is None or resume is not None:
            raise BasisError(
                "the published table has one channel of ranks 0..L and even parity, and nothing to resume; "
                "use --kind optimal"
            )
        return rooms.published_basis(max_rank, 4 if max_degree is None else max_degree)
    options: dict[str, Any] = {"progress": _teller(), "resume": resume}
    if channels != 1:
        options["channels"] = channels
    if max_rank is not None:
        options["max_rank"] = max_rank
    if ranks is not None:
        options["ranks"] = _parse_ranks(ranks)
    if max_degree is not None:
        options["max_degree"] = max_degree
    if parity != "even":
        options["parity"] = parity
    builders = {
        "optimal": lambda: rooms.optimal_basis,
        "flexible": lambda: rooms.flexible_basis,
        "separating": lambda: rooms.separating_basis,
    }
    return builders[kind]()(**options)


def _teller() -> Callable[[str], None]:
    """Says lines of progress on stderr, once a search takes more than a moment."""
    start = time.monotonic()

    def tell(line: str) -> None:
        passed = time.monotonic() - start
        if passed > _PATIENCE:
            say(f"{passed:6.0f} s  {line}", style="dim")

    return tell


def _how_to_go_on(resume: Path | None) -> str:
    if resume is None:
        return "Nothing is kept; --resume FILE keeps the finished stages of a search."
    return f"The finished stages are in {resume}; the same command goes on from them."


def _parse_ranks(text: str) -> tuple[int, ...]:
    from invarion.exceptions import BasisError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise BasisError(f"--ranks is {text!r}; give whole numbers with commas between, for example 1,3,3") from None


def _print(found: "InvariantBasis", summary: dict[str, Any]) -> None:
    from invarion.invariants.drawing import line_notation
    from invarion.invariants.plan import compile_plan

    rows = [
        {
            "no.": place,
            "graph": line_notation(contraction, found.ranks),
            "degree": row["degree"],
            "bodies": row["degree"] + 1,
            **({"mirror": row["parity"]} if found.n_odd else {}),
            "cost": row["cost"],
            "needed by": need,
            "name": row["name"],
        }
        for place, (row, contraction, need) in enumerate(
            zip(summary["invariants"], found.invariants, _needs(found), strict=True), start=1
        )
    ]
    show(table(f"{len(found)} invariants ({found.kind}) of tensors of ranks {_short(found.ranks)}", rows))
    if "strata" in summary:
        show(table("Where only these tensors are non-zero", summary["strata"]))
    show(_proof(summary))
    show(f"evaluation: {compile_plan(found.invariants, found.ranks).n_multiplications} multiplications for all of them")


def _needs(found: "InvariantBasis") -> list[str]:
    """For every member the smallest set of non-vanishing tensors that needs it, by their ranks."""
    from invarion.invariants.necessity import needed_on

    if sum(rank > 0 for rank in found.ranks) > _FEW:
        return [""] * len(found)
    words = ["none alone" if need is None else ",".join(map(str, need)) or "0" for need in needed_on(found)]
    return ["mirror" if c.epsilon else word for c, word in zip(found.invariants, words, strict=True)]


def _proof(summary: dict[str, Any]) -> str:
    """The certificate in words."""
    rank, dimension, orbit = summary["rank"], summary["dimension"], summary["orbit_dimension"]
    lines = [
        f"dimension {dimension} - generic orbit {orbit} = {dimension - orbit} independent ones exist; proved: {rank}",
        f"independent: {_yes(summary['independent'])}    complete: {_yes(summary['complete'])}",
        f"certificate: a minor of the Jacobian modulo the prime {summary['certificate']['prime']}, checked just now",
    ]
    search = summary.get("search") or {}
    if search.get("miss_bound") is not None:
        lines.append(
            f"no partner found for {search['n_targets']} random environments, {search['n_starts']} searches each;\n"
            f"at most {search['miss_bound']:.1%} of such searches would end at one (95 % limit)"
        )
    sufficient = search.get("sufficient_degree")
    if not summary["complete"] and sufficient:
        lines.append(f"not complete at degree {summary['max_degree']}: --max-degree {sufficient} suffices")
    return "\n".join(lines)


def _stratum(ranks: Any, needed: int, have: int) -> dict[str, Any]:
    return {"ranks": ",".join(map(str, ranks)), "needed": needed, "have": have, "complete": have >= needed}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _short(ranks: tuple[int, ...]) -> str:
    return (
        ", ".join(map(str, ranks))
        if len(ranks) <= 12
        else f"{', '.join(map(str, ranks[:6]))}, ... ({len(ranks)} tensors)"
    )
