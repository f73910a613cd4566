"""AceBasis: the functions that describe each element's atoms, full or reduced, with stable names and certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from invarion.exceptions import BasisError, CertificateError
from invarion.models.ace.certificate import AceCertificate
from invarion.models.ace.enumeration import Coupled, Slot

_FORMAT = 1


@dataclass(frozen=True)
class AceBasis:
    """The invariant functions of A-basis values that describe the atoms of each element.

    Attributes:
        species: atomic numbers, ascending; slots of functions count neighbours' elements in this order.
        functions: for each element of the central atom, its functions.
        kind: "full" (linearly independent), "reduced" (functionally independent) or "chosen".
        certificates: one per element where functional independence was proved; empty otherwise.

    Raises:
        BasisError: functions that are not listed once per element.
    """

    species: tuple[int, ...]
    functions: tuple[tuple[Coupled, ...], ...]
    kind: str = "chosen"
    certificates: tuple[AceCertificate, ...] = ()

    def __post_init__(self) -> None:
        if len(self.functions) != len(self.species):
            got = f"{len(self.functions)} lists of functions for {len(self.species)} elements"
            raise BasisError(f"{got}; give one list per element")
        if not all(self.functions):
            raise BasisError("an element has no functions; give at least one per element")

    def __len__(self) -> int:
        """Number of functions over all elements."""
        return sum(map(len, self.functions))

    @property
    def max_rank(self) -> int:
        """Largest rank of any slot."""
        return max(slot.rank for functions in self.functions for f in functions for slot in f.slots)

    @property
    def max_degree(self) -> int:
        """Largest number of A-basis values multiplied."""
        return max(f.degree for functions in self.functions for f in functions)

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """A stable name per function: central element, every slot's element, n and l, then the inner rank."""
        from ase.data import chemical_symbols

        symbols = [chemical_symbols[z] for z in self.species]
        return tuple(
            tuple(_name(symbols[center], symbols, f) for f in functions)
            for center, functions in enumerate(self.functions)
        )

    def check(self) -> bool:
        """Verify every certificate from scratch.

        Raises:
            CertificateError: a certificate does not hold, or there is none.
        """
        if not self.certificates:
            raise CertificateError(f"a {self.kind} ACE basis carries no certificate; reduce it first")
        return all(c.check(functions) for c, functions in zip(self.certificates, self.functions, strict=True))

    def degrees(self, element: int = 0) -> tuple[int, ...]:
        """How many functions of degree 1, 2, ... describe an element's atoms."""
        counts = [0] * self.max_degree
        for f in self.functions[element]:
            counts[f.degree - 1] += 1
        return tuple(counts)

    def choose(self, indices: Sequence[Sequence[int]], kind: str = "chosen") -> "AceBasis":
        """The basis of some of the functions.

        Args:
            indices: for each element, places in its list of functions.
            kind: what the choice is called.
        """
        chosen = tuple(tuple(fs[i] for i in kept) for fs, kept in zip(self.functions, indices, strict=True))
        return AceBasis(self.species, chosen, kind)

    def to_data(self) -> dict[str, Any]:
        """The basis as plain lists and numbers, for YAML and JSON."""
        functions = [[[*(list(s) for s in f.slots), f.inner] for f in fs] for fs in self.functions]
        proofs = [certificate.to_data() for certificate in self.certificates]
        data = {"format": _FORMAT, "kind": self.kind, "species": list(self.species), "functions": functions}
        return data | {"certificates": proofs}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "AceBasis":
        """The basis that `to_data` wrote.

        Raises:
            BasisError: another format, or data that are no basis.
        """
        if data.get("format") != _FORMAT:
            raise BasisError(f"this basis has format {data.get('format')!r}; this version reads format {_FORMAT}")
        try:
            functions = tuple(
                tuple(Coupled(tuple(Slot(*slot) for slot in row[:-1]), row[-1]) for row in rows)
                for rows in data["functions"]
            )
            proofs = tuple(AceCertificate.from_data(proof) for proof in data.get("certificates", ()))
            return cls(tuple(data["species"]), functions, data["kind"], proofs)
        except (KeyError, TypeError, IndexError) as error:
            raise BasisError(f"not an ACE basis: {error}") from error


def _name(center: str, symbols: Sequence[str], function: Coupled) -> str:
    slots = "".join(f"({symbols[slot.species]} n={slot.n} l={slot.rank})" for slot in function.slots)
    return f"{center}: {slots}" + (f" L={function.inner}" if function.degree == 4 else "")
