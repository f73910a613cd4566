"""Forces, virial and their slopes are the derivatives of the energy, and of nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from invarion.neighbors import graph
from structures import clusters, crystals, structures

STEP = 1e-4

few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def energy(potential, atoms) -> float:
    return float(potential.predict(atoms).energy[0])


def slope(function) -> float:
    """Fourth-order central difference of a function of one small number at zero."""
    far, near = function(2 * STEP) - function(-2 * STEP), function(STEP) - function(-STEP)
    return (8 * near - far) / (12 * STEP)


@few
@given(atoms=structures())
def test_forces_are_differences_of_the_energy(exact_potential, atoms):
    forces = exact_potential.predict(atoms).forces
    scale = max(1.0, float(np.abs(forces).max()))
    for atom, axis in ((0, 0), (len(atoms) - 1, 1), (len(atoms) // 2, 2)):

        def moved(step, atom=atom, axis=axis):
            trial = atoms.copy()
            trial.positions[atom, axis] += step
            return energy(exact_potential, trial)

        assert forces[atom, axis] == pytest.approx(-slope(moved), abs=2e-6 * scale)


@few
@given(atoms=crystals())
def test_stress_is_differences_of_the_energy_with_strain(exact_potential, atoms):
    prediction = exact_potential.predict(atoms)
    if not atoms.pbc.all():
        assert np.isnan(prediction.stress).all()
        return
    scale = max(1.0, float(np.abs(prediction.stress[0]).max()))
    for row, column in ((0, 0), (1, 2), (2, 0)):

        def strained(step, row=row, column=column):
            deformation = np.eye(3)
            deformation[row, column] += step
            trial = atoms.copy()
            trial.set_cell(atoms.cell.array @ deformation, scale_atoms=False)
            trial.positions = atoms.positions @ deformation
            return energy(exact_potential, trial)

        assert prediction.stress[0, row, column] == pytest.approx(
            slope(strained) / atoms.get_volume(), abs=2e-6 * scale
        )


@few
@given(atoms=clusters())
def test_parameter_slopes_of_forces(exact_potential, atoms):
    """What training on forces needs: d(sum of squared forces)/d(parameters), against differences."""
    batch = graph(atoms, exact_potential.cutoff)
    exact_potential.train()
    try:
        parameters = [p for p in exact_potential.network.parameters() if p.requires_grad]
        loss = exact_potential(batch).forces.square().sum()
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
        generator = torch.Generator().manual_seed(len(atoms))
        direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        along = sum(float((s * d).sum()) for s, d in zip(slopes, direction, strict=True) if s is not None)

        def moved(step):
            with torch.no_grad():
                for p, d in zip(parameters, direction, strict=True):
                    p.add_(d, alpha=step)
            value = float(exact_potential(batch).forces.detach().square().sum())
            with torch.no_grad():
                for p, d in zip(parameters, direction, strict=True):
                    p.sub_(d, alpha=step)
            return value

        expected = slope(lambda step: moved(0.1 * step)) * 10
        assert along == pytest.approx(expected, rel=1e-4, abs=1e-4 * max(1.0, float(loss.detach())))
    finally:
        exact_potential.eval()
