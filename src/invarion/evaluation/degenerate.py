"""Which pairs of different structures a descriptor tells apart, and by how much more than rounding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from invarion.exceptions import DataError

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]
Describe = Callable[["Sequence[Atoms]"], Floats]

_COPIES = 8
_CLEAR = 1000.0  # times the noise
_WHOLE = "distance graph"  # a note with these words compares structures, others atom 0


@dataclass(frozen=True)
class PairResult:
    """How a descriptor sees one pair of structures.

    Attributes:
        pair: the pair's name.
        note: what its members have in common.
        difference: difference of the feature that tells most, relative to its size in the pair.
        noise: the same feature's difference between a structure and copies of it that are turned and displaced by no
            more than the coordinates' rounding; at least the rounding of float64.
    """

    pair: str
    note: str
    difference: float
    noise: float

    @property
    def ratio(self) -> float:
        """Difference over noise."""
        return self.difference / self.noise

    @property
    def told_apart(self) -> bool:
        """Whether the difference is clearly more than noise."""
        return self.ratio > _CLEAR


def tell_pairs_apart(
    structures: "Sequence[Atoms]", describe: Describe, precision: float = 5e-9, seed: int = 0
) -> list[PairResult]:
    """Compare the structures that share the same `info["pair"]`, two each.

    Of each structure the features of atom 0 count, or their sum over all atoms where `info["note"]` speaks of a
    distance graph.

    Args:
        structures: any number of pairs.
        describe: features per atom: list of structures -> (atoms of all structures, columns).
        precision: Angstrom by which copies are displaced: half a unit of the last digit of the coordinates.
        seed: of rotations and displacements.

    Returns:
        One result per pair, in order.

    Raises:
        DataError: a name that not exactly two structures carry.
    """
    rng = np.random.default_rng(seed)
    pairs: dict[str, list[Atoms]] = {}
    for atoms in structures:
        pairs.setdefault(str(atoms.info.get("pair")), []).append(atoms)
    wrong = [f"{name!r} ({len(members)})" for name, members in pairs.items() if len(members) != 2]
    if wrong:
        raise DataError(f"exactly two structures must share each info['pair']; found {', '.join(wrong)}")
    return [_compare(name, members, describe, precision, rng) for name, members in pairs.items()]


def _compare(
    name: str, members: "Sequence[Atoms]", describe: Describe, precision: float, rng: np.random.Generator
) -> PairResult:
    note = str(members[0].info.get("note", ""))
    copies = [_disturbed(atoms, precision, rng) for atoms in members for _ in range(_COPIES)]
    rows = _rows([*members, *copies], describe, whole=_WHOLE in note)
    size = np.abs(rows[:2]).max(axis=0)
    noise = np.abs(rows[2:].reshape(2, _COPIES, -1) - rows[:2, None]).max(axis=(0, 1)) + np.finfo(float).eps * size
    difference = np.abs(rows[0] - rows[1])
    best = int(np.argmax(np.divide(difference, noise, out=np.zeros_like(noise), where=noise > 0)))
    if size[best] == 0:
        return PairResult(name, note, 0.0, float(np.finfo(float).eps))
    return PairResult(name, note, float(difference[best] / size[best]), float(noise[best] / size[best]))


def _rows(structures: "Sequence[Atoms]", describe: Describe, whole: bool) -> Floats:
    """One row per structure."""
    ends = np.cumsum([len(atoms) for atoms in structures])
    blocks = np.split(describe(structures), ends[:-1])
    return np.array([block.sum(axis=0) if whole else block[0] for block in blocks])


def _disturbed(atoms: "Atoms", precision: float, rng: np.random.Generator) -> "Atoms":
    """A copy turned about its first atom, every coordinate displaced by up to the precision."""
    copy = atoms.copy()
    turn = Rotation.random(rng=rng).as_matrix()
    shaken = atoms.positions + rng.uniform(-precision, precision, atoms.positions.shape)
    copy.positions = (shaken - atoms.positions[0]) @ turn.T + atoms.positions[0]
    return copy
