"""`.yace` files against the evaluator that LAMMPS runs (python-ace, where installed) and against our own reader."""

import numpy as np
import pytest
import torch
from ase import Atoms

import invarion as inv
from invarion.engines.yace import complex_coefficients, export_yace
from invarion.engines.yace_reader import read_yace
from invarion.exceptions import ConfigError, ModelFileError
from invarion.models.ace.enumeration import Coupled, Slot

MODELS = {
    "full, one element": ((29,), {"n_radial": (5, 3, 2), "basis": "full"}),
    "five-body, SBessel": ((29,), {"n_radial": (4, 3, 2, 2), "max_degree": 4, "basis": "full", "radial": "SBessel"}),
    "reduced, one element": ((14,), {"n_radial": 3, "max_degree": 4}),
    "two elements": (
        (14, 29),
        {"n_radial": (5, 3, 1), "max_rank": 2, "basis": "full", "radial": "ChebExpCos", "cutoffs": {"Si-Cu": 4.4}},
    ),
    "reduced, two elements": ((14, 29), {"n_radial": (3, 2, 2), "max_rank": 4, "radial": "ChebLinear"}),
    "Finnis-Sinclair": ((14, 29), {"n_radial": (5, 2, 2), "max_rank": 2, "basis": "full", "readout": "embedding"}),
    "three densities": ((29,), {"n_radial": 3, "max_rank": 2, "readout": "embedding", "n_densities": 3}),
    "inner cutoff": ((29,), {"n_radial": 3, "max_rank": 2, "inner_cutoff": 2.0, "inner_width": 0.5}),
}


def make_potential(species, settings, seed=0):
    """A potential with random coefficients, radial ones included, whose forces are a few eV/A."""
    rng = np.random.default_rng(seed)
    references = np.linspace(-1.0, -3.0, len(species)).tolist()
    potential = inv.Potential(inv.ace(5.0, **settings), species, references).double().eval()
    radial = potential.network.descriptor.radial
    with torch.no_grad():
        radial.coefficients.add_(torch.from_numpy(rng.normal(0, 0.2, radial.coefficients.shape)))
        for parameter in potential.network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.02, parameter.shape)))
    return potential


def structures(species, n, seed=1):
    """Molecules and skewed periodic cells, alternately, no two atoms closer than 1.5 A in the cell."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        points = [rng.uniform(0, 4.5, 3)]
        while len(points) < 2 + number % 7:
            point = rng.uniform(0, 4.5, 3)
            if min(np.linalg.norm(point - other) for other in points) > 1.5:
                points.append(point)
        cell = np.diag([5.5, 6.0, 6.5]) + rng.normal(0, 0.3, (3, 3))
        kind = {"cell": cell, "pbc": True} if number % 2 else {}
        yield Atoms(rng.choice(species, len(points)), points, **kind)


@pytest.mark.parametrize("name", MODELS)
def test_the_evaluator_of_lammps_gives_our_energies_and_forces(name, tmp_path):
    pyace = pytest.importorskip("pyace", reason="python-ace is not installed (extra: peers)")
    species, settings = MODELS[name]
    potential = make_potential(species, settings)
    report = export_yace(potential, tmp_path / "model.yace")
    assert max(report.energy_deviation, report.forces_deviation) < 1e-10
    for options in ({}, {"recursive_evaluator": True, "recursive": True}):
        calculator = pyace.PyACECalculator(str(tmp_path / "model.yace"), **options)
        for atoms in structures(species, 50):
            ours = potential.predict(atoms)
            atoms.calc = calculator
            assert abs(atoms.get_potential_energy() - ours.energy[0]) < 1e-6
            np.testing.assert_allclose(atoms.get_forces(), ours.forces, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_our_reader_gives_our_energies_and_forces(name, tmp_path):
    species, settings = MODELS[name]
    potential = make_potential(species, settings, seed=3)
    export_yace(potential, tmp_path / "model.yace", check=False)
    file = read_yace(tmp_path / "model.yace")
    for atoms in structures(species, 4, seed=5):
        energy, forces = file.energy_and_forces(inv.graph(atoms, potential.cutoff))
        ours = potential.predict(atoms)
        assert float(energy) == pytest.approx(ours.energy[0], abs=1e-9)
        np.testing.assert_allclose(forces, ours.forces, atol=1e-9)


def test_a_fitted_potential_survives_the_file(shared, tmp_path):
    from ase.io import read

    frames = read(shared / "data" / "zuo2020" / "Si_train.extxyz", "::40")
    config = inv.ace(5.0, n_radial=(6, 3, 2), max_rank=2, basis="full")
    potential = inv.fit(inv.Potential.from_data(config, frames), frames)
    export_yace(potential, tmp_path / "si.yace")
    energy, forces = read_yace(tmp_path / "si.yace").energy_and_forces(inv.graph(frames[0], 5.0))
    assert float(energy) == pytest.approx(potential.predict(frames[0]).energy[0], abs=1e-7)
    np.testing.assert_allclose(forces, potential.predict(frames[0]).forces, atol=1e-7)


@pytest.mark.parametrize("readout", ["mlp", "polynomial", "kernel"])
def test_what_the_format_cannot_express_is_refused(readout, tmp_path):
    potential = make_potential((29,), {"n_radial": 2, "max_rank": 1, "readout": readout, "n_centers": 5})
    with pytest.raises(ConfigError, match="linear and Finnis-Sinclair models"):
        export_yace(potential, tmp_path / "model.yace")
    assert not (tmp_path / "model.yace").exists()


def test_other_models_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="hip_nn"):
        export_yace(inv.Potential(inv.hip_nn(5.0, n_features=4), [1]), tmp_path / "model.yace")


def test_a_core_goes_out_as_lines_for_lammps(tmp_path):
    potential = make_potential((14, 29), {"n_radial": 2, "max_rank": 1, "zbl": (1.0, 1.6)})
    report = export_yace(potential, tmp_path / "model.yace")
    assert report.lammps[0] == "pair_style hybrid/overlay pace zbl 1.0 1.6"
    assert "pair_coeff 1 2 zbl 14 29" in report.lammps
    assert report.lammps[0] in (tmp_path / "model.yace").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("FinnisSinclairShiftedScaled", "FinnisSinclairMisspelt", "is not known"),
        ("radbasename: ChebPow", "radbasename: Gaussian", "radial functions 'Gaussian'"),
        ("E0:", "E1:", "E0"),
        ("elements: [Cu]", "elements: [Cu", "no .yace file"),
    ],
)
def test_a_changed_file_is_refused(old, new, message, tmp_path):
    export_yace(make_potential((29,), {"n_radial": 2, "max_rank": 1}), tmp_path / "model.yace")
    text = (tmp_path / "model.yace").read_text()
    assert old in text
    (tmp_path / "model.yace").write_text(text.replace(old, new))
    with pytest.raises(ModelFileError, match=message):
        read_yace(tmp_path / "model.yace")


def test_complex_coefficients_sum_m_to_zero_and_come_in_pairs():
    slots = (Slot(0, 1, 1), Slot(0, 2, 2), Slot(0, 1, 2), Slot(0, 1, 3))
    coefficients = complex_coefficients(Coupled(slots, 2))
    assert all(sum(key) == 0 for key in coefficients)
    for key, value in coefficients.items():
        assert coefficients[tuple(-m for m in key)] == pytest.approx(value)
