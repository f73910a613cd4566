"""InvariantDescriptor: physics of the features, their gradients and names, and scikit-learn's contract."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import invarion as inv
from invarion.engines.sklearn import InvariantDescriptor
from invarion.exceptions import BasisError, ConfigError, DataError
from invarion.geometry.rotations import random_rotation

MOLECULES = [molecule("CH3CH2OH"), molecule("H2O"), molecule("CH4")]
SMALL = {"cutoff": 3.0, "n_radial": 2, "max_rank": 2, "max_degree": 4}
KINDS = {
    "channelwise": {},
    "optimal": {"basis": "optimal", "n_radial": 1},
    "full": {"basis": "full", "max_degree": 2},
    "each channel": {"basis": inv.published_basis(max_rank=2, max_degree=3)},
    "structures": {"per": "structure"},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def descriptor(request):
    return InvariantDescriptor(**{**SMALL, **request.param}).fit(MOLECULES)


def test_the_root_offers_it():
    assert inv.InvariantDescriptor is InvariantDescriptor


def test_shapes_and_names_agree(descriptor):
    rows = descriptor.transform(MOLECULES)
    names = descriptor.get_feature_names_out()
    expected = 3 if descriptor.per == "structure" else sum(map(len, MOLECULES))
    assert rows.shape == (expected, descriptor.n_features_out_) == (expected, len(names))
    assert len(set(names)) == len(names)
    assert np.isfinite(rows).all()
    assert (rows.std(axis=0) > 0).mean() > 0.8


@pytest.mark.parametrize("improper", [False, True])
def test_rotations_reflections_and_translations_change_nothing(descriptor, improper):
    rng = np.random.default_rng(1)
    moved = []
    for atoms in MOLECULES:
        turned = atoms.copy()
        turned.positions = atoms.positions @ random_rotation(rng, improper).T + rng.standard_normal(3)
        moved.append(turned)
    rows = descriptor.transform(MOLECULES)
    np.testing.assert_allclose(descriptor.transform(moved), rows, atol=1e-10 * np.abs(rows).max())


def test_order_of_atoms_is_the_order_of_rows():
    descriptor = InvariantDescriptor(**SMALL).fit(MOLECULES)
    atoms = MOLECULES[0]
    order = np.random.default_rng(2).permutation(len(atoms))
    np.testing.assert_allclose(descriptor.transform([atoms[order]]), descriptor.transform([atoms])[order], atol=1e-12)


def test_gradients_are_differences(descriptor):
    atoms = MOLECULES[1].copy()
    atoms.rattle(0.05, seed=3)
    (gradient,) = descriptor.gradients([atoms])
    step = 1e-4
    for atom in range(len(atoms)):
        for axis in range(3):
            shifted = [atoms.copy(), atoms.copy()]
            for sign, copy in zip((1, -1), shifted, strict=True):
                copy.positions[atom, axis] += sign * step
            ahead, behind = (descriptor.transform([copy]) for copy in shifted)
            change = (ahead - behind) / (2 * step)
            np.testing.assert_allclose(gradient[:, :, atom, axis], change, atol=1e-6 * (1 + np.abs(gradient).max()))


def test_gradients_of_a_crystal_count_periodic_images():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    atoms.rattle(0.1, seed=1)
    descriptor = InvariantDescriptor(cutoff=4.5, n_radial=1, max_rank=1, max_degree=2).fit([atoms])
    (gradient,) = descriptor.gradients([atoms])
    ahead, behind = atoms.copy(), atoms.copy()
    ahead.positions[2, 1] += 1e-4
    behind.positions[2, 1] -= 1e-4
    change = (descriptor.transform([ahead]) - descriptor.transform([behind])) / 2e-4
    np.testing.assert_allclose(gradient[:, :, 2, 1], change, atol=1e-6 * np.abs(gradient).max())
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-10)


def test_structures_are_sums_over_centers_of_each_species():
    by_atom = InvariantDescriptor(**SMALL).fit(MOLECULES)
    by_structure = InvariantDescriptor(**SMALL, per="structure").fit(MOLECULES)
    names = by_structure.get_feature_names_out()
    rows = by_structure.transform(MOLECULES)
    for atoms, row in zip(MOLECULES, rows, strict=True):
        atom_rows = by_atom.transform([atoms])
        for symbol, number in (("H", 1), ("C", 6), ("O", 8)):
            mine = np.array([name.startswith(f"{symbol}|") for name in names])
            assert row[mine][0] == (atoms.numbers == number).sum()
            np.testing.assert_allclose(row[mine][1:], atom_rows[atoms.numbers == number].sum(axis=0), atol=1e-12)


def test_names_are_stable():
    names = (
        InvariantDescriptor(cutoff=3.0, n_radial=1, max_rank=2, max_degree=4)
        .fit([MOLECULES[1]])
        .get_feature_names_out()
    )
    assert names.tolist() == [
        "H0l0", "H0l1.H0l1:ab", "H0l2.H0l2:ab2", "H0l1.H0l1.H0l2:ac.bc", "H0l2.H0l2.H0l2:ab.ac.bc",
        "H0l1.H0l1.H0l2.H0l2:ac.bd.cd", "O0l0", "O0l1.O0l1:ab", "O0l2.O0l2:ab2", "O0l1.O0l1.O0l2:ac.bc",
        "O0l2.O0l2.O0l2:ab.ac.bc", "O0l1.O0l1.O0l2.O0l2:ac.bd.cd", "H0l2.O0l2:ab2", "H0l1.O0l1:ab",
        "H0l1.H0l1.O0l2:ac.bc",
    ]  # fmt: skip
    structure = InvariantDescriptor(cutoff=3.0, n_radial=1, max_rank=0, max_degree=1, per="structure").fit(
        [MOLECULES[1]]
    )
    assert structure.get_feature_names_out().tolist() == ["H|count", "H|H0l0", "H|O0l0", "O|count", "O|H0l0", "O|O0l0"]


def test_scikit_learn_contract():
    descriptor = InvariantDescriptor(**SMALL, per="structure")
    copy = clone(descriptor)
    assert copy.get_params() == descriptor.get_params()
    assert not hasattr(copy, "basis_")
    frame = copy.set_output(transform="pandas").fit_transform(MOLECULES)
    assert frame.columns.tolist() == copy.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), descriptor.fit(MOLECULES).transform(MOLECULES))
    assert descriptor.set_params(cutoff=4.0).cutoff == 4.0
    with pytest.raises(ValueError, match="not fitted"):
        InvariantDescriptor().transform(MOLECULES)


def test_in_a_pipeline():
    rng = np.random.default_rng(4)
    water = [molecule("H2O") for _ in range(60)]
    for atoms in water:
        atoms.rattle(0.05, rng=rng)
    stretch = [atoms.get_distance(0, 1) + atoms.get_distance(0, 2) for atoms in water]
    model = make_pipeline(InvariantDescriptor(**SMALL, per="structure"), StandardScaler(), Ridge(1e-3))
    assert model.fit(water[:40], stretch[:40]).score(water[40:], stretch[40:]) > 0.98


def test_isolated_atoms_have_empty_environments():
    rows = InvariantDescriptor(**SMALL).fit_transform([Atoms("He"), Atoms("He2", [(0, 0, 0), (0, 0, 9)])])
    np.testing.assert_array_equal(rows, 0.0)


def test_large_lists_are_described_in_parts():
    descriptor = InvariantDescriptor(cutoff=3.0, n_radial=1, max_rank=1, max_degree=2).fit(MOLECULES)
    many = MOLECULES * 200
    np.testing.assert_allclose(
        descriptor.transform(many), np.tile(descriptor.transform(MOLECULES), (200, 1)), atol=1e-12
    )


def test_default_tells_b8_pairs_apart_and_the_cheapest_basis_does_not(shared):
    frames = [a for a in read(shared / "data/degenerate/pairs.extxyz", ":") if "B8" in a.info["pair"]]
    assert len(frames) == 20
    default = InvariantDescriptor().fit(frames)
    cheapest = InvariantDescriptor(n_radial=2, basis="optimal", max_degree=3).fit(frames)
    assert cheapest.basis_.complete
    for descriptor, threshold, sign in ((default, 1e-4, 1), (cheapest, 1e-5, -1)):
        first = descriptor.transform(frames)[:: len(frames[0])]
        typical = np.abs(first).max(axis=0)
        apart = (np.abs(first[0::2] - first[1::2]) / typical).max(axis=1)
        assert (sign * apart > sign * threshold).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "molecule"}, "per is 'molecule'"),
        ({"basis": "best"}, "basis is 'best'"),
        ({"cutoff": -1.0}, "shortest < cutoff"),
        ({"cutoff": "5"}, "cutoff is '5'; it must be a finite number"),
        ({"cutoff": None}, "cutoff is None"),
        ({"cutoff": float("inf")}, "cutoff is inf"),
        ({"shortest": float("nan")}, "shortest is nan"),
        ({"n_radial": 0}, "radial functions is 0"),
        ({"n_radial": 1.5}, "radial functions is 1.5; it must be a whole number"),
        ({"species": []}, r"species is \[\]; give a list"),
        ({"species": "H"}, "species is 'H'; give a list"),
        ({"species": [500]}, "species has 500"),
        ({"species": [-1]}, "species has -1"),
        ({"species": [0]}, "species has 0"),
        ({"species": [1.5]}, "species has 1.5"),
        ({"species": ["Xx"]}, "Xx"),
        ({"basis": inv.optimal_basis(max_rank=1, channels=2)}, "2 channels"),
        ({"basis": inv.optimal_basis(ranks=[1, 2])}, r"ranks \(1, 2\)"),
    ],
)
def test_refuses_bad_parameters(options, message):
    with pytest.raises(ConfigError, match=message):
        InvariantDescriptor(**{**SMALL, **options}).fit(MOLECULES)


def test_a_whole_number_as_float_is_refused_also_after_the_same_was_built():
    InvariantDescriptor(**SMALL).fit(MOLECULES)
    descriptor = InvariantDescriptor(**{**SMALL, "max_rank": float(SMALL["max_rank"])})
    with pytest.raises(BasisError, match=r"max_rank is 2\.0; it must be a whole number"):
        descriptor.fit(MOLECULES)


def test_atoms_without_neighbours_and_structures_without_atoms():
    for descriptor in (InvariantDescriptor(**{**SMALL, "n_radial": 1}), InvariantDescriptor(**SMALL)):
        descriptor.fit([Atoms("H")])
        assert not descriptor.transform([Atoms("H")]).any()
        assert not descriptor.gradients([Atoms("H")])[0].any()
        width = descriptor.n_features_out_
        assert descriptor.transform([Atoms()]).shape == (0, width)
        assert descriptor.gradients([Atoms()])[0].shape == (0, width, 0, 3)
    with pytest.raises(DataError, match="no atoms, so no species"):
        InvariantDescriptor(**SMALL).fit([Atoms()])


def test_refuses_bad_structures():
    with pytest.raises(DataError, match="the structures are a NoneType"):
        InvariantDescriptor(**SMALL).fit(None)
    descriptor = InvariantDescriptor(**SMALL).fit(MOLECULES)
    with pytest.raises(DataError, match=r"structure 1 has N"):
        descriptor.transform([MOLECULES[0], molecule("NH3")])
    with pytest.raises(DataError, match="no structures"):
        descriptor.transform([])
    with pytest.raises(DataError, match="structure 0 is a str"):
        descriptor.transform(["H2O"])
