"""Certificate: proofs that invariants are independent and complete, which anyone can check again in milliseconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from invarion.exceptions import CertificateError
from invarion.geometry.harmonics import component_slices
from invarion.invariants.contractions import Contraction
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.gradients import jacobian, values
from invarion.invariants.independence import determinant, minor, rotation_tangents


@dataclass(frozen=True)
class StratumProof:
    """Two non-zero minors on the stratum where only some tensors are non-zero.

    Attributes:
        slots: the tensors that are not zero.
        rows: invariants of the Jacobian's minor; all their tensors are in the stratum.
        columns: components (of all M) of the minor.
        determinant: its value modulo the prime.
        orbit_rows: axes (0, 1, 2 for x, y, z) of the minor of the rotation tangents.
        orbit_columns: its components.
        orbit_determinant: its value modulo the prime.
    """

    slots: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    determinant: int
    orbit_rows: tuple[int, ...]
    orbit_columns: tuple[int, ...]
    orbit_determinant: int

    @property
    def rank(self) -> int:
        """Independent invariants proved on this stratum."""
        return len(self.rows)

    @property
    def orbit_dimension(self) -> int:
        """Dimension of a generic orbit of this stratum, proved from below."""
        return len(self.orbit_rows)


@dataclass(frozen=True)
class Certificate:
    """What is proved about a set of invariants, and the numbers that prove it.

    A minor of the Jacobian that is non-zero modulo a prime at an integer point (in integer harmonic coordinates) is
    non-zero over the rationals, so its invariants are independent. Rotations leave invariants unchanged, so rank and
    orbit dimension together never exceed the dimension: where the proved ones add up to it, both are exact and every
    further invariant is algebraic over these.

    Attributes:
        ranks: rank of every tensor.
        invariants: all invariants, even ones first.
        prime: the modulus.
        point: (M,) integer harmonic coordinates.
        dimension: M, the number of tensor components.
        orbit_dimension: dimension of a generic orbit.
        rank: number of independent invariants.
        independent: whether no even invariant is a function of the others.
        complete: whether rank = dimension - orbit_dimension.
        strata: proofs; the first is for the stratum where no tensor vanishes.
        odd_values: values of the odd invariants at the point: non-zero, so none vanishes identically.
        claims: each claim and what it rests on.

    References:
        Jacobi's criterion of functional independence; Langbein and Hagen (2009) for its use in pattern recognition.
    """

    ranks: tuple[int, ...]
    invariants: tuple[Contraction, ...]
    prime: int
    point: tuple[int, ...]
    dimension: int
    orbit_dimension: int
    rank: int
    independent: bool
    complete: bool
    strata: tuple[StratumProof, ...]
    odd_values: tuple[int, ...]
    claims: tuple[tuple[str, str], ...]

    def check(self) -> bool:
        """Verify everything again from the contractions, the prime and the point alone.

        Returns:
            True.

        Raises:
            CertificateError: some number or claim does not hold; the message names it.
        """
        try:
            _verify(self)
        except CertificateError:
            raise
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise CertificateError(f"the certificate does not describe a set of invariants: {error}") from error
        return True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without ranks and invariants, which the basis holds."""
        data = asdict(self)
        del data["ranks"], data["invariants"]
        return {**data, "claims": dict(self.claims)}

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], ranks: Sequence[int], invariants: Sequence[Contraction]
    ) -> "Certificate":
        """Inverse of `to_dict`; nothing is checked, call `check`.

        Raises:
            CertificateError: a field is missing, unknown or of the wrong kind.
        """
        try:
            strata = tuple(StratumProof(**{k: _freeze(v) for k, v in proof.items()}) for proof in data["strata"])
            plain = {k: _freeze(v) for k, v in data.items() if k not in ("strata", "claims")}
            claims = tuple((str(k), str(v)) for k, v in data["claims"].items())
            return cls(tuple(ranks), tuple(invariants), strata=strata, claims=claims, **plain)
        except (TypeError, KeyError, AttributeError) as error:
            raise CertificateError(f"the certificate cannot be read ({error}); build the basis again") from error


