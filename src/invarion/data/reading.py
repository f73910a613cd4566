"""`read`: labelled structures from files of any format that ASE reads, in eV and Angstrom."""

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ase import Atoms
from ase.utils import string2index

from invarion.data.checks import check_structure
from invarion.data.files import File, Paths, expand, frames, nothing_in
from invarion.data.label_table import LabelTable, tabulate
from invarion.data.labels import Keys, Search, StructureLabels, search_for, structure_labels
from invarion.data.normalised import normalise
from invarion.data.npz import read_npz
from invarion.exceptions import DataError
from invarion.neighbors import ORIGIN
from invarion.units import factor


class Reading(NamedTuple):
    """Structures read from files, and the table of their labels as the files had them."""

    atoms: list[Atoms]
    table: LabelTable


def read(
    paths: Paths,
    *,
    keys: Keys | None = None,
    units: Mapping[str, str] | None = None,
    index: str | int | slice = ":",
    format: str | None = None,
) -> list[Atoms]:
    """Structures with their labels from files; whatever the files call them, energies and forces come out alike.

    Labels are searched under the keys given and no others; without them under `REF_energy`, `REF_forces`, `REF_stress`
    (or `REF_virial`), then in the results of an ASE calculator, then under common names. NaN means no label.

    Args:
        paths: a file or glob, or several; "file@0:100" takes some frames. Any format that ASE reads, compressed or
            not, and .npz in rMD17's layout (kcal/mol) or sGDML's.
        keys: names of labels: `energy`, `forces`, `stress`, `virial`, and the weights `weight`, `energy_weight`,
            `forces_weight`, `stress_weight`; each a name, or several in order.
        units: units of `energy`, `length`, `forces`, `stress`, `virial` where they are not eV and Angstrom, for
            instance {"energy": "Hartree", "forces": "Hartree/Bohr"}.
        index: frames of every file: a number, a slice, or the text of one.
        format: ASE's name of the format where the file names do not tell it.

    Returns:
        ase.Atoms with `info["REF_energy"]` (eV), `arrays["REF_forces"]` (N, 3) (eV/A), `info["REF_stress"]` (3, 3)
        (eV/A^3, +(1/V) dE/dstrain) where known, `info["origin"]` (file and frame), weights in `info`, and a calculator
        that returns the labels.

    Raises:
        DataError: a file that is missing, empty, truncated or of unknown format, or a structure or label that cannot be
            used; one message that names file and frame.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ase.io import write
        >>> with TemporaryDirectory() as folder:
        ...     write(f"{folder}/h2.extxyz", Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], info={"E_dft": -1.17}))
        ...     frames = read(f"{folder}/*.extxyz", keys={"energy": "E_dft"}, units={"energy": "Hartree"})
        >>> round(frames[0].info["REF_energy"], 3)
        -31.837
    """
    return read_labelled(paths, keys=keys, units=units, index=index, format=format).atoms


def read_labelled(
    paths: Paths,
    *,
    keys: Keys | None = None,
    units: Mapping[str, str] | None = None,
    index: str | int | slice = ":",
    format: str | None = None,
) -> Reading:
    """The structures of `read`, with the table of what labels were found, used and missing.

    Args:
        paths: see `read`, as are the other arguments.
        keys: names of labels.
        units: units of the files.
        index: frames of every file.
        format: ASE's name of the format.
    """
    search = search_for(keys, units)
    raw: list[Atoms] = []
    labels: list[StructureLabels] = []
    for file in expand(paths, _part(index)):
        for structure, found in _read_file(file, search, format):
            raw.append(structure)
            labels.append(found)
    table = tabulate(raw, labels, search)
    logging.getLogger(__name__).log(logging.INFO if table.targets() else logging.WARNING, "%s", table)
    return Reading([normalise(structure, found) for structure, found in zip(raw, labels, strict=True)], table)


def _part(index: str | int | slice) -> str:
    """Frames as ASE writes them."""
    if isinstance(index, slice):
        return ":".join("" if each is None else str(each) for each in (index.start, index.stop, index.step))
    return str(index)


def _read_file(file: File, search: Search, format: str | None) -> Iterator[tuple[Atoms, StructureLabels]]:
    """The structures of a file with lengths in Angstrom, checked, and their labels."""
    structures, search = _open(file, search, format)
    scale = factor(search.units.get("length", "A"), "length")
    for number, structure in enumerate(structures):
        where = f"{file.path}, frame {number}" + ("" if file.part == ":" else f" of [{file.part}]")
        if scale != 1.0:
            structure = _rescaled(structure, scale)
        structure.info[ORIGIN] = where
        check_structure(structure, where)
        yield structure, structure_labels(structure, search, where)


def _open(file: File, search: Search, format: str | None) -> tuple[Iterator[Atoms], Search]:
    if file.path.suffix.lower() != ".npz":
        return frames(file, format), search
    archive = read_npz(file.path)
    units = {**archive.units, **search.units}
    if "energy" not in units:
        raise DataError(
            f"{file.path}: this layout does not say its units; declare them, for example "
            "units={'energy': 'kcal/mol', 'forces': 'kcal/mol/A', 'length': 'A'}"
        )
    wanted = string2index(file.part)
    chosen = archive.frames[wanted if isinstance(wanted, slice) else slice(int(wanted), int(wanted) + 1 or None)]
    if not chosen:
        raise nothing_in(file)
    return iter(chosen), Search(search.sources, search.weights, units, search.given)


def _rescaled(atoms: Atoms, scale: float) -> Atoms:
    """The structure with lengths multiplied; results of its calculator stay, as they were computed for it."""
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * scale)
    scaled.positions = atoms.positions * scale
    scaled.calc = atoms.calc
    if scaled.calc is not None:
        scaled.calc.atoms = scaled.copy()
    return scaled
