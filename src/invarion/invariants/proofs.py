"""Proofs about invariants on a stratum: non-zero minors of the Jacobian and of the rotation tangents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invarion.geometry.harmonics import component_slices
from invarion.invariants.contractions import Contraction
from invarion.invariants.fields import PrimeField
from invarion.invariants.gradients import jacobian, values
from invarion.invariants.independence import minor, rotation_tangents


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


def measure(
    ranks: Sequence[int], invariants: Sequence[Contraction], point: np.ndarray, field: PrimeField
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Jacobian of the even invariants, rotation tangents, and values of the odd invariants at the point."""
    even = [c for c in invariants if not c.epsilon]
    odd = [c for c in invariants if c.epsilon]
    rows = jacobian(even, ranks, point[None], field)[0]
    signs = values(odd, ranks, point[None], field)[0]
    return rows, rotation_tangents(ranks, point, field), tuple(int(v) for v in signs)


def prove_stratum(
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


def state_claims(
    dimension: int, strata: tuple[StratumProof, ...], independent: bool, odd: tuple[int, ...]
) -> tuple[tuple[str, str], ...]:
    """Each claim and what it rests on."""
    k, r = strata[0].rank, strata[0].orbit_dimension
    closed = k + r == dimension
    lines = {
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
        lines["dependence"] = "members beyond the rank depend on the others" + (
            ": no more can be independent (proof)" if closed else " at the random point"
        )
    if len(strata) > 1:
        lines["strata"] = f"{len(strata) - 1} smaller strata, each with minors of its own (proof)"
    if odd:
        lines["odd"] = f"{len(odd)} odd invariants are non-zero at the point, hence not identically zero (proof)"
    return tuple(lines.items())
