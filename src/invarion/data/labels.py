"""Labels of structures: where each is searched, and the one normalised form it is brought to.

Search order per target: the keys that the user gave and no others; without them `REF_*`, the results of an ASE
calculator, then common aliases. NaN under the first key that is present means "no label here" and ends the search.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from invarion.data.conversion import Kind, check_agreement, convert
from invarion.exceptions import DataError
from invarion.units import INTERNAL, factor

Target = Literal["energy", "forces", "stress"]
TARGETS: tuple[Target, ...] = get_args(Target)
Keys = Mapping[str, str | Sequence[str]]
"""Names of labels that the user gives: quantity (or weight) -> a key, or several in order of preference."""

WEIGHTS = ("weight", "energy_weight", "forces_weight", "stress_weight")
_KINDS: Mapping[Target, tuple[Kind, ...]] = MappingProxyType(
    {"energy": ("energy",), "forces": ("forces",), "stress": ("stress", "virial")}
)
_REFERENCE: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "energy": ("REF_energy",),
        "forces": ("REF_forces",),
        "stress": ("REF_stress",),
        "virial": ("REF_virial", "REF_virials"),
    }
)
_ALIASES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "energy": ("energy", "Energy", "dft_energy", "DFT_energy", "total_energy"),
        "forces": ("forces", "force", "Forces", "dft_forces", "dft_force", "DFT_forces", "DFT_force"),
        "stress": ("stress", "dft_stress", "DFT_stress"),
        "virial": ("virial", "virials", "dft_virial", "dft_virials", "DFT_virial", "DFT_virials"),
    }
)


class Source(NamedTuple):
    """One place where a label may stand: a key of info or arrays, of the calculator's results, or of any of them."""

    kind: Kind
    key: str
    where: Literal["atoms", "calculator", "any"]

    @property
    def name(self) -> str:
        """How the label table calls it."""
        return f"calculator: {self.key}" if self.where == "calculator" else self.key


@cache
def _default_sources() -> Mapping[Target, tuple[Source, ...]]:
    def order(target: Target, kinds: tuple[Kind, ...]) -> tuple[Source, ...]:
        return (
            *(Source(kind, key, "atoms") for kind in kinds for key in _REFERENCE[kind]),
            Source(kinds[0], target, "calculator"),
            *(Source(kind, key, "atoms") for kind in kinds for key in _ALIASES[kind]),
        )

    return MappingProxyType({target: order(target, kinds) for target, kinds in _KINDS.items()})


@cache
def _default_weights() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: (name, f"config_{name}") for name in WEIGHTS})


@dataclass(frozen=True)
class Search:
    """Where labels and weights are looked for, and in which units they are.

    Attributes:
        sources: per target, the places in order.
        weights: per weight, the keys of `atoms.info` in order.
        units: the units that the user declared.
        given: quantities whose keys the user gave.
    """

    sources: Mapping[Target, tuple[Source, ...]] = field(default_factory=_default_sources)
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=_default_weights)
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    given: tuple[str, ...] = ()


def search_for(keys: Keys | None = None, units: Mapping[str, str] | None = None) -> Search:
    """The search that follows from the user's keys and units, both checked.

    Args:
        keys: quantity (`energy`, `forces`, `stress`, `virial`) or weight (`weight`, `energy_weight`, ...) -> key or
            keys; a target with a given key is searched nowhere else.
        units: quantity (also `length`) -> unit.

    Raises:
        DataError: an unknown quantity (with the nearest known one) or unit.
    """
    for what, asked in (("keys", keys), ("units", units)):
        if asked is not None and not isinstance(asked, Mapping):
            raise DataError(f"{what} is {asked!r}; give a mapping, for instance {what}={{'energy': ...}}")
    given = {name: (key,) if isinstance(key, str) else tuple(key) for name, key in (keys or {}).items()}
    _check_names("keys", given, (*_ALIASES, *WEIGHTS))
    _check_names("units", units or {}, tuple(INTERNAL))
    for quantity, unit in (units or {}).items():
        factor(unit, quantity)  # type: ignore[arg-type]  # checked above; refuses unknown units before any file is read
    default = Search()
    chosen = {
        target: tuple(Source(kind, key, "any") for kind in kinds for key in given.get(kind, ()))
        for target, kinds in _KINDS.items()
    }
    return Search(
        sources={target: chosen[target] or default.sources[target] for target in TARGETS},
        weights={name: given.get(name, names) for name, names in default.weights.items()},
        units=dict(units or {}),
        given=tuple(given),
    )


class StructureLabels(NamedTuple):
    """What one structure is labelled with, in eV and Angstrom.

    Attributes:
        energy: eV, NaN where missing.
        forces: (N, 3) eV/A, NaN where an atom or component has no label; None where missing altogether.
        stress: (3, 3) eV/A^3, +(1/V) dE/dstrain, symmetric; None where missing.
        weights: weight, energy_weight, forces_weight, stress_weight; 1 where not given.
        found: every source that is present, per target in search order.
        units: the unit that each target was read in.
    """

    energy: float
    forces: NDArray[np.float64] | None
    stress: NDArray[np.float64] | None
    weights: tuple[float, ...]
    found: Mapping[Target, tuple[Source, ...]]
    units: Mapping[Target, str]

    def has(self, target: Target) -> bool:
        """Whether the target carries at least one number."""
        value = getattr(self, target)
        return value is not None and bool(np.isfinite(value).any())


