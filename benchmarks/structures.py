"""Structures that benchmarks run on, with their pairs, as files that any contestant's Python reads with numpy."""

import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import primitive_neighbor_list

CUTOFF = 5.0


def frames(name: str, seed: int = 0) -> list[Atoms]:
    """cu<atoms>, si<atoms> (conventional cells, atoms shaken by 0.1 A) or ethanol<molecules>, ch4_<molecules>.

    Args:
        name: crystals round to the nearest cube of whole cells: cu108, cu500, cu4000, si216, si1000.
        seed: of the displacements.
    """
    random = np.random.default_rng(seed)
    kind, size = re.fullmatch(r"(cu|si|ethanol|ch4_)(\d+)", name).groups()
    if kind in ("cu", "si"):
        cell = bulk("Cu", "fcc", 3.615, cubic=True) if kind == "cu" else bulk("Si", "diamond", 5.43, cubic=True)
        repeats = max(1, round((int(size) / len(cell)) ** (1 / 3)))
        found, amplitude = [cell * (repeats, repeats, repeats)], 0.1
    else:
        found = [molecule({"ethanol": "CH3CH2OH", "ch4_": "CH4"}[kind]) for _ in range(int(size))]
        amplitude = 0.05
    for atoms in found:
        atoms.positions += random.normal(0.0, amplitude, atoms.positions.shape)
    return found


def write(name: str, folder: Path, cutoff: float = CUTOFF) -> Path:
    """Write the structure's atoms and pairs, sorted by center; where it already is, leave it."""
    path = folder / f"{name}_{cutoff}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_arrays(frames(name), cutoff))
    return path


def _arrays(systems: list[Atoms], cutoff: float) -> dict[str, np.ndarray]:
    parts, offset = [], 0
    for number, atoms in enumerate(systems):
        cell = np.array(atoms.cell) if atoms.pbc.any() else 50.0 * np.eye(3)
        i, j, images = primitive_neighbor_list("ijS", atoms.pbc, cell, atoms.positions, cutoff)
        order = np.argsort(i, kind="stable")
        i, j, images = i[order], j[order], images[order]
        part = {
            "numbers": atoms.numbers,
            "positions": atoms.positions,
            "system": np.full(len(atoms), number),
            "centers": i + offset,
            "neighbors": j + offset,
            "images": images,
            "shifts": images @ cell,
            "cells": cell[None],
        }
        parts.append(part)
        offset += len(atoms)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {**joined, "periodic": systems[0].pbc.any()}