def certify(
    ranks: Sequence[int],
    invariants: Sequence[Contraction],
    strata: Iterable[Sequence[int]] = (),
    seed: int = 0,
) -> Certificate:
    """Prove rank, orbit dimension and, where they add up, completeness of invariants.

    Args:
        ranks: rank of every tensor.
        invariants: even ones first, then odd ones.
        strata: further sets of non-zero tensors to prove ranks for; that of all tensors is always included.
        seed: of the random integer point.

    Returns:
        The certificate.
    """
    field = PrimeField(PRIMES[0])
    dimension = sum(2 * rank + 1 for rank in ranks)
    point = field.random(np.random.default_rng((seed, dimension)), dimension)
    rows, tangents, odd = _measure(ranks, invariants, point, field)
    whole = tuple(range(len(ranks)))
    sets = [whole, *(tuple(s) for s in strata if tuple(s) != whole)]
    proofs = tuple(_prove_stratum(s, ranks, invariants, rows, tangents, field) for s in sets)
    orbit, rank = proofs[0].orbit_dimension, proofs[0].rank
    complete, independent = rank + orbit == dimension, rank == len(rows)
    claims = _claims(dimension, proofs, independent, odd)
    numbers = tuple(int(x) for x in point)
    return Certificate(
        tuple(ranks), tuple(invariants), field.prime, numbers, dimension, orbit, rank, independent, complete, proofs,
        odd, claims,
    )  # fmt: skip