def structure_labels(atoms: Atoms, search: Search | None = None, where: str = "the structure") -> StructureLabels:
    """Find, check and convert the labels of one structure, which is left as it is.

    Args:
        atoms: the structure, positions in Angstrom.
        search: where to look and in which units; a quantity without a declared unit is in that of
            `atoms.info["energy_unit"]` (and so on) where the file has it, else in eV and Angstrom.
        where: how messages name the structure.

    Raises:
        DataError: a label that is no number, of the wrong shape, infinite or absurdly large, a stress that is not
            symmetric, stress and virial that contradict each other, or a weight below zero.

    Example:
        >>> atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)], info={"dft_energy": -0.5})
        >>> structure_labels(atoms, search_for(units={"energy": "Hartree"})).energy
        -13.605...
    """
    search = search or Search()
    results = fresh_results(atoms)
    found: dict[Target, tuple[Source, ...]] = {t: _present(atoms, results, search, t) for t in TARGETS}
    units: dict[Target, str] = {}
    values: dict[Target, NDArray[np.float64]] = {}
    for target, present in found.items():
        if present:
            values[target], units[target] = _read(atoms, results, search, present, where)
    energy, forces, stress = (values.get(target) for target in TARGETS)
    return StructureLabels(
        energy=float("nan") if energy is None else float(energy),
        forces=None if forces is None or np.isnan(forces).all() else forces,
        stress=None if stress is None or np.isnan(stress).all() else stress,
        weights=tuple(_weight(atoms, name, keys, where) for name, keys in search.weights.items()),
        found=found,
        units=units,
    )


def fresh_results(atoms: Atoms) -> Mapping[str, Any]:
    """Results of the attached calculator, or nothing where the structure has changed since they were computed.

    Args:
        atoms: a structure with or without a calculator; nothing is computed.
    """
    results = getattr(atoms.calc, "results", None)
    if not results:
        return {}
    computed_for = getattr(atoms.calc, "atoms", None)
    return results if computed_for is None or _same_structure(atoms, computed_for) else {}


def _same_structure(a: Atoms, b: Atoms) -> bool:
    pairs = ((a.numbers, b.numbers), (a.positions, b.positions), (a.cell.array, b.cell.array), (a.pbc, b.pbc))
    return all(np.array_equal(x, y) for x, y in pairs)


def _check_names(what: str, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"{what}: unknown quantity {name!r}{hint}; allowed are {', '.join(allowed)}")


def _present(atoms: Atoms, results: Mapping[str, Any], search: Search, target: Target) -> tuple[Source, ...]:
    if target == "stress" and not atoms.pbc.all():
        return ()  # without a three-dimensional cell there is no volume and no stress
    return tuple(source for source in search.sources[target] if _fetch(atoms, results, source) is not None)


def _fetch(atoms: Atoms, results: Mapping[str, Any], source: Source) -> Any:
    """The raw value of a source, None where it is absent."""
    if source.where != "calculator":
        first, second = (atoms.arrays, atoms.info) if source.kind == "forces" else (atoms.info, atoms.arrays)
        value = first.get(source.key, second.get(source.key))
        if value is not None:
            return value
    return None if source.where == "atoms" else results.get(source.key)


def _read(
    atoms: Atoms, results: Mapping[str, Any], search: Search, present: Sequence[Source], where: str
) -> tuple[NDArray[np.float64], str]:
    """The label of a target from its first source, and its unit; a second kind (virial) is read to be compared."""
    leaders: dict[Kind, Source] = {}
    for source in present:
        leaders.setdefault(source.kind, source)
    units = {kind: _unit(atoms, kind, search.units, where) for kind in leaders}
    values = [
        convert(_fetch(atoms, results, source), kind, units[kind], atoms, f"{where}: {source.name}")
        for kind, source in leaders.items()
    ]
    if len(values) == 2:
        check_agreement(values[0], values[1], where)
    return values[0], units[present[0].kind]


def _unit(atoms: Atoms, kind: Kind, units: Mapping[str, str], where: str) -> str:
    """Unit of a kind: the user's, the file's own, or eV and Angstrom; refused where only another was declared."""
    stated = units.get(kind) or atoms.info.get(f"{kind}_unit") or atoms.info.get(f"{kind}_units")
    if stated:
        return str(stated)
    if kind == "virial" and "energy" in units:
        return units["energy"]
    foreign = [f"{name} in {unit}" for name, unit in units.items() if factor(unit, name) != 1.0]  # type: ignore[arg-type]  # as above
    if foreign:
        raise DataError(
            f"{where}: {' and '.join(foreign)} was declared, but no unit for {kind}, which is present; "
            f"declare it too, for example units={{'{kind}': '{INTERNAL[kind]}'}}"
        )
    return INTERNAL[kind]


def _weight(atoms: Atoms, name: str, keys: Sequence[str], where: str) -> float:
    """A weight of the structure, 1 where not given."""
    raw = next((atoms.info[key] for key in keys if key in atoms.info), 1.0)
    try:
        value = float(raw)
    except (TypeError, ValueError):
        value = -1.0
    if not 0.0 <= value < float("inf"):
        shown = raw.item() if isinstance(raw, np.generic) else raw
        raise DataError(f"{where}: {name} is {shown!r}; a weight is a finite number >= 0")
    return value
