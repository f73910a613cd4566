"""`invarion describe` and `invarion degenerate`: features of atoms, and what they cannot tell apart."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say, show, table

if TYPE_CHECKING:
    from ase import Atoms

    from invarion.evaluation.degenerate import PairResult
    from invarion.evaluation.features import Features
    from invarion.evaluation.pair_table import Setting
    from invarion.invariants import InvariantBasis

_COLUMNS = 6  # of a table that fits a terminal
_NAMES = ("channelwise", "optimal", "full")


class PairKind(StrEnum):
    """What describes the structures of degenerate pairs; see `invarion.evaluation.pair_table`."""

    full2 = "full2"
    full3 = "full3"
    optimal = "optimal"
    channelwise = "channelwise"
    published = "published"
    flexible = "flexible"
    separating = "separating"
    odd = "odd"


class Per(StrEnum):
    """What a row of features stands for."""

    atom = "atom"
    structure = "structure"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "describe", "invarion describe basis.json structures.extxyz --cutoff 5 -o features.npz")(describe)
    command(app, "degenerate", "invarion degenerate pairs.extxyz --radial 1 --radial 4 --cutoff 10")(degenerate)


def describe(
    source: Annotated[
        str,
        typer.Argument(metavar="MODEL_OR_BASIS", help="Model file, basis as JSON, or channelwise, optimal, full."),
    ],
    data: Annotated[
        list[str], typer.Argument(help="Structures: files, globs, FILE@START:STOP; labels are not needed.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("features.npz"),
    per: Annotated[Per, typer.Option(help="A row per atom, or the sums of each structure.")] = Per.atom,
    cutoff: Annotated[float, typer.Option(help="Angstrom, for a basis; a model has its own.")] = 5.0,
    n_radial: Annotated[int, typer.Option(help="Radial functions per element, for a basis.")] = 4,
    json: Json = False,
) -> Any:
    """Write features to an .npz file: `features` (rows, F), `names` (F,), `system` and `numbers` of every row."""
    from invarion.data import read

    basis = _find_basis(source)
    atoms = read(data)
    if basis is None:
        features = _by_model(Path(source), atoms, per)
    else:
        features = _by_basis(basis, atoms, {"cutoff": cutoff, "n_radial": n_radial, "per": per.value})
    _write(features, output)
    rows, columns = features.values.shape
    if not json:
        say(f"{rows} rows ({per.value}s) of {columns} features in {output}")
    return {"output": output, "n_rows": rows, "n_features": columns, "per": per.value}


def _find_basis(source: str) -> "InvariantBasis | str | None":
    """The basis, or the name of one, that the argument stands for; None for a model file."""
    from invarion.exceptions import BasisError
    from invarion.invariants import InvariantBasis

    path = Path(source)
    if not path.exists():
        if source not in _NAMES:
            raise BasisError(f"{source} is no file; give a model file, a basis as JSON, or one of {', '.join(_NAMES)}")
        return source
    with path.open("rb") as file:
        is_json = file.read(1) == b"{"
    return InvariantBasis.from_json(path.read_text(encoding="utf-8")) if is_json else None


def _by_model(source: Path, atoms: "list[Atoms]", per: Per) -> "Features":
    from invarion.checkpoint import load
    from invarion.evaluation.features import describe_atoms

    features = describe_atoms(load(source), atoms)
    return features.per_structure() if per is Per.structure else features


def _by_basis(basis: "InvariantBasis | str", atoms: "list[Atoms]", settings: dict[str, Any]) -> "Features":
    import numpy as np

    from invarion.engines.sklearn import InvariantDescriptor
    from invarion.evaluation.features import Features

    descriptor = InvariantDescriptor(basis=basis, **settings)
    values = np.asarray(descriptor.fit_transform(atoms))
    names = tuple(str(name) for name in descriptor.get_feature_names_out())
    if settings["per"] == "structure":
        return Features(values, names, np.arange(len(atoms)), np.zeros(len(atoms), dtype=np.int64))
    system = np.repeat(np.arange(len(atoms)), [len(structure) for structure in atoms])
    return Features(values, names, system, np.concatenate([structure.numbers for structure in atoms]))


def _write(features: "Features", output: Path) -> None:
    from io import BytesIO

    import numpy as np

    from invarion.files import write_atomically

    buffer = BytesIO()
    names = np.array(features.names)
    np.savez(buffer, features=features.values, names=names, system=features.system, numbers=features.numbers)
    write_atomically(output, buffer.getvalue())


def degenerate(
    pairs: Annotated[
        list[str],
        typer.Argument(help="Structures, two of each info['pair']: files, globs, FILE@START:STOP."),
    ],
    kind: Annotated[
        list[PairKind] | None, typer.Option(help="Kind of basis, may be repeated; by default all of them.")
    ] = None,
    radial: Annotated[list[int] | None, typer.Option(help="Radial functions per element; 1 and 4 by default.")] = None,
    cutoff: Annotated[list[float] | None, typer.Option(help="Angstrom; 10 by default.")] = None,
    json: Json = False,
) -> Any:
    """Which pairs of different structures each kind of basis tells apart, and by how many times the rounding noise."""
    from invarion.data.files import expand, frames
    from invarion.evaluation.pair_table import KINDS, pair_table

    structures = [atoms for file in expand(pairs) for atoms in frames(file)]
    kinds = [k.value for k in kind] if kind else KINDS
    found = pair_table(structures, kinds, radial or [1, 4], cutoff or [10.0])
    if not json:
        _print_pairs(found)
    return {
        "rows": [
            {**setting._asdict(), **vars(result), "ratio": result.ratio, "told_apart": result.told_apart}
            for setting, results in found.items()
            for result in results
        ]
    }


def _print_pairs(found: "dict[Setting, list[PairResult]]") -> None:
    """A row per setting, then a row per pair."""
    settings = [
        {
            "no.": number,
            "basis": setting.kind,
            "radial": setting.n_radial,
            "cutoff / Å": setting.cutoff,
            "told apart": f"{sum(r.told_apart for r in results)} of {len(results)}",
        }
        for number, (setting, results) in enumerate(found.items(), start=1)
    ]
    show(table("Descriptors", settings))
    show("Largest difference of a feature, in units of the rounding noise (+ told apart: over 1000)")
    columns = list(enumerate(found.values(), start=1))
    for first in range(0, len(columns), _COLUMNS):
        part = columns[first : first + _COLUMNS]
        show(table("", [_row(n, part) for n in range(len(part[0][1]))]))


def _row(number: int, columns: "Sequence[tuple[int, list[PairResult]]]") -> dict[str, str]:
    """One pair as some settings see it."""
    return {"pair": columns[0][1][number].pair, **{str(n): _cell(results[number]) for n, results in columns}}


def _cell(result: "PairResult") -> str:
    return f"{result.ratio:.0e}{'+' if result.told_apart else ' '}"