def _measure(
    ranks: Sequence[int], invariants: Sequence[Contraction], point: np.ndarray, field: PrimeField
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Jacobian of the even invariants, rotation tangents, and values of the odd invariants at the point."""
    even = [c for c in invariants if not c.epsilon]
    odd = [c for c in invariants if c.epsilon]
    rows = jacobian(even, ranks, point[None], field)[0]
    signs = values(odd, ranks, point[None], field)[0]
    return rows, rotation_tangents(ranks, point, field), tuple(int(v) for v in signs)


def _prove_stratum(
    slots: tuple[int, ...],
    ranks: Sequence[int],
    invariants: Sequence[Contraction],
    rows: np.ndarray,
    tangents: np.ndarray,
    field: PrimeField,
) -> StratumProof:
    """Largest minors on one stratum: invariants with a vanishing tensor drop out, so do its components."""
    inside = _surviving(slots, invariants)
    columns = _components(slots, ranks)
    kept, minor_columns, value = minor(rows[np.ix_(inside, columns)], field)
    orbit_rows, orbit_columns, orbit_value = minor(tangents[:, columns], field)
    return StratumProof(
        slots,
        tuple(inside[i] for i in kept),
        tuple(columns[i] for i in minor_columns),
        value,
        orbit_rows,
        tuple(columns[i] for i in orbit_columns),
        orbit_value,
    )


def _surviving(slots: Sequence[int], invariants: Sequence[Contraction]) -> list[int]:
    """Even invariants all of whose tensors are in the stratum, by their number."""
    even = [c for c in invariants if not c.epsilon]
    return [i for i, c in enumerate(even) if set(c.vertices) <= set(slots)]


def _components(slots: Sequence[int], ranks: Sequence[int]) -> list[int]:
    """Components of the tensors in the stratum."""
    slices = component_slices(ranks)
    return [m for s in slots for m in range(slices[s].start, slices[s].stop)]


def _verify(certificate: Certificate) -> None:
    """Everything from scratch; any exception means that something does not hold."""
    field = PrimeField(certificate.prime)
    point = _read_point(certificate, field)
    rows, tangents, odd = _measure(certificate.ranks, certificate.invariants, point, field)
    for proof in certificate.strata:
        _check_stratum(proof, certificate, rows, tangents, field)
    _expect("odd_values", certificate.odd_values, odd)
    if 0 in odd:
        raise CertificateError("an odd invariant is zero at the certificate's point: its sign tells nothing")
    _check_summary(certificate)


def _read_point(certificate: Certificate, field: PrimeField) -> np.ndarray:
    """The point as residues, of the right length."""
    for contraction in certificate.invariants:
        contraction.check(certificate.ranks)
    _expect("dimension", certificate.dimension, sum(2 * rank + 1 for rank in certificate.ranks))
    _expect("number of coordinates of the point", len(certificate.point), certificate.dimension)
    if not all(isinstance(x, int) and 0 <= x < field.prime for x in certificate.point):
        raise CertificateError(f"the point must have integers from 0 to {field.prime - 1}")
    return np.array(certificate.point, dtype=np.int64)


def _check_stratum(
    proof: StratumProof, certificate: Certificate, rows: np.ndarray, tangents: np.ndarray, field: PrimeField
) -> None:
    """The stored minors are those of a stratum, have the stored values, are not zero and are the largest."""
    again = _prove_stratum(proof.slots, certificate.ranks, certificate.invariants, rows, tangents, field)
    _expect(f"minor of stratum {proof.slots}", (proof.rows, proof.columns), (again.rows, again.columns))
    _expect("orbit minor", (proof.orbit_rows, proof.orbit_columns), (again.orbit_rows, again.orbit_columns))
    for kind, value, matrix in (
        ("determinant", proof.determinant, rows[np.ix_(proof.rows, proof.columns)]),
        ("orbit_determinant", proof.orbit_determinant, tangents[np.ix_(proof.orbit_rows, proof.orbit_columns)]),
    ):
        _expect(f"{kind} of stratum {proof.slots}", value, determinant(matrix, field))
        if value == 0:
            raise CertificateError(f"{kind} of stratum {proof.slots} is zero and proves nothing")


def _check_summary(certificate: Certificate) -> None:
    """The summary follows from the first proof."""
    if not certificate.strata or certificate.strata[0].slots != tuple(range(len(certificate.ranks))):
        raise CertificateError("the first stratum of a certificate must be the one where no tensor vanishes")
    whole = certificate.strata[0]
    even = sum(1 for c in certificate.invariants if not c.epsilon)
    independent = whole.rank == even
    _expect("rank", certificate.rank, whole.rank)
    _expect("orbit_dimension", certificate.orbit_dimension, whole.orbit_dimension)
    _expect("independent", certificate.independent, independent)
    complete = whole.rank + whole.orbit_dimension == certificate.dimension
    _expect("complete", certificate.complete, complete)
    claims = _claims(certificate.dimension, certificate.strata, independent, certificate.odd_values)
    _expect("claims", certificate.claims, claims)


def _expect(what: str, stored: Any, found: Any) -> None:
    """One stored value against the one found again; types count, so True is not 1."""
    if stored != found or type(stored) is not type(found):
        raise CertificateError(f"the certificate says {what} is {stored}, but from scratch it is {found}")


def _claims(
    dimension: int, strata: tuple[StratumProof, ...], independent: bool, odd: tuple[int, ...]
) -> tuple[tuple[str, str], ...]:
    """Each claim and what it rests on."""
    k, r = strata[0].rank, strata[0].orbit_dimension
    closed = k + r == dimension
    claims = {
        "independence": f"{k} independent: a {k} x {k} minor of the Jacobian is non-zero modulo the prime at the "
        "integer point, hence over the rationals (proof)",
        "orbit_dimension": f"at least {r}: a minor of the rotation tangents is non-zero (proof); at most {r}: "
        + (
            "the count below closes (proof)"
            if closed
            else "SO(3) has 3 dimensions (proof)"
            if r == 3
            else "random point"
        ),
        "completeness": f"{k} + {r} = {dimension}: every other invariant is algebraic over these (proof)"
        if closed
        else f"not complete: {k} + {r} < {dimension}; that no more than {k} are independent rests on the random point",
    }
    if not independent:
        claims["dependence"] = "members beyond the rank depend on the others" + (
            ": no more can be independent (proof)" if closed else " at the random point"
        )
    if len(strata) > 1:
        claims["strata"] = f"{len(strata) - 1} smaller strata, each with minors of its own (proof)"
    if odd:
        claims["odd"] = f"{len(odd)} odd invariants are non-zero at the point, hence not identically zero (proof)"
    return tuple(claims.items())


def _freeze(value: Any) -> Any:
    """Lists become tuples."""
    return tuple(_freeze(v) for v in value) if isinstance(value, list | tuple) else value
