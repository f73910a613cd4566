"""AceCertificate: proof that ACE functions are functionally independent, checkable in milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from invarion.exceptions import BasisError, CertificateError
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.independence import determinant, minor, orbit_dimension
from invarion.models.ace.enumeration import Coupled
from invarion.models.ace.gradients import gradients_modulo, slot_layout


@dataclass(frozen=True)
class AceCertificate:
    """Proof that functions are independent as functions of the A-basis values, and whether they are complete.

    A minor of the Jacobian that is non-zero modulo a prime at an integer point is non-zero over the rationals, so that
    no function is a function of the others. Rank plus orbit dimension cannot exceed the dimension; where they add up
    to it, every further invariant is algebraic over these.

    Attributes:
        prime: the modulus.
        point: (M,) scaled A-basis values.
        columns: those of the minor; its rows are all functions.
        determinant: of the minor, modulo the prime.
        dimension: M.
        orbit_dimension: of a generic orbit of rotations.
    """

    prime: int
    point: tuple[int, ...]
    columns: tuple[int, ...]
    determinant: int
    dimension: int
    orbit_dimension: int

    @property
    def rank(self) -> int:
        """Number of independent functions proved."""
        return len(self.columns)

    @property
    def complete(self) -> bool:
        """Whether no further function can be independent of these."""
        return self.rank + self.orbit_dimension == self.dimension

    def check(self, functions: Sequence[Coupled]) -> bool:
        """Verify everything again from the functions, the prime and the point alone.

        Returns:
            True.

        Raises:
            CertificateError: some number does not hold; the message names it.
        """
        layout, field = slot_layout(functions), PrimeField(self.prime)
        ranks = [slot.rank for slot in layout]
        _expect("dimension", self.dimension, sum(2 * rank + 1 for rank in ranks))
        _expect("length of the point", len(self.point), self.dimension)
        _expect("orbit_dimension", self.orbit_dimension, orbit_dimension(ranks, field))
        _expect("rank", self.rank, len(functions))
        rows = gradients_modulo(functions, np.array(self.point, dtype=np.int64) % self.prime, field)
        _expect("determinant", self.determinant, determinant(rows[:, list(self.columns)], field))
        if self.determinant == 0:
            raise CertificateError("the minor is zero modulo the prime, so it proves nothing")
        return True

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "AceCertificate":
        """Inverse of `to_data`."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**fields)


def certify_functions(functions: Sequence[Coupled], seed: int = 0) -> AceCertificate:
    """Prove that functions are functionally independent.

    Raises:
        BasisError: some function is a function of the others.
    """
    layout, field = slot_layout(functions), PrimeField(PRIMES[0])
    ranks = [slot.rank for slot in layout]
    dimension = sum(2 * rank + 1 for rank in ranks)
    point = field.random(np.random.default_rng((seed, dimension)), dimension)
    kept, columns, value = minor(gradients_modulo(functions, point, field), field)
    if len(kept) < len(functions):
        raise BasisError(f"only {len(kept)} of {len(functions)} functions are independent; reduce them first")
    return AceCertificate(field.prime, tuple(point.tolist()), columns, value, dimension, orbit_dimension(ranks, field))


def _expect(what: str, stored: Any, found: Any) -> None:
    if stored != found:
        raise CertificateError(f"the certificate says {what} is {stored}, but from scratch it is {found}")
