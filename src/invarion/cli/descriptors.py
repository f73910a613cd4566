"""`invarion describe`: features of atoms or structures, from a model or from a basis alone."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from invarion.cli.frame import Json, command, say

if TYPE_CHECKING:
    from ase import Atoms

    from invarion.evaluation.features import Features
    from invarion.invariants import InvariantBasis

_NAMES = ("channelwise", "optimal", "full")


class Per(StrEnum):
    """What a row of features stands for."""

    atom = "atom"
    structure = "structure"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "describe", "invarion describe basis.json structures.extxyz --cutoff 5 -o features.npz")(describe)


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
