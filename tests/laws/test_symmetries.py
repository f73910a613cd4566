"""Energies do not know how a structure is placed, turned, mirrored or numbered; forces and stress turn with it."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structures import close, rotations, structures

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def transformed(atoms, matrix, shift=(0.0, 0.0, 0.0)):
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ matrix.T)
    moved.positions = atoms.positions @ matrix.T + np.asarray(shift)
    return moved


@few
@given(atoms=structures(), matrix=rotations())
def test_rotation(potential, atoms, matrix):
    before, after = potential.predict(atoms), potential.predict(transformed(atoms, matrix))
    close(after.energies, before.energies, potential.dtype)
    close(after.forces, before.forces @ matrix.T, potential.dtype)
    if atoms.pbc.all():
        close(after.stress, matrix @ before.stress @ matrix.T, potential.dtype)


@few
@given(atoms=structures(), matrix=rotations())
def test_reflection(potential, atoms, matrix):
    mirror = -matrix
    before, after = potential.predict(atoms), potential.predict(transformed(atoms, mirror))
    close(after.energies, before.energies, potential.dtype)
    close(after.forces, before.forces @ mirror.T, potential.dtype)


@few
@given(atoms=structures(), shift=st.tuples(*[st.floats(-5, 5)] * 3))
def test_translation(potential, atoms, shift):
    before, after = potential.predict(atoms), potential.predict(transformed(atoms, np.eye(3), shift))
    close(after.energies, before.energies, potential.dtype)
    close(after.forces, before.forces, potential.dtype)


@few
@given(atoms=structures(), seed=st.integers(0, 2**32 - 1))
def test_permutation(potential, atoms, seed):
    order = np.random.default_rng(seed).permutation(len(atoms))
    before, after = potential.predict(atoms), potential.predict(atoms[order])
    close(after.energies, before.energies[order], potential.dtype)
    close(after.forces, before.forces[order], potential.dtype)


@few
@given(atoms=structures())
def test_forces_and_torques_vanish_in_sum(potential, atoms):
    prediction = potential.predict(atoms)
    size = max(1.0, float(np.abs(prediction.forces).max()))
    close(prediction.forces.sum(0), np.zeros(3), potential.dtype, size * len(atoms))
    if not atoms.pbc.any():
        torque = np.cross(atoms.positions, prediction.forces).sum(0)
        close(torque, np.zeros(3), potential.dtype, size * len(atoms) * 5)
