"""The table of degenerate pairs: what counts as telling apart, and what each kind of basis tells."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read

import invarion as inv
from invarion.evaluation.degenerate import tell_pairs_apart
from invarion.exceptions import DataError


def distances(structures):
    """Sorted distances from every atom: sees no angles."""
    table = [np.sort(atoms.get_all_distances(), axis=1) for atoms in structures]
    width = max(len(rows) for rows in table)
    return np.concatenate([np.pad(rows, ((0, 0), (0, width - len(rows)))) for rows in table])


def pair(first, second, name="p", note=""):
    for atoms in (first, second):
        atoms.info.update(pair=name, note=note)
    return [first, second]


def test_a_turned_copy_is_not_told_apart():
    turned = molecule("CH3CH2OH")
    turned.rotate(40, (1, 2, 3))
    (result,) = tell_pairs_apart(pair(molecule("CH3CH2OH"), turned), distances)
    assert not result.told_apart
    assert result.difference < 1e-6


def test_a_changed_distance_is_told_apart():
    (result,) = tell_pairs_apart(
        pair(Atoms("H2", [(0, 0, 0), (0, 0, 1)]), Atoms("H2", [(0, 0, 0), (0, 0, 1.1)])), distances
    )
    assert result.told_apart
    assert result.difference == pytest.approx(0.1 / 1.1, rel=1e-6)


def test_the_environment_of_the_first_atom_or_the_sum_counts():
    first = Atoms("H3", [(0, 0, 0), (1, 0, 0), (0, 1, 0)])
    second = Atoms("H3", [(0, 0, 0), (1, 0, 0), (-1, 0, 0)])
    assert not tell_pairs_apart(pair(first, second), distances)[0].told_apart
    assert tell_pairs_apart(pair(first, second, note="same distance graph"), distances)[0].told_apart


def test_names_must_pair_up():
    with pytest.raises(DataError, match="'a' \\(1\\)"):
        tell_pairs_apart(pair(Atoms("H"), Atoms("H"), "a")[:1], distances)


@pytest.fixture(scope="module")
def structures(shared):
    return sorted(read(shared / "data/degenerate/pairs.extxyz", ":"), key=lambda atoms: atoms.info["pair"])


def told(structures, **options):
    """Names of the pairs that a descriptor tells apart."""
    names = set()
    for first in range(0, len(structures), 2):
        two = structures[first : first + 2]
        describe = inv.InvariantDescriptor(cutoff=10.0, **options).fit(two)
        names |= {r.pair for r in tell_pairs_apart(two, describe.transform) if r.told_apart}
    return names


def test_the_default_tells_all_pairs_that_are_no_rotations_of_each_other(structures):
    every = {atoms.info["pair"] for atoms in structures}
    assert told(structures) == every - {"dojo_4body_chiral_fig2e"}


def test_low_degrees_are_blind(structures):
    by_degree = {degree: told(structures, n_radial=2, basis="full", max_degree=degree) for degree in (1, 2, 3)}
    assert "dojo_2body" not in by_degree[1]
    assert "dojo_2body" in by_degree[2]
    assert "dojo_3body_fig1b" not in by_degree[2]
    assert "dojo_3body_fig1b" in by_degree[3]
    assert not any("B8" in name for name in by_degree[3])


def test_the_cheapest_complete_basis_of_several_channels_is_blind_to_5_body_pairs(structures):
    assert not any("B8" in name for name in told(structures, n_radial=4, basis="optimal"))


def test_the_stored_chiral_pair_is_a_half_turn_with_like_atoms_exchanged(structures):
    """So no function of the environment can tell its members apart."""
    first, second = (atoms for atoms in structures if "chiral" in atoms.info["pair"])
    turned = first.positions * (-1, -1, 1)
    assert {tuple(p) for p in np.round(turned, 6) + 0.0} == {tuple(p) for p in np.round(second.positions, 6) + 0.0}
    assert (first.numbers == second.numbers).all()


def test_odd_invariants_tell_mirror_images_of_a_chiral_environment():
    rng = np.random.default_rng(0)
    first = Atoms("CH6", np.concatenate([np.zeros((1, 3)), rng.uniform(-2, 2, (6, 3))]))
    second = first.copy()
    second.positions[:, 0] *= -1
    results = {}
    for parity in ("even", "both"):
        basis = inv.optimal_basis(max_rank=3, max_degree=4, parity=parity)
        describe = inv.InvariantDescriptor(basis=basis, n_radial=2).fit([first])
        (results[parity],) = tell_pairs_apart(pair(first, second), describe.transform)
    assert results["both"].told_apart
    assert not results["even"].told_apart
