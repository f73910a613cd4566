"""Verlet's list: covers a structure exactly as long as it may, and gives the very graph that a fresh search gives."""

import numpy as np
import pytest
import torch
from ase import Atoms

from invarion.exceptions import DataError
from invarion.graphs import Graph
from invarion.neighbors import graph, pair_list


def random_structure(rng: np.random.Generator, pbc: list[bool]) -> Atoms:
    cell = 5.0 * np.eye(3) + rng.normal(size=(3, 3))
    return Atoms("Cu20", rng.uniform(-10, 10, (20, 3)), cell=cell, pbc=pbc)


def assert_identical(one: Graph, other: Graph) -> None:
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))
        assert a.dtype == b.dtype


@pytest.mark.parametrize("pbc", [[True] * 3, [True, False, True], [False] * 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graph_of_a_moved_structure_is_the_fresh_graph(pbc, dtype):
    rng = np.random.default_rng(7)
    atoms = random_structure(rng, pbc)
    found = pair_list(atoms, cutoff=5.0, skin=1.0)
    for _ in range(6):
        atoms.positions += rng.uniform(-0.04, 0.04, (20, 3))
        assert found.covers(atoms)
        assert_identical(found.graph(atoms, dtype), graph(atoms, 5.0, dtype))


def test_order_of_pairs_does_not_depend_on_the_search():
    atoms = random_structure(np.random.default_rng(3), [True] * 3)
    near, far = graph(atoms, 4.0), graph(atoms, 6.0)
    kept = far.vectors.norm(dim=1) < 4.0
    assert torch.equal(near.vectors, far.vectors[kept])
    assert torch.equal(near.neighbors, far.neighbors[kept])


def test_atoms_that_travelled_through_a_billion_cells_keep_their_order():
    atoms = random_structure(np.random.default_rng(3), [True] * 3)
    here = graph(atoms, 4.0)
    atoms.positions[0] += 2**21 * atoms.cell[0]
    assert torch.equal(here.neighbors, graph(atoms, 4.0).neighbors)


def test_half_the_skin_is_the_limit():
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.8)])
    found = pair_list(atoms, cutoff=2.0, skin=1.0)
    atoms.positions[1, 2] = 0.8 + 0.499
    assert found.covers(atoms)
    atoms.positions[1, 2] = 0.8 + 0.501
    assert not found.covers(atoms)


@pytest.mark.parametrize("change", ["numbers", "cell", "pbc", "length", "nan"])
def test_any_other_change_ends_the_list(change):
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.8)], cell=[4, 4, 4], pbc=True)
    found = pair_list(atoms, cutoff=2.0, skin=1.0)
    assert found.covers(atoms)
    if change == "numbers":
        atoms.numbers[0] = 8
    elif change == "cell":
        atoms.set_cell([4, 4, 4.0001])
    elif change == "pbc":
        atoms.pbc[0] = False
    elif change == "length":
        atoms += Atoms("H", [(2, 2, 2)])
    else:
        atoms.positions[0, 0] = np.nan
    assert not found.covers(atoms)


def test_list_is_a_copy_of_the_structure():
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.8)])
    found = pair_list(atoms, cutoff=2.0, skin=0.2)
    atoms.positions[:] += 0.3
    assert not found.covers(atoms)


def test_empty_structure_and_collision():
    empty = Atoms()
    assert pair_list(empty, 3.0).graph(empty).n_atoms == 0
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.3)])
    found = pair_list(atoms, cutoff=2.0, skin=1.0)
    atoms.positions[1] = 0.0
    with pytest.raises(DataError, match="on one spot"):
        found.graph(atoms)
