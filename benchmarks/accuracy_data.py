"""The benchmarks of `accuracy.py`: which structures are for training, validation and tests; splits are fixed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.io import read

ETHANOL = Path(__file__).parents[1] / "examples" / "ethanol"
ELEMENTS = ("Li", "Mo", "Ni", "Cu", "Si", "Ge")
N_FOLDS = 5


class Data(NamedTuple):
    """Structures with the labels `REF_energy` (eV) and, where known, `REF_forces` (eV/A).

    Attributes:
        train: for training.
        valid: decide which weights are best.
        tests: named sets that no training sees.
    """

    train: list[Atoms]
    valid: list[Atoms]
    tests: dict[str, list[Atoms]]

    def smallest(self) -> "Data":
        """A few structures of each set, for smoke tests."""
        return Data(self.train[:12], self.valid[:4], {name: frames[:4] for name, frames in self.tests.items()})


@dataclass(frozen=True)
class Benchmark:
    """One question: how accurate after a given time on this data?

    Attributes:
        load: the data in a folder; None stands for what the repository ships.
        family: benchmarks of one family differ in the number of training structures only.
        cutoff: Angstrom, the same for every contestant.
        unit: of energies in tables, that of the literature: "kcal/mol" of a structure or "meV/atom".
    """

    load: Callable[[Path | None], Data]
    family: str
    cutoff: float = 5.0
    unit: str = "meV/atom"


def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name."""
    methane = partial(Benchmark, family="methane", cutoff=10.3, unit="kcal/mol")  # the published cutoff
    found = {"methane_1k": methane(partial(_methane, more=False)), "methane_3k5": methane(partial(_methane, more=True))}
    for molecule in ("ethanol", "aspirin"):
        for size in (200, 950):
            found[f"{molecule}_{size}"] = Benchmark(partial(_rmd17, molecule=molecule, size=size), molecule)
    found["3bpa"] = Benchmark(_3bpa, "3bpa")
    found["s66x8"] = Benchmark(_s66x8, "s66x8")
    for element in ELEMENTS:
        found[f"zuo_{element}"] = Benchmark(partial(_zuo, element=element), f"zuo_{element}")
    found["qm7"] = Benchmark(_qm7, "qm7", unit="kcal/mol")
    for fold in range(N_FOLDS):
        found[f"qm7_fold{fold}"] = Benchmark(partial(_qm7, fold=fold), "qm7_folds", unit="kcal/mol")
    return found


def labelled(atoms: Atoms) -> Atoms:
    """A structure with its labels under names that every contestant reads, without a cell that means nothing."""
    frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell if atoms.pbc.any() else None, pbc=atoms.pbc)
    frame.info["REF_energy"] = atoms.calc.results["energy"]
    if "forces" in atoms.calc.results:
        frame.arrays["REF_forces"] = atoms.calc.results["forces"]
    if "mol" in atoms.info:
        frame.info["curve"] = atoms.info["mol"]
    return frame


def shuffled(frames: Sequence[Atoms], n_train: int, n_valid: int) -> tuple[list[Atoms], list[Atoms]]:
    """Training and validation structures by a fixed permutation."""
    order = np.random.default_rng(0).permutation(len(frames))[: n_train + n_valid]
    return [frames[i] for i in order[:n_train]], [frames[i] for i in order[n_train:]]


def _read(data: Path | None, *parts: str) -> list[Atoms]:
    if data is None:
        raise SystemExit(
            f"{'/'.join(parts)} is not shipped with the repository; name the folder that has it: --data DIR"
        )
    return [labelled(atoms) for atoms in read(data.joinpath(*parts), ":")]


def _methane(data: Path | None, more: bool) -> Data:
    """A tenth of the training structures validates; forces are tested on the last 100 of the 1,000 with forces."""
    first = _read(data, "methane", "ch4_1k.extxyz")
    known = first[:900] + (_read(data, "methane", "ch4_more.extxyz") if more else [])
    train, valid = shuffled(known, len(known) - len(known) // 10, len(known) // 10)
    return Data(train, valid, {"energy": _read(data, "methane", "ch4_test_energy.extxyz"), "forces": first[900:]})


def _rmd17(data: Path | None, molecule: str, size: int) -> Data:
    """At most 1,000 of the published first training split; the shipped ethanol frames are part of the same files."""
    if data is None and molecule == "ethanol":
        train, valid, test = (_read(ETHANOL, f"{part}.extxyz") for part in ("train", "valid", "test"))
        return Data(shuffled(train, size, 0)[0], valid, {"test": test})
    train, valid = shuffled(_read(data, "rmd17", f"{molecule}_train_01.extxyz"), size, 50)
    return Data(train, valid, {"test": _read(data, "rmd17", f"{molecule}_test_01.extxyz")})


def _3bpa(data: Path | None) -> Data:
    cold, mixed = _temperatures(data)
    return Data(*shuffled(cold, 450, 50), {"mixed temperatures": mixed})


def _s66x8(data: Path | None) -> Data:
    """Out of domain: dimers after training on one molecule at the same level of theory."""
    frames = [atoms for part in _temperatures(data) for atoms in part]
    train, valid = shuffled(frames, len(frames) - len(frames) // 10, len(frames) // 10)
    return Data(train, valid, {"dimers": _read(data, "s66x8", "s66x8.extxyz")})


def _temperatures(data: Path | None) -> tuple[list[Atoms], list[Atoms]]:
    """3BPA at 300 K, and at mixed temperatures without the 31 frames that both published files hold."""
    cold, mixed = (_read(data, "3bpa", f"train_{name}.xyz") for name in ("300K", "mixedT"))
    known = {atoms.positions.tobytes() for atoms in cold}
    return cold, [atoms for atoms in mixed if atoms.positions.tobytes() not in known]


def _zuo(data: Path | None, element: str) -> Data:
    known = _read(data, "zuo2020", f"{element}_train.extxyz")
    train, valid = shuffled(known, len(known) - len(known) // 10, len(known) // 10)
    return Data(train, valid, {"test": _read(data, "zuo2020", f"{element}_test.extxyz")})


def _qm7(data: Path | None, fold: int | None = None) -> Data:
    """5,732 molecules for training (a tenth validates) and 1,369 for tests, or one fifth for tests."""
    frames = _read(data, "qm7", "qm7.extxyz")
    order = np.random.default_rng(0).permutation(len(frames))
    tested = order[5732:] if fold is None else np.array_split(order, N_FOLDS)[fold]
    known = [frames[i] for i in order if i not in set(tested.tolist())]
    train, valid = shuffled(known, len(known) - len(known) // 10, len(known) // 10)
    return Data(train, valid, {"test": [frames[i] for i in tested]})


def composition_energies(frames: Sequence[Atoms]) -> Mapping[int, float]:
    """Energies per element (eV), of least norm among the least-squares fits to the structures' energies."""
    elements = sorted({z for atoms in frames for z in atoms.numbers.tolist()})
    counts = np.array([[np.count_nonzero(atoms.numbers == z) for z in elements] for atoms in frames], dtype=float)
    energies = np.linalg.lstsq(counts, [atoms.info["REF_energy"] for atoms in frames], rcond=None)[0]
    return dict(zip(elements, energies.tolist(), strict=True))


def reference(atoms: Atoms, energies: Mapping[int, float]) -> float:
    """The sum of a structure's energies per element, in eV; elements that are not known count as nothing."""
    return sum(energies.get(z, 0.0) for z in atoms.numbers.tolist())
