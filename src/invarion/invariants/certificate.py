"""Certificate: proofs that invariants are independent and complete, which anyone can check again in milliseconds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from invarion.exceptions import CertificateError
from invarion.invariants.contractions import Contraction, contraction_data
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.independence import determinant
from invarion.invariants.proofs import StratumProof, measure, prove_stratum, state_claims


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
        digest: SHA-256 of all the rest, for numbers on which no proof depends (a scalar's coordinate, say).

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
    digest: str = ""

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
    rows, tangents, odd = measure(ranks, invariants, point, field)
    whole = tuple(range(len(ranks)))
    sets = [whole, *(tuple(s) for s in strata if tuple(s) != whole)]
    proofs = tuple(prove_stratum(s, ranks, invariants, rows, tangents, field) for s in sets)
    orbit, rank = proofs[0].orbit_dimension, proofs[0].rank
    complete, independent = rank + orbit == dimension, rank == len(rows)
    claims = state_claims(dimension, proofs, independent, odd)
    numbers = tuple(int(x) for x in point)
    bare = Certificate(
        tuple(ranks), tuple(invariants), field.prime, numbers, dimension, orbit, rank, independent, complete, proofs,
        odd, claims,
    )  # fmt: skip
    return replace(bare, digest=_digest(bare))


def _verify(certificate: Certificate) -> None:
    """Everything from scratch; any exception means that something does not hold."""
    field = PrimeField(certificate.prime)
    point = _read_point(certificate, field)
    rows, tangents, odd = measure(certificate.ranks, certificate.invariants, point, field)
    for proof in certificate.strata:
        _check_stratum(proof, certificate, rows, tangents, field)
    _expect("odd_values", certificate.odd_values, odd)
    if 0 in odd:
        raise CertificateError("an odd invariant is zero at the certificate's point: its sign tells nothing")
    _check_summary(certificate)
    _expect("digest", certificate.digest, _digest(certificate))


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
    again = prove_stratum(proof.slots, certificate.ranks, certificate.invariants, rows, tangents, field)
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
    claims = state_claims(certificate.dimension, certificate.strata, independent, certificate.odd_values)
    _expect("claims", certificate.claims, claims)


def _expect(what: str, stored: Any, found: Any) -> None:
    """One stored value against the one found again; types count, so True is not 1."""
    if stored != found or type(stored) is not type(found):
        raise CertificateError(f"the certificate says {what} is {stored}, but from scratch it is {found}")


def _digest(certificate: Certificate) -> str:
    """SHA-256 of everything but the digest, in a form that does not depend on versions of Python."""
    data = certificate.to_dict()
    del data["digest"]
    graphs = [contraction_data(c) for c in certificate.invariants]
    text = json.dumps([list(certificate.ranks), graphs, data], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _freeze(value: Any) -> Any:
    """Lists become tuples."""
    return tuple(_freeze(v) for v in value) if isinstance(value, list | tuple) else value
