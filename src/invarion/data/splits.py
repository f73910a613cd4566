"""Splits of a list of structures into training, validation and test parts."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from ase import Atoms

from invarion.exceptions import DataError
from invarion.neighbors import place

_PARTS = MappingProxyType(
    {
        "train": 0,
        "training": 0,
        "valid": 1,
        "val": 1,
        "validation": 1,
        "test": 2,
        "testing": 2,
    }
)


class Split(NamedTuple):
    """Three disjoint lists of structures, each in the order of the original list."""

    train: list[Atoms]
    valid: list[Atoms]
    test: list[Atoms]


def split(
    atoms: Sequence[Atoms],
    parts: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    seed: int = 0,
    groups: str | None = None,
    part_key: str | None = None,
) -> Split:
    """Training, validation and test structures: at random, by groups, or as the structures themselves say.

    Args:
        atoms: structures.
        parts: fractions (>= 0, sum <= 1) or whole numbers of structures for training, validation and, if given, test;
            a sum below 1 (or below the number of structures) leaves the rest out. Every part that is not 0 gets at
            least one structure.
        seed: of the shuffling; the same seed gives the same split on every machine.
        groups: key of `atoms.info` whose value keeps structures together (frames of one trajectory, conformers of one
            molecule); sizes are then met as nearly as whole groups allow.
        part_key: key of `atoms.info` that holds "train", "valid" or "test"; parts and seed then have no effect.

    Returns:
        Split(train, valid, test).

    Raises:
        DataError: parts that cannot be met, or a structure without the key.

    Example:
        >>> [len(part) for part in split([Atoms("H")] * 20, (0.8, 0.1, 0.1), seed=0)]
        [16, 2, 2]
    """
    if not atoms:
        raise DataError("there are no structures to split")
    if seed < 0:
        raise DataError(f"seed is {seed}; give 0 or more")
    if part_key is not None:
        return _by_part(atoms, part_key)
    members = _groups(atoms, groups)
    sizes = _sizes(parts, len(atoms), len(members))
    order = np.random.default_rng(seed).permutation(len(members))
    chosen = _fill([members[g] for g in order], sizes)
    return Split(*([atoms[i] for i in sorted(part)] for part in chosen))


def _by_part(atoms: Sequence[Atoms], key: str) -> Split:
    chosen = Split([], [], [])
    for i, structure in enumerate(atoms):
        part = str(_info(structure, key, i)).lower()
        if part not in _PARTS:
            raise DataError(f"{place(structure, i)}: {key} is {part!r}; allowed are {', '.join(_PARTS)}")
        chosen[_PARTS[part]].append(structure)
    return chosen


def _groups(atoms: Sequence[Atoms], key: str | None) -> list[list[int]]:
    """Indices of the structures that stay together, groups in order of first appearance."""
    if key is None:
        return [[i] for i in range(len(atoms))]
    members: dict[str, list[int]] = {}
    for i, structure in enumerate(atoms):
        members.setdefault(str(_info(structure, key, i)), []).append(i)
    return list(members.values())


def _info(structure: Atoms, key: str, index: int) -> object:
    if key not in structure.info:
        present = ", ".join(map(str, structure.info)) or "none"
        raise DataError(f"{place(structure, index)}: has no info key {key!r} to split by; its keys: {present}")
    return structure.info[key]


def check_parts(parts: Sequence[float]) -> bool:
    """Whether parts are numbers of structures, not fractions; refused where they are neither.

    Args:
        parts: two or three sizes.

    Raises:
        DataError: another number of parts, a negative one, none above 0, or fractions that sum to more than 1.
    """
    if not 2 <= len(parts) <= 3:
        raise DataError(f"split: got {len(parts)} parts; give 2 or 3: training, validation and, if wanted, test")
    if not all(np.isfinite(part) and part >= 0 for part in parts) or not sum(parts) > 0:
        raise DataError(f"split: {tuple(parts)}; parts are fractions or numbers of structures, none below 0, not all 0")
    counted = all(float(part).is_integer() for part in parts) and sum(parts) > 1
    if not counted and sum(parts) > 1 + 1e-9:
        raise DataError(f"split: the fractions {tuple(parts)} sum to {sum(parts):.6g}; the sum may not exceed 1")
    return counted


def _sizes(parts: Sequence[float], n_structures: int, n_groups: int) -> list[int]:
    """Number of structures of each of the three parts."""
    counted = check_parts(parts)
    wanted = sum(part > 0 for part in parts)
    if n_groups < wanted or (counted and sum(parts) > n_structures):
        raise DataError(f"split: {tuple(parts)} cannot be met by {n_structures} structures in {n_groups} groups")
    sizes = [int(part) for part in parts] if counted else _rounded(np.asarray(parts, dtype=float) * n_structures)
    return [*sizes, 0][:3]


def _rounded(quota: np.ndarray) -> list[int]:
    """Whole numbers near the quotas with the same (rounded) sum by largest remainder, and none 0 that should not be."""
    sizes = np.floor(quota + 1e-9).astype(int)
    order = np.argsort(-(quota - sizes), kind="stable")
    sizes[order[: round(float(quota.sum())) - sizes.sum()]] += 1
    for part in np.flatnonzero((sizes == 0) & (quota > 0)):
        sizes[np.argmax(sizes)] -= 1
        sizes[part] = 1
    return sizes.tolist()


def _fill(groups: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[list[int]]:
    """Deal whole groups out, largest first, each to the part that lacks most; what no part lacks is left out."""
    chosen: list[list[int]] = [[] for _ in sizes]
    ordered = sorted(groups, key=len, reverse=True)  # stable: groups of one size stay shuffled
    for dealt, group in enumerate(ordered):
        lack = [size - len(part) for size, part in zip(sizes, chosen, strict=True)]
        empty = [size > 0 and not part for size, part in zip(sizes, chosen, strict=True)]
        if len(ordered) - dealt <= sum(empty):  # as many groups left as empty parts: none of these goes without
            lack = [size * is_empty for size, is_empty in zip(sizes, empty, strict=True)]
        part = int(np.argmax(lack))
        if lack[part] > 0:
            chosen[part].extend(group)
    return chosen
