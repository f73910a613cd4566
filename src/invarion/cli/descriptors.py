"""`invarion describe`: features of atoms or structures, from a model or from a basis alone."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say

if TYPE_CHECKING:
    from ase import Atoms

    from invarion.evaluation.features import Features


class Per(StrEnum):
    """What a row of features stands for."""

    atom = "atom"
    structure = "structure"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "describe", "invarion describe basis.json structures.extxyz --cutoff 5 -o features.npz")(describe)


def describe(
    source: Annotated[Path, typer.Argument(metavar="MODEL_OR_BASIS", help="Model file, or basis as JSON.")],
    data: Annotated[
        list[str], typer.Argument(help="Structures: files, globs, FILE@START:STOP; labels are not needed.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("features.npz"),
    per: Annotated[Per, typer.Option(help="A row per atom, or their sum per structure.")] = Per.atom,
    cutoff: Annotated[float, typer.Option(help="Angstrom, for a basis; a model has its own.")] = 5.0,
    json: Json = False,
) -> Any:
    """Write features to an .npz file: `features` (rows, F), `names` (F,), `system` and `numbers` of every row."""
    from invarion.data import read

    atoms = read(data)
    features = _by_basis(source, atoms, cutoff) if _is_json(source) else _by_model(source, atoms)
    if per is Per.structure:
        features = features.per_structure()
    _write(features, output)
    rows, columns = features.values.shape
    if not json:
        say(f"{rows} rows ({per.value}s) of {columns} features in {output}")
    return {"output": output, "n_rows": rows, "n_features": columns, "per": per.value}


def _is_json(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(1) == b"{"


def _by_model(source: Path, atoms: "list[Atoms]") -> "Features":
    from invarion.checkpoint import load
    from invarion.evaluation.features import describe_atoms

    return describe_atoms(load(source), atoms)


def _by_basis(source: Path, atoms: "list[Atoms]", cutoff: float) -> "Features":
    import numpy as np

    from invarion.engines.sklearn import InvariantDescriptor
    from invarion.evaluation.features import Features
    from invarion.invariants import InvariantBasis

    basis = InvariantBasis.from_json(source.read_text(encoding="utf-8"))
    descriptor = InvariantDescriptor(cutoff=cutoff, basis=basis, per="atom")
    values = np.asarray(descriptor.fit_transform(atoms))
    return Features(
        values,
        tuple(descriptor.get_feature_names_out()),
        np.repeat(np.arange(len(atoms)), [len(structure) for structure in atoms]),
        np.concatenate([structure.numbers for structure in atoms]),
    )


def _write(features: "Features", output: Path) -> None:
    from io import BytesIO

    import numpy as np

    from invarion.files import write_atomically

    buffer = BytesIO()
    names = np.array(features.names)
    np.savez(buffer, features=features.values, names=names, system=features.system, numbers=features.numbers)
    write_atomically(output, buffer.getvalue())
