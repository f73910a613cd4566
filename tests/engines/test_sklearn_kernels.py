"""Kernel ridge regression over pairs of atoms: the kernel by its definition, extensivity, and learning."""

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.lj import LennardJones
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from invarion.engines.sklearn import InvariantDescriptor
from invarion.engines.sklearn_kernels import AtomKernelRidge, atom_kernel, environments, solve, typical_distances
from invarion.exceptions import ConfigError, DataError

SMALL = InvariantDescriptor(cutoff=3.0, n_radial=2, max_rank=1, max_degree=2)
MOLECULES = [molecule(name) for name in ("CH3CH2OH", "H2O", "CH4", "CH3OH", "H2", "CO2")]


@pytest.fixture(scope="module")
def found():
    return environments(clone(SMALL).fit(MOLECULES), MOLECULES)


def test_kernel_is_the_sum_over_pairs_of_atoms(found):
    widths = np.array([0.3, 0.5, 0.7])
    kernel = atom_kernel(found, found, widths)
    rows = clone(SMALL).fit(MOLECULES).transform(MOLECULES)
    blocks = np.split(rows, np.cumsum([len(m) for m in MOLECULES])[:-1])
    width = dict(zip((1, 6, 8), widths, strict=True))
    for a, (first, x) in enumerate(zip(MOLECULES, blocks, strict=True)):
        for b, (second, y) in enumerate(zip(MOLECULES, blocks, strict=True)):
            pairs = [
                (i, j) for i in range(len(first)) for j in range(len(second)) if first.numbers[i] == second.numbers[j]
            ]
            terms = [np.exp(-((x[i] - y[j]) ** 2).sum() / (2 * width[first.numbers[i]] ** 2)) for i, j in pairs]
            assert kernel[a, b] == pytest.approx(sum(terms), abs=1e-4)
    assert np.linalg.eigvalsh(kernel).min() > -1e-4


def test_counts_and_typical_distances(found):
    assert found.counts[0].tolist() == [6, 2, 1]
    typical = typical_distances(found)
    assert typical.shape == (3,)
    assert (typical > 0).all()


def distorted(n, seed):
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(n):
        atoms = molecule("CH3CH2OH")
        atoms.positions += 0.05 * rng.standard_normal(atoms.positions.shape)
        structures.append(atoms)
    energies = []
    for atoms in structures:
        copy = atoms.copy()
        copy.calc = LennardJones(sigma=1.2, epsilon=0.2, rc=3.0, smooth=True)
        energies.append(copy.get_potential_energy())
    return structures, np.array(energies)


def test_learns_energies():
    train, energies = distorted(200, 0)
    test, expected = distorted(50, 1)
    model = AtomKernelRidge(InvariantDescriptor(cutoff=3.0, n_radial=3, max_rank=2, max_degree=2), width=2.0)
    predicted = model.fit(train, energies).predict(test)
    assert np.abs(predicted - expected).mean() < 0.35 * expected.std()


def test_energies_of_distant_molecules_add_up():
    train, energies = distorted(20, 2)
    model = AtomKernelRidge(SMALL).fit(train, energies)
    together = train[0].copy()
    far = train[1].copy()
    far.positions += 50.0
    together.extend(far)
    assert model.predict([together])[0] == pytest.approx(model.predict(train[:2]).sum(), abs=1e-4)


def test_works_with_grid_search():
    train, energies = distorted(24, 3)
    search = GridSearchCV(AtomKernelRidge(SMALL), {"width": [0.5, 2.0], "descriptor__n_radial": [1, 2]}, cv=3)
    search.fit(train, energies)
    assert set(search.best_params_) == {"width", "descriptor__n_radial"}


@pytest.mark.parametrize(
    ("model", "energies", "error", "message"),
    [
        (AtomKernelRidge(SMALL), np.zeros(3), DataError, "6 structures need"),
        (AtomKernelRidge(SMALL), np.full(6, np.nan), DataError, "finite"),
        (AtomKernelRidge(SMALL, alpha=0.0), np.zeros(6), ConfigError, "alpha 0.0"),
        (AtomKernelRidge(clone(SMALL).set_params(per="structure")), np.zeros(6), ConfigError, 'per="atom"'),
    ],
)
def test_refuses_bad_input(model, energies, error, message):
    with pytest.raises(error, match=message):
        model.fit(MOLECULES, energies)


def test_an_indefinite_kernel_is_named():
    with pytest.raises(ConfigError, match="raise alpha"):
        solve(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones((2, 1)), np.ones(2), 1e-6)
