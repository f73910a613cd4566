"""The table of degenerate pairs: which kinds of basis tell which pairs of different structures apart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from invarion.engines.sklearn import InvariantDescriptor
from invarion.evaluation.degenerate import PairResult, tell_pairs_apart
from invarion.exceptions import ConfigError, DataError
from invarion.invariants import (
    InvariantBasis,
    flexible_basis,
    optimal_basis,
    published_basis,
    separating_basis,
)

if TYPE_CHECKING:
    from ase import Atoms

IN_EACH_CHANNEL: Mapping[str, Callable[[], InvariantBasis]] = MappingProxyType(
    {
        "published": lambda: published_basis(max_rank=3, max_degree=4),
        "flexible": lambda: flexible_basis(max_rank=3),
        "separating": lambda: separating_basis(max_rank=3),
        "odd": lambda: optimal_basis(max_rank=3, max_degree=4, parity="both"),
    }
)
"""Bases of ranks 0 to 3 that are taken of every channel by itself; "odd" is the optimal one with its odd member."""

OF_ALL_CHANNELS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "full2": {"basis": "full", "max_degree": 2},
        "full3": {"basis": "full", "max_degree": 3},
        "optimal": {"basis": "optimal"},
        "channelwise": {"basis": "channelwise"},
    }
)
"""Bases of all channels together, as arguments of the descriptor; "full2" is all contractions up to degree 2."""

KINDS = (*OF_ALL_CHANNELS, *IN_EACH_CHANNEL)


class Setting(NamedTuple):
    """What describes the structures of one column of the table."""

    kind: str
    n_radial: int
    cutoff: float


def pair_table(
    structures: "Sequence[Atoms]", kinds: Iterable[str], n_radial: Iterable[int], cutoffs: Iterable[float]
) -> dict[Setting, list[PairResult]]:
    """How each kind of basis, with each number of radial functions and cutoff, sees each pair.

    Args:
        structures: pairs, two structures of the same `info["pair"]`; see `tell_pairs_apart`.
        kinds: of `KINDS`.
        n_radial: numbers of radial functions per element.
        cutoffs: Angstrom.

    Returns:
        By setting one result per pair, in order of the pairs' names.

    Raises:
        ConfigError: an unknown kind, or a number out of range.
        DataError: structures that do not come in pairs.
    """
    pairs = _pairs(structures)
    return {
        Setting(*setting): [_judge(members, Setting(*setting)) for members in pairs]
        for setting in product(kinds, n_radial, cutoffs)
    }


def _pairs(structures: "Sequence[Atoms]") -> "list[list[Atoms]]":
    found: dict[str, list[Atoms]] = {}
    for atoms in structures:
        if "pair" not in atoms.info:
            raise DataError("a structure has no info['pair']; give both structures of a pair the same name there")
        found.setdefault(str(atoms.info["pair"]), []).append(atoms)
    return [members for _, members in sorted(found.items())]


def _judge(members: "list[Atoms]", setting: Setting) -> PairResult:
    """One pair by one setting; the descriptor knows the elements of this pair alone."""
    if setting.kind not in KINDS:
        raise ConfigError(f"kind is {setting.kind!r}; allowed are {', '.join(KINDS)}")
    alone = IN_EACH_CHANNEL.get(setting.kind)
    options: Mapping[str, Any] = OF_ALL_CHANNELS[setting.kind] if alone is None else {"basis": alone()}
    descriptor = InvariantDescriptor(cutoff=setting.cutoff, n_radial=setting.n_radial, **options)
    (result,) = tell_pairs_apart(members, descriptor.fit(members).transform)
    return result
