"""InvariantBasis: a set of rotation invariants, the tensors they act on, and what is proved about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invarion.exceptions import BasisError, InvarionError
from invarion.invariants.certificate import Certificate
from invarion.invariants.contractions import Contraction, contraction_data, read_contraction

_FORMAT = 1


@dataclass(frozen=True)
class Search:
    """How a set was selected, and how sure it is that no cheaper candidate was left out.

    Attributes:
        cost: name of the cost that was made small.
        n_candidates: contractions offered.
        n_trials: random points (each modulo its own prime) at which every rejected candidate was dependent.
        error_bound: largest chance that any rejection was wrong (Schwartz-Zippel, summed over the unproved ones).
        sufficient_degree: least degree that gives a complete set where this one is not; None if not needed or too far.
        least_odd_degree: least degree of invariants that change sign under reflection; None when not looked for.
        n_targets: of a separating set, random environments for which no partner was found at last.
        n_starts: searches for partners of each of them.
        miss_bound: upper 95 % limit of the share of searches that would end at a partner not found.
        n_unproved: rejections that rest on random points; the others follow from a count of dimensions (proof).
    """

    cost: str
    n_candidates: int
    n_trials: int
    error_bound: float
    sufficient_degree: int | None = None
    least_odd_degree: int | None = None
    n_targets: int | None = None
    n_starts: int | None = None
    miss_bound: float | None = None
    n_unproved: int | None = None


@dataclass(frozen=True)
class InvariantBasis:
    """Rotation invariants of one or several symmetric traceless tensors.

    Attributes:
        ranks: rank of every tensor, in the order of their packed components; with several channels 0..L repeated.
        channels: number of channels N.
        kind: 'optimal', 'published', 'flexible', 'separating' or 'custom'.
        parity: 'even', or 'both' when invariants that change sign under reflection are appended.
        max_degree: largest degree that was searched.
        invariants: the contractions, even ones first.
        costs: cost of each invariant under the cost of the search.
        certificate: what is proved.
        search: how the set was found; None for tables.
    """

    ranks: tuple[int, ...]
    channels: int
    kind: str
    parity: str
    max_degree: int
    invariants: tuple[Contraction, ...]
    costs: tuple[float, ...]
    certificate: Certificate
    search: Search | None = None

    def __len__(self) -> int:
        """Number of invariants B."""
        return len(self.invariants)

    @property
    def max_rank(self) -> int:
        """Largest tensor rank L."""
        return max(self.ranks)

    @property
    def dimension(self) -> int:
        """Number of tensor components, all channels together."""
        return sum(2 * rank + 1 for rank in self.ranks)

    @property
    def names(self) -> tuple[str, ...]:
        """Stable names of the invariants."""
        return tuple(c.name(self.ranks) for c in self.invariants)

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree of each invariant."""
        return tuple(c.degree for c in self.invariants)

    @property
    def n_odd(self) -> int:
        """Number of invariants that change sign under reflection."""
        return sum(1 for c in self.invariants if c.epsilon)

    @property
    def complete(self) -> bool:
        """Whether as many members are independent as can be: rank = dimension - orbit dimension."""
        return self.certificate.complete

    @property
    def message(self) -> str:
        """What is missing and what to do about it; empty when nothing is."""
        proof, search = self.certificate, self.search
        lines = []
        if not proof.complete:
            enough = search.sufficient_degree if search else None
            advice = f"max_degree={enough} suffices" if enough else "raise max_degree"
            lines.append(
                f"not complete: {proof.rank} of {proof.dimension - proof.orbit_dimension} independent; {advice}"
            )
        if self.parity == "both" and not self.n_odd:
            least = search.least_odd_degree if search else None
            advice = f"max_degree={least} brings one" if least else "none is known to exist"
            lines.append(f"no invariant tells mirror images apart; {advice}")
        return "\n".join(lines)

    def evaluate(self, tensors: Any) -> Any:
        """Values of the invariants.

        Args:
            tensors: (..., M) packed components as numpy array or torch tensor; with several channels (..., N, M).

        Returns:
            (..., B) of the same kind and dtype; of numpy's whole numbers and of lists, float64.

        Raises:
            BasisError: the last axes do not fit the basis.

        Example:
            >>> import numpy as np
            >>> from invarion.invariants import published_basis
            >>> published_basis(max_rank=1, max_degree=2).evaluate(np.array([2.0, 0.0, 3.0, 4.0])).tolist()
            [2.0, 25.0]
        """
        from invarion.invariants.evaluation import evaluate

        return evaluate(self, self.flatten(tensors))

    def flatten(self, tensors: Any) -> Any:
        """(..., M) of one channel as it is, (..., N, M) of several as (..., N M)."""
        wanted = (self.dimension,) if self.channels == 1 else (self.channels, self.dimension // self.channels)
        if not hasattr(tensors, "shape") or getattr(tensors.dtype, "kind", "f") in "biu":
            tensors = _floats(tensors)
        shape = tuple(tensors.shape)
        if shape[len(shape) - len(wanted) :] != wanted:
            raise BasisError(f"tensors have shape {shape}; this basis needs (..., {', '.join(map(str, wanted))})")
        return tensors.reshape((*shape[: len(shape) - len(wanted)], self.dimension))

    def strata(self) -> list[tuple[tuple[int, ...], int, int]]:
        """Ranks of this set on every stratum where only some tensors are non-zero (scalars never count as vanishing).

        Returns:
            (ranks of the non-zero tensors, needed = dimension - orbit dimension, have), from small strata to large.

        Raises:
            BasisError: more than 12 tensors, whose strata are too many to list.
        """
        from invarion.invariants.strata import rank_on_strata

        return rank_on_strata(self.ranks, self.invariants)

    def draw(self, *args: Any, **options: Any) -> Any:
        """A figure of the contraction graphs; see `invarion.invariants.drawing.draw`."""
        from invarion.invariants.drawing import draw

        return draw(self, *args, **options)

    def summary(self) -> dict[str, Any]:
        """Plain data for tables and for `invarion basis --json`."""
        proof = self.certificate
        members = [
            {
                "name": c.name(self.ranks),
                "einsum": c.einsum(self.ranks),
                "degree": c.degree,
                "parity": c.parity,
                "cost": k,
            }
            for c, k in zip(self.invariants, self.costs, strict=True)
        ]
        search = {} if self.search is None else {"search": vars(self.search)}
        return {
            "max_rank": self.max_rank,
            "max_degree": self.max_degree,
            "channels": self.channels,
            "kind": self.kind,
            "parity": self.parity,
            "n_invariants": len(self),
            "n_odd": self.n_odd,
            "dimension": proof.dimension,
            "orbit_dimension": proof.orbit_dimension,
            "rank": proof.rank,
            "independent": proof.independent,
            "complete": proof.complete,
            "message": self.message,
            "ranks": list(self.ranks),
            "certificate": proof.to_dict(),
            "invariants": members,
            **search,
        }

    def to_json(self) -> str:
        """The whole basis as JSON text; `from_json` reads it back to an equal value."""
        data = {
            "format": _FORMAT,
            "ranks": self.ranks,
            "channels": self.channels,
            "kind": self.kind,
            "parity": self.parity,
            "max_degree": self.max_degree,
            "invariants": [contraction_data(c) for c in self.invariants],
            "costs": self.costs,
            "certificate": self.certificate.to_dict(),
            "search": None if self.search is None else vars(self.search),
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> "InvariantBasis":
        """Read a basis; the contractions are validated, the certificate is not (call `certificate.check()`).

        Raises:
            BasisError: not the JSON of a basis, or of a newer format.
        """
        try:
            return _from_data(json.loads(text))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InvarionError):
                raise
            raise BasisError(
                f"this is not the JSON of an invariant basis ({error}); write it with to_json()"
            ) from error


def _from_data(data: Mapping[str, Any]) -> InvariantBasis:
    if data["format"] > _FORMAT:
        raise BasisError(f"the basis has format {data['format']}, this version reads up to {_FORMAT}; update invarion")
    ranks = tuple(int(rank) for rank in data["ranks"])
    invariants = tuple(read_contraction(c) for c in data["invariants"])
    _check(data, ranks, invariants)
    return InvariantBasis(
        ranks,
        data["channels"],
        data["kind"],
        data["parity"],
        data["max_degree"],
        invariants,
        tuple(data["costs"]),
        Certificate.from_dict(data["certificate"], ranks, invariants),
        None if data["search"] is None else Search(**data["search"]),
    )


def _check(data: Mapping[str, Any], ranks: tuple[int, ...], invariants: tuple[Contraction, ...]) -> None:
    """Raises BasisError where the parts of a basis contradict each other."""
    for contraction in invariants:
        contraction.check(ranks)
    channels, degree = data["channels"], data["max_degree"]
    if not (isinstance(channels, int) and channels >= 1 and ranks == ranks[: len(ranks) // channels] * channels):
        raise BasisError(f"channels is {channels!r}, but the ranks {ranks} are not so many equal parts")
    if not (isinstance(degree, int) and degree >= max((c.degree for c in invariants), default=1)):
        raise BasisError(f"max_degree is {degree!r}, but there are invariants of higher degree")
    if not isinstance(data["kind"], str) or data["parity"] not in ("even", "both"):
        raise BasisError(f"kind is {data['kind']!r} and parity {data['parity']!r}; known parities are even and both")
    if len(data["costs"]) != len(invariants):
        raise BasisError(f"{len(invariants)} invariants have {len(data['costs'])} costs")


def _floats(values: Any) -> Any:
    """Numbers as a float64 array."""
    import numpy as np

    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BasisError(f"tensors are {values!r:.60}, no array of numbers ({error})") from error
