"""Units: the one place of conversion factors. Inside invarion energies are eV and lengths Angstrom; nothing else is.

A unit is a product of named units, `kcal/mol/A` or `eV/A^3`; the factors are those of `ase.units`, and a unit whose
dimension does not fit its quantity is refused.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from ase import units as ase_units

from invarion.exceptions import DataError

Quantity = Literal["energy", "length", "forces", "stress", "virial"]


class Unit(NamedTuple):
    """A unit as its factor to eV^energy A^length and its powers of energy and length."""

    factor: float
    energy: int = 0
    length: int = 0

    def power(self, exponent: int) -> "Unit":
        """This unit multiplied with itself `exponent` times."""
        return Unit(self.factor**exponent, self.energy * exponent, self.length * exponent)

    def times(self, other: "Unit") -> "Unit":
        """The product of two units."""
        return Unit(self.factor * other.factor, self.energy + other.energy, self.length + other.length)


INTERNAL: Mapping[Quantity, str] = MappingProxyType(
    {"energy": "eV", "length": "A", "forces": "eV/A", "stress": "eV/A^3", "virial": "eV"}
)
"""The units that invarion computes in."""

_DIMENSIONS: Mapping[Quantity, tuple[int, int]] = MappingProxyType(
    {"energy": (1, 0), "length": (0, 1), "forces": (1, -1), "stress": (1, -3), "virial": (1, 0)}
)


def _named_units() -> dict[str, Unit]:
    """Every name that may stand in a unit; factors from ase.units only."""
    u = ase_units
    families = (
        (("eV", "ev"), Unit(u.eV, 1)),
        (("meV",), Unit(1e-3 * u.eV, 1)),
        (("Hartree", "hartree", "Ha", "Eh"), Unit(u.Hartree, 1)),
        (("mHartree", "mHa"), Unit(1e-3 * u.Hartree, 1)),
        (("Rydberg", "rydberg", "Ry"), Unit(u.Rydberg, 1)),
        (("kcal",), Unit(u.kcal, 1)),
        (("kJ",), Unit(u.kJ, 1)),
        (("J",), Unit(u.J, 1)),
        (("mol",), Unit(u.mol)),
        (("A", "Ang", "ang", "Angstrom", "angstrom", "Å"), Unit(u.Angstrom, 0, 1)),
        (("Bohr", "bohr", "a0"), Unit(u.Bohr, 0, 1)),
        (("nm",), Unit(u.nm, 0, 1)),
        (("pm",), Unit(1e-3 * u.nm, 0, 1)),
        (("Pa",), Unit(u.Pascal, 1, -3)),
        (("MPa",), Unit(1e6 * u.Pascal, 1, -3)),
        (("GPa",), Unit(u.GPa, 1, -3)),
        (("bar",), Unit(u.bar, 1, -3)),
        (("kbar",), Unit(1e3 * u.bar, 1, -3)),
        (("Mbar",), Unit(1e6 * u.bar, 1, -3)),
    )
    return {name: unit for names, unit in families for name in names}


_NAMED: Mapping[str, Unit] = MappingProxyType(_named_units())
_KNOWN = "eV meV Hartree mHartree Ry kcal kJ J mol A Bohr nm pm Pa MPa GPa bar kbar Mbar"
_FACTOR = re.compile(r"^(?P<name>[^\W\d_]+0?)(?:(?:\^|\*\*)?(?P<power>[+-]?\d+))?$")


def factor(unit: str, quantity: Quantity) -> float:
    """Number that turns a value in `unit` into invarion's own unit of `quantity` (eV and Angstrom) by multiplication.

    Args:
        unit: product of named units, e.g. `kcal/mol`, `Hartree/Bohr`, `GPa`, `eV/A^3`.
        quantity: `energy`, `length`, `forces`, `stress` or `virial`.

    Returns:
        The factor, > 0, from `ase.units`.

    Raises:
        DataError: the unit is unknown or has another dimension than the quantity.

    Example:
        >>> round(factor("kcal/mol", "energy"), 6)
        0.043364
        >>> round(factor("Hartree/Bohr", "forces"), 4)
        51.4221
        >>> factor("eV/A^3", "stress")
        1.0
    """
    if quantity not in _DIMENSIONS:
        raise DataError(f"units: no quantity {quantity!r}; allowed are {', '.join(get_args(Quantity))}")
    parsed = parse(unit)
    if (parsed.energy, parsed.length) != _DIMENSIONS[quantity]:
        raise DataError(
            f"{unit!r} is not a unit of {quantity}: its dimension is {_dimension(parsed.energy, parsed.length)}, "
            f"needed is {_dimension(*_DIMENSIONS[quantity])}; write for example {_EXAMPLES[quantity]}"
        )
    if parsed.factor > 1e9:
        raise DataError(f"{unit!r} is {parsed.factor:.3g} {INTERNAL[quantity]}, absurd for atoms; is '/mol' missing?")
    return parsed.factor


def parse(unit: str) -> Unit:
    """The unit that a text such as `kcal/mol/A` or `eV/A^3` names.

    Args:
        unit: named units joined by `*` (or a blank) and `/`, each with an optional integer power.

    Raises:
        DataError: a name is unknown.
    """
    plain = unicodedata.normalize("NFKC", str(unit)).replace("\u2212", "-").replace("\u00b7", " ").strip()
    tokens = re.split(r"\s*(/|(?<!\*)\*(?!\*)|\s)\s*", plain)
    total, sign = Unit(1.0), 1
    for token in tokens:
        if token in ("*", "/") or token.isspace():
            sign = -1 if token == "/" else 1
        else:
            total = total.times(_parse_factor(token, unit).power(sign))
    return total


def _parse_factor(token: str, unit: str) -> Unit:
    """One named unit with its power."""
    match = _FACTOR.match(token)
    name = match["name"] if match else token
    if match is None or name not in _NAMED:
        near = difflib.get_close_matches(name, _NAMED, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError(f"unknown unit {name!r} in {unit!r}{hint}; known names: {_KNOWN}")
    return _NAMED[name].power(int(match["power"] or 1))


_EXAMPLES: Mapping[Quantity, str] = MappingProxyType(
    {
        "energy": "'eV', 'Hartree' or 'kcal/mol'",
        "length": "'A', 'Bohr' or 'nm'",
        "forces": "'eV/A', 'Hartree/Bohr' or 'kcal/mol/A'",
        "stress": "'eV/A^3', 'GPa' or 'kbar'",
        "virial": "'eV' or 'kcal/mol'",
    }
)


def _dimension(energy: int, length: int) -> str:
    """A dimension in words."""
    parts = [f"{name}^{power}" for name, power in (("energy", energy), ("length", length)) if power]
    return " ".join(parts) or "a pure number"
