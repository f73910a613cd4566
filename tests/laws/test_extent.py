"""Energies add up over distant parts; an atom sees what is within reach and nothing else; a batch is its members."""

import numpy as np
from ase import Atoms
from hypothesis import HealthCheck, given, settings

from invarion.neighbors import graph
from structures import close, clusters, structures

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(one=clusters(), other=clusters())
def test_distant_parts_add_up(potential, one, other):
    far = other.copy()
    far.positions += [100.0, 0.0, 0.0]
    together = potential.predict(one + far)
    apart = potential.predict([one, other])
    close(together.energy, apart.energy.sum(keepdims=True), potential.dtype)
    close(together.forces, apart.forces, potential.dtype)


@few
@given(atoms=structures())
def test_repeated_crystal_has_repeated_energy(potential, atoms):
    doubled = atoms.repeat([2 if periodic else 1 for periodic in atoms.pbc])
    copies = len(doubled) // len(atoms)
    one, many = potential.predict(atoms), potential.predict(doubled)
    close(many.energy, copies * one.energy, potential.dtype)
    close(many.energies, np.tile(one.energies, copies), potential.dtype)


@few
@given(atoms=clusters())
def test_atoms_beyond_reach_do_not_matter(potential, atoms):
    reach = 2 * potential.cutoff + 0.01  # two interactions
    stranger = Atoms("O", [atoms.positions[0] + [reach + 10.0, 0.0, 0.0]])
    alone, watched = potential.predict(atoms), potential.predict(atoms + stranger)
    close(watched.energies[:-1], alone.energies, potential.dtype)


@few
@given(one=structures(), other=structures())
def test_batch_equals_its_members(potential, one, other):
    together = potential.predict([one, other])
    for field in ("energy", "forces", "energies", "terms"):
        apart = np.concatenate([getattr(potential.predict(atoms), field) for atoms in (one, other)])
        close(getattr(together, field), apart, potential.dtype)
    np.testing.assert_allclose(together.terms.sum(1), together.energies, rtol=1e-12)


def test_isolated_atom_and_empty_graph(potential):
    alone = potential.predict(Atoms("C"))
    assert np.isfinite(alone.energy).all()
    assert (alone.forces == 0).all()
    nothing = potential.predict(Atoms())
    assert nothing.energy.tolist() == [0.0]
    assert nothing.forces.shape == (0, 3)


def test_prediction_is_repeatable(potential):
    atoms = Atoms("CHOH", [(0, 0, 0), (1.1, 0, 0), (0, 1.3, 0), (0, 0, 1.2)])
    first, second = (potential(graph(atoms, potential.cutoff, potential.dtype)) for _ in range(2))
    assert (first.forces == second.forces).all()
    assert (first.energy == second.energy).all()
