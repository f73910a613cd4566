"""Neighbour lists against brute force, over the corner cases that break such lists, and random ones."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from invarion.exceptions import DataError
from invarion.graphs import Graph, concatenate
from invarion.neighbors import displacements, graph, pairs

SKEWED = [[0.0, 3.0, 1.0], [3.0, 0.3, 0.0], [0.0, 0.0, 4.0]]  # left-handed


def brute_force(atoms: Atoms, cutoff: float) -> list[tuple]:
    """Every directed pair within the cutoff as (i, j, x, y, z), by trying all images that could matter."""
    cell = atoms.cell.array * np.asarray(atoms.pbc)[:, None]
    wrapped_reach = cutoff + 2 * np.abs(atoms.positions).max(initial=0.0)
    counts = [0, 0, 0]
    if atoms.pbc.any():
        inverse = np.linalg.pinv(cell)
        counts = np.ceil(wrapped_reach * np.linalg.norm(inverse, axis=0)).astype(int) * np.asarray(atoms.pbc)
    images = np.array(list(itertools.product(*(range(-n, n + 1) for n in counts)))) @ cell
    found = []
    for i, j in itertools.product(range(len(atoms)), repeat=2):
        vectors = atoms.positions[j] - atoms.positions[i] + images
        lengths = np.linalg.norm(vectors, axis=1)
        for vector in vectors[(lengths < cutoff) & (lengths > 1e-9)]:
            found.append((i, j, *(np.round(vector, 6) + 0.0)))
    return sorted(found)


def listed(batch: Graph) -> list[tuple]:
    rows = zip(batch.centers.tolist(), batch.neighbors.tolist(), batch.vectors.numpy(), strict=True)
    return sorted((i, j, *(np.round(v, 6) + 0.0)) for i, j, v in rows)


CORNERS = {
    "molecule": molecule("CH3CH2OH"),
    "dummy_cell": Atoms("OH", [(0, 0, 0), (0, 0, 0.97)], cell=np.eye(3) * 0.1),
    "zero_cell": Atoms("OH", [(0, 0, 0), (0, 0, 0.97)], cell=np.zeros((3, 3))),
    "slab": Atoms("Cu2", [(0, 0, 0), (0, 0, 2)], cell=[3, 3, 0], pbc=(1, 1, 0)),
    "wire": Atoms("Cu2", [(0, 0, 0), (0, 9, 2)], cell=[3, 0, 0], pbc=(1, 0, 0)),
    "open_first_direction": Atoms("Cu2", [(0, 0, 0), (9, 9, 2)], cell=SKEWED, pbc=(0, 1, 1)),
    "left_handed_unwrapped": Atoms("Cu2", [(0, 0, 0), (9, -9, 2)], cell=SKEWED, pbc=True),
    "cell_smaller_than_cutoff": bulk("Cu"),
    "very_skewed": Atoms("Si", cell=[[3, 0, 0], [8, 3, 0], [0, 7, 3]], pbc=True),
    "one_atom": Atoms("H", [(5, 5, 5)]),
    "no_neighbours": Atoms("H2", [(0, 0, 0), (0, 0, 9)]),
}


@pytest.mark.parametrize("name", CORNERS)
def test_corner_cases(name):
    expected = brute_force(CORNERS[name], 4.0)
    got = listed(graph(CORNERS[name], 4.0))
    assert [row[:2] for row in got] == [row[:2] for row in expected]
    np.testing.assert_allclose(got, expected, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    n_atoms=st.integers(1, 6),
    cutoff=st.floats(1.5, 4.5),
)
def test_random_structures(seed, pbc, n_atoms, cutoff):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(2.5, 5.0, 3)) + rng.uniform(-0.8, 0.8, (3, 3))
    atoms = Atoms("C" * n_atoms, rng.uniform(-6, 6, (n_atoms, 3)), cell=cell, pbc=pbc)
    expected = brute_force(atoms, cutoff)
    got = listed(graph(atoms, cutoff))
    assert len(got) == len(expected)
    if expected:
        np.testing.assert_allclose(np.array(got)[:, 2:].sum(0), np.array(expected)[:, 2:].sum(0), atol=1e-4)
        assert [row[:2] for row in got] == [row[:2] for row in expected]


def test_edges_are_sorted_by_center_and_batches_are_shifted():
    batch = graph([molecule("H2O"), bulk("Si"), Atoms("H")], 3.0)
    assert (batch.centers.diff() >= 0).all()
    assert batch.n_systems == 3
    assert batch.system.tolist() == [0, 0, 0, 1, 1, 2]
    assert torch.isnan(batch.volume).tolist() == [True, False, True]
    assert (batch.system[batch.centers] == batch.system[batch.neighbors]).all()


def test_concatenate_equals_building_at_once():
    structures = [molecule("H2O"), bulk("Si"), Atoms("H"), molecule("CH4")]
    for one, other in zip(graph(structures, 3.0), concatenate([graph(a, 3.0) for a in structures]), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, rtol=0, atol=0)


def test_displacements_are_differentiable():
    atoms = bulk("Si")
    centers, neighbors, shifts = pairs(atoms, 3.0)
    positions = torch.tensor(atoms.positions, requires_grad=True)
    cell = torch.tensor(atoms.cell.array, requires_grad=True)

    def vectors(positions, cell):
        return displacements(positions, cell, shifts, centers, neighbors)

    assert torch.autograd.gradcheck(vectors, (positions, cell))
    torch.testing.assert_close(vectors(positions, cell).detach(), graph(atoms, 3.0).vectors)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("H2", [(0, 0, 0), (0, 0, np.nan)]), "atom 1 is not finite"),
        (Atoms("H2", [(0, 0, 0), (0, 0, np.inf)]), "atom 1 is not finite"),
        (Atoms("H2", [(0, 0, 0), (0, 0, 0)]), "on one spot"),
        (Atoms("H2", [(0, 0, 0), (0, 0, 3)], cell=[3, 3, 3], pbc=True), "on one spot"),
        (Atoms("H", cell=[0, 0, 0], pbc=True), "no volume"),
        (Atoms("H", cell=[[3, 0, 0], [3, 0, 0], [0, 0, 3]], pbc=True), "no volume"),
        (Atoms("H", cell=[[3, 0, np.nan], [0, 3, 0], [0, 0, 3]], pbc=True), "not finite"),
    ],
)
def test_unusable_geometry_is_named(atoms, message):
    with pytest.raises(DataError, match=f"structure 1.*{message}"):
        graph([molecule("H2O"), atoms], 3.0)


def test_bad_arguments():
    with pytest.raises(DataError, match="empty list"):
        graph([], 3.0)
    with pytest.raises(DataError, match="positive distance"):
        graph(molecule("H2O"), 0.0)
