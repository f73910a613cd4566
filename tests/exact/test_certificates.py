"""Certificates prove what they say, and notice any change of any number in them."""

import json
import time
from dataclasses import fields, is_dataclass, replace
from functools import cache

import pytest

from invarion.exceptions import CertificateError
from invarion.invariants import InvariantBasis, certify, flexible_basis, optimal_basis, published_basis
from invarion.invariants.fields import PRIMES


@cache
def cases() -> dict[str, InvariantBasis]:
    return {
        "optimal": optimal_basis(max_rank=3, max_degree=4),
        "published": published_basis(3, 4),
        "incomplete": optimal_basis(max_rank=3, max_degree=3),
        "odd": optimal_basis(max_rank=3, max_degree=4, parity="both"),
        "flexible": flexible_basis(max_rank=3),
        "vector": optimal_basis(max_rank=1),
        "channels": optimal_basis(max_rank=2, max_degree=3, channels=2),
    }


def mutations(value):
    """Values near this one, every leaf of it changed in turn, every tuple shortened and lengthened."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, -value - 1)
    elif isinstance(value, str):
        yield value + "."
    elif value is None:
        yield (0, 1, 2)
    elif is_dataclass(value):
        for field in fields(value):
            for other in mutations(getattr(value, field.name)):
                yield replace(value, **{field.name: other})
    else:
        if value:
            yield value[:-1]
        yield (*value, value[-1] if value else 0)
        for i, entry in enumerate(value):
            for other in mutations(entry):
                yield (*value[:i], other, *value[i + 1 :])


@pytest.mark.parametrize("kind", ["optimal", "published", "incomplete", "odd", "flexible", "vector", "channels"])
def test_a_true_certificate_holds(kind):
    assert cases()[kind].certificate.check() is True


@pytest.mark.parametrize("kind", ["optimal", "incomplete", "odd", "vector", "channels"])
def test_any_change_is_noticed(kind):
    certificate = cases()[kind].certificate
    changed = 0
    for field in fields(certificate):
        for value in mutations(getattr(certificate, field.name)):
            with pytest.raises(CertificateError):
                replace(certificate, **{field.name: value}).check()
            changed += 1
    assert changed > 50


@pytest.mark.parametrize("field", ["strata", "claims", "rank", "prime"])
def test_changes_of_a_certificate_of_many_strata_are_noticed(field):
    certificate = cases()["flexible"].certificate
    for number, value in enumerate(mutations(getattr(certificate, field))):
        if number % 7 == 0:
            with pytest.raises(CertificateError):
                replace(certificate, **{field: value}).check()


def test_a_point_where_the_minor_vanishes_proves_nothing():
    certificate = cases()["optimal"].certificate
    with pytest.raises(CertificateError, match="from scratch"):
        replace(certificate, point=(0,) * 16).check()


def test_a_smaller_prime_proves_less_and_is_refused():
    certificate = cases()["optimal"].certificate
    for prime in (7, 2**31 - 1, PRIMES[0] - 2):
        with pytest.raises(CertificateError, match="not a prime between"):
            replace(certificate, prime=prime).check()


def test_dependent_invariants_cannot_be_certified_as_independent():
    basis = cases()["optimal"]
    doubled = (*basis.invariants, *flexible_basis(max_rank=3).invariants)
    proof = certify(basis.ranks, doubled)
    assert (proof.independent, proof.complete, proof.rank) == (False, True, 13)
    with pytest.raises(CertificateError, match="independent"):
        replace(proof, independent=True).check()


def test_claims_say_what_rests_on_what():
    complete, incomplete = dict(cases()["optimal"].certificate.claims), dict(cases()["incomplete"].certificate.claims)
    assert "(proof)" in complete["independence"]
    assert "(proof)" in complete["completeness"]
    assert "rests on the random point" in incomplete["completeness"]
    assert "(proof)" in incomplete["independence"]
    assert "odd" in dict(cases()["odd"].certificate.claims)


def test_checking_takes_milliseconds():
    certificate = cases()["optimal"].certificate
    certificate.check()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        certificate.check()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05


@pytest.mark.parametrize("kind", ["optimal", "published", "incomplete", "odd", "flexible", "vector", "channels"])
def test_a_basis_survives_json_and_a_changed_file_is_noticed(kind):
    basis = cases()[kind]
    text = basis.to_json()
    again = InvariantBasis.from_json(text)
    assert again == basis
    assert again.certificate.check()
    data = json.loads(text)
    data["certificate"]["strata"][0]["determinant"] += 1
    with pytest.raises(CertificateError, match="determinant"):
        InvariantBasis.from_json(json.dumps(data)).certificate.check()


def test_a_certificate_with_missing_or_unknown_fields_is_refused():
    data = json.loads(cases()["optimal"].to_json())
    for change in ({"prime": None}, {"strata": [{"slots": [0]}]}, {"surprise": 1}):
        broken = {**data, "certificate": {**data["certificate"], **change}}
        with pytest.raises(CertificateError):
            InvariantBasis.from_json(json.dumps(broken)).certificate.check()
