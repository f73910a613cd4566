"""The label table: per target, which keys were found, which were used, and how many structures lack the label."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from invarion.data.labels import TARGETS, Keys, Search, StructureLabels, Target, search_for, structure_labels
from invarion.exceptions import DataError
from invarion.neighbors import place

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class LabelRow:
    """One key of one target.

    Attributes:
        target: `energy`, `forces` or `stress`.
        key: the key, or "calculator: energy" for a result of an ASE calculator.
        found: structures that have the key.
        used: structures whose label was taken from it.
        unit: the unit (or units) it was read in; empty where it was not used.
    """

    target: Target
    key: str
    found: int
    used: int
    unit: str


@dataclass(frozen=True)
class LabelTable:
    """What labels a list of structures carries; `str` gives text, printing it with rich a table.

    Attributes:
        n_structures: how many structures were looked at.
        rows: a row per target and key that at least one structure has.
        unused: keys that look like labels and are not read, with the number of structures that have them.
        n_weighted: structures with a weight other than 1.
    """

    n_structures: int
    rows: tuple[LabelRow, ...]
    unused: tuple[tuple[str, int], ...]
    n_weighted: int

    def labelled(self, target: Target) -> int:
        """Number of structures that carry the target."""
        return sum(row.used for row in self.rows if row.target == target)

    def missing(self, target: Target) -> int:
        """Number of structures that do not carry the target."""
        return self.n_structures - self.labelled(target)

    def targets(self) -> tuple[Target, ...]:
        """Targets that at least one structure carries."""
        return tuple(target for target in TARGETS if self.labelled(target))

    def require(self, targets: Iterable[str]) -> None:
        """Refuse targets that no structure carries.

        Args:
            targets: what training is to be done on, for instance ("energy", "forces").

        Raises:
            DataError: naming the first such target, the keys that were seen, and what to do.
        """
        for target in targets:
            if target not in TARGETS:
                raise DataError(f"unknown target {target!r}; allowed are {', '.join(TARGETS)}")
            if not self.labelled(target):
                raise DataError(self._absence(target))

    def to_dict(self) -> dict[str, Any]:
        """The table as plain values for JSON."""
        return {
            "n_structures": self.n_structures,
            "rows": [vars(row) for row in self.rows],
            "missing": {target: self.missing(target) for target in TARGETS},
            "unused": dict(self.unused),
            "n_weighted": self.n_weighted,
        }

    def __str__(self) -> str:
        lines = [f"labels of {self.n_structures} structures"]
        for cells in self._lines():
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip())
        return "\n".join([*lines, *self._remarks()])

    def __rich__(self) -> "Table":
        from rich.table import Table

        header, *lines = self._lines()
        table = Table(title=f"Labels of {self.n_structures} structures", caption="\n".join(self._remarks()) or None)
        for name, column in zip(header, ("left", "left", "right", "right", "left"), strict=True):
            table.add_column(name, justify=column)  # type: ignore[arg-type]  # these are words of rich
        for line in lines:
            absent = line[1:3] == ("missing", str(self.n_structures))
            table.add_row(*line, style="bold red" if absent else None)
        return table

    def _lines(self) -> Iterator[tuple[str, ...]]:
        yield ("target", "key", "found", "used", "unit")
        for target in TARGETS:
            for row in self.rows:
                if row.target == target:
                    yield (target, row.key, str(row.found), str(row.used), row.unit)
            if self.missing(target):
                yield (target, "missing", str(self.missing(target)), "", "")

    def _remarks(self) -> list[str]:
        remarks = []
        for target in TARGETS:
            used = [row.key for row in self.rows if row.target == target and row.used]
            if len(used) > 1:
                remarks.append(f"{target} comes from {' and '.join(used)}: are they one level of theory?")
        if self.unused:
            names = ", ".join(f"{key} ({n})" for key, n in self.unused)
            remarks.append(f"not read, though they look like labels: {names}; name one with keys= to use it")
        if self.n_weighted:
            remarks.append(f"{self.n_weighted} structures have weights other than 1")
        return remarks

    def _absence(self, target: str) -> str:
        seen = [row.key for row in self.rows if row.target == target]
        present = f"the keys {', '.join(seen)} hold only NaN" if seen else "no key that is searched for it is present"
        unused = f"; present but not read: {', '.join(key for key, _ in self.unused)}" if self.unused else ""
        return (
            f"training on {target} was asked for, but none of the {self.n_structures} structures carries a label: "
            f"{present}{unused}. Name its key with keys={{'{target}': ...}}, or set its weight in the loss to 0"
        )


_WIDTHS = (8, 28, 7, 7, 12)
_LOOKS_LIKE_A_LABEL = ("energ", "force", "stress", "virial", "gradient")


def label_table(atoms: Sequence[Atoms], keys: Keys | None = None, units: Mapping[str, str] | None = None) -> LabelTable:
    """What labels structures carry: found, used and missing, per target and key.

    Args:
        atoms: structures, from `read` or from `ase.io.read`.
        keys: quantity -> key or keys, where the user names them.
        units: quantity -> unit, where they are not eV and Angstrom.

    Returns:
        LabelTable.

    Raises:
        DataError: a label that cannot be used, or a given key that no structure has.

    Example:
        >>> frames = [Atoms("H", info={"REF_energy": -13.6, "my_energy": -13.5}), Atoms("H")]
        >>> print(label_table(frames))
        labels of 2 structures
        target    key                           found    used     unit
        energy    REF_energy                    1        1        eV
        energy    missing                       1
        forces    missing                       2
        stress    missing                       2
        not read, though they look like labels: my_energy (1); name one with keys= to use it
    """
    search = search_for(keys, units)
    labels = [structure_labels(structure, search, place(structure, i)) for i, structure in enumerate(atoms)]
    return tabulate(atoms, labels, search)


def require_labels(atoms: Sequence[Atoms], targets: Iterable[str]) -> LabelTable:
    """Refuse to train on a target that no structure carries.

    Args:
        atoms: labelled structures.
        targets: what training is to be done on.

    Returns:
        The label table of the structures.

    Raises:
        DataError: no structure, or a target without a single label.
    """
    if not atoms:
        raise DataError("there are no structures to train on; check the files and the split")
    table = label_table(atoms)
    table.require(targets)
    return table


def tabulate(atoms: Sequence[Atoms], labels: Sequence[StructureLabels], search: Search) -> LabelTable:
    """The label table of structures whose labels have been found.

    Args:
        atoms: the structures as they were searched.
        labels: what was found in each.
        search: where it was looked for.

    Raises:
        DataError: a key that the user gave is in no structure.
    """
    _refuse_absent_keys(atoms, labels, search)
    found = Counter((target, source) for each in labels for target in TARGETS for source in each.found[target])
    used = Counter((target, each.found[target][0]) for each in labels for target in TARGETS if each.has(target))
    units: dict[Any, set[str]] = {}
    for each in labels:
        for target, unit in each.units.items():
            units.setdefault((target, each.found[target][0]), set()).add(unit)
    rows = [
        LabelRow(target, source.name, found[target, source], used[target, source], _join(units, used, (target, source)))
        for target in TARGETS
        for source in search.sources[target]
        if found[target, source]
    ]
    weighted = sum(any(weight != 1.0 for weight in each.weights) for each in labels)
    return LabelTable(len(labels), tuple(rows), _unused(atoms, labels), weighted)


def _join(units: Mapping[Any, set[str]], used: Mapping[Any, int], key: Any) -> str:
    return ", ".join(sorted(units.get(key, ()))) if used[key] else ""


def _unused(atoms: Sequence[Atoms], labels: Sequence[StructureLabels]) -> tuple[tuple[str, int], ...]:
    """Numeric keys that sound like labels and are not among the sources found."""
    count: Counter[str] = Counter()
    for structure, each in zip(atoms, labels, strict=True):
        read = {source.key for sources in each.found.values() for source in sources}
        for key, value in (*structure.info.items(), *structure.arrays.items()):
            name = str(key).lower()
            sounds = any(word in name for word in _LOOKS_LIKE_A_LABEL) and "weight" not in name and "unit" not in name
            if sounds and key not in read and np.asarray(value).dtype.kind in "if":
                count[str(key)] += 1
    return tuple(sorted(count.items()))


def _refuse_absent_keys(atoms: Sequence[Atoms], labels: Sequence[StructureLabels], search: Search) -> None:
    """A key that the user gave must be somewhere: a misspelt one must not silently leave all labels missing."""
    import difflib

    if not labels:
        return
    for target in TARGETS:
        if not any(kind in search.given for kind in {source.kind for source in search.sources[target]}):
            continue
        if any(each.found[target] for each in labels):
            continue
        wanted = ", ".join(source.key for source in search.sources[target])
        present = sorted({str(key) for structure in atoms for key in (*structure.info, *structure.arrays)})
        near = difflib.get_close_matches(wanted, present, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"{place(atoms[0], 0)} and the {len(atoms) - 1} others: no structure has the key given for {target}: "
            f"{wanted}{hint}. Present are {', '.join(present)}"
        )
