"""Structures that are refused, and odd ones that are not."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from invarion.data.checks import check_structure, coincident
from invarion.exceptions import DataError
from invarion.neighbors import place

LEFT_HANDED = np.array([[0, 3, 0], [3, 0, 0], [0, 0, 3.0]])


@pytest.mark.parametrize(
    "atoms",
    [
        molecule("CH3CH2OH"),
        Atoms("H"),
        Atoms("Cu", cell=LEFT_HANDED, pbc=True),
        Atoms("H2", [(0, 0, 0), (0, 0, 1)], cell=[50, 50, 0]),
        Atoms("H2", [(0, 0, 0), (0, 0, 1)], cell=[4, 4, 0], pbc=(True, True, False)),
        Atoms("H2", [(-9, 0, 0), (14, 0, 1)], cell=[4, 4, 4], pbc=True),
    ],
    ids=["molecule", "atom", "left-handed", "dummy cell", "slab without a third vector", "unwrapped"],
)
def test_sound_structures_pass(atoms):
    check_structure(atoms, "x")


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "no atoms"),
        (Atoms("XH", [(0, 0, 0), (0, 0, 1)]), "atom 0 has atomic number 0"),
        (Atoms("H", [(np.nan, 0, 0)]), "not finite"),
        (Atoms("HH", [(0, 0, 0), (np.inf, 0, 0)]), "atom 1 is not finite"),
        (Atoms("H", pbc=True), "no volume"),
        (Atoms("H", cell=[1, 1, 0], pbc=True), "no volume"),
        (Atoms("H", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]], pbc=True), "no volume"),
        (Atoms("H2", [(1, 1, 1), (1, 1, 1)]), "atoms 0 and 1 are on one spot"),
        (Atoms("H2", [(0, 0, 0), (4, 0, 0)], cell=[4, 4, 4], pbc=True), "on one spot"),
    ],
)
def test_unsound_structures_are_refused(atoms, message):
    with pytest.raises(DataError, match=f"^water.xyz, frame 3: .*{message}"):
        check_structure(atoms, "water.xyz, frame 3")


def test_an_image_along_an_open_direction_is_no_coincidence():
    assert coincident(Atoms("H2", [(0, 0, 0), (4, 0, 0)], cell=[4, 4, 4], pbc=(False, True, True))) is None


CELLS = arrays(np.float64, (3, 3), elements=st.floats(-1.5, 1.5)).map(lambda skew: skew + 5 * np.eye(3))


@given(
    cell=CELLS,
    points=arrays(np.float64, (4, 3), elements=st.floats(-6, 6)),
    shift=arrays(np.int64, (3,), elements=st.integers(-2, 2)),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    gap=st.sampled_from([1e-7, 5e-4, 2e-3, 0.1]),
)
def test_coincidence_agrees_with_brute_force(cell, points, shift, pbc, gap):
    """A fifth atom is put `gap` away from an image of the first; all image distances are compared one by one."""
    image = points[0] + (shift * pbc) @ cell + [0, 0, gap]
    atoms = Atoms("H5", np.vstack([points, image]), cell=cell, pbc=pbc)
    reach = np.stack(np.meshgrid(*[range(-6, 7) if p else [0] for p in pbc], indexing="ij"), -1).reshape(-1, 3) @ cell
    between = atoms.positions[:, None] - atoms.positions[None, :]
    nearest = np.linalg.norm(between[:, :, None] + reach, axis=-1).min(-1)[np.triu_indices(5, 1)].min()
    if abs(nearest - 1e-3) > 1e-9:
        assert (coincident(atoms) is not None) == (nearest < 1e-3)


def test_place_is_the_origin_where_known():
    assert place(Atoms("H2O"), 3) == "structure 3"
    assert place(Atoms("H", info={"origin": "a.xyz, frame 7"}), 3) == "a.xyz, frame 7"


def test_crystal_passes_quickly():
    check_structure(bulk("Cu", cubic=True) * (4, 4, 4), "x")
