"""Dynamics and its verdict, on force fields whose conservation is known beforehand."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read

from invarion.engines.dynamics import run_dynamics
from invarion.exceptions import InvarionError


def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.calc = EMT()
    return atoms


class Wrong(EMT):
    """Forces that are too large by a part that the energy knows nothing of, or no numbers after some calls."""

    def __init__(self, factor: float = 1.0, calls: int = 10**9) -> None:
        super().__init__()
        self.factor, self.calls = factor, calls

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls -= 1
        self.results["forces"] = self.results["forces"] * (self.factor if self.calls > 0 else np.nan)


def test_sound_forces_keep_the_energy():
    report = run_dynamics(copper(), steps=400, temperature=300, timestep=2.0, seed=1)
    assert report.stable
    assert abs(report.drift) < 0.5
    assert report.steps == 400
    assert report.picoseconds == pytest.approx(0.8)
    assert 80 < report.temperature < 300
    assert 0 < report.fluctuation < 5
    assert report.verdict.startswith(("energy is conserved", "no drift seen"))


class Pushed(Calculator):
    """A constant force along x under an energy of zero: atoms are accelerated, and the total energy grows."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - ASE's form

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.tile([0.2, 0.0, 0.0], (len(atoms), 1))}


def test_energy_that_is_pumped_in_is_found_out():
    atoms = Atoms("Cu4", positions=3.0 * np.eye(4, 3))
    atoms.calc = Pushed()
    report = run_dynamics(atoms, steps=300, temperature=0.0, timestep=1.0)
    impulse = 0.2 * report.picoseconds * 1000.0 * 0.09822694788  # eV/A times ASE units of time
    heated = 0.5 * impulse**2 / 63.546 * 1000.0
    assert report.drift == pytest.approx(heated / report.picoseconds, rel=0.05)
    assert not report.stable
    assert "drifts" in report.verdict


def test_run_of_a_few_steps_is_not_judged():
    report = run_dynamics(copper(), steps=5, timestep=2.0)
    assert report.stable
    assert "too short" in report.verdict


def test_numbers_that_are_none_stop_the_run():
    atoms = copper()
    atoms.calc = Wrong(calls=20)
    report = run_dynamics(atoms, steps=200, temperature=300, timestep=2.0)
    assert report.steps < 25
    assert not report.stable
    assert report.verdict.startswith("unstable: stopped after")


def test_forces_of_the_wrong_sign_stop_the_run():
    atoms = copper()
    atoms.calc = Wrong(factor=-30.0)
    report = run_dynamics(atoms, steps=2000, temperature=300, timestep=2.0)
    assert report.steps < 2000
    assert not report.stable


def test_langevin_holds_its_temperature():
    report = run_dynamics(copper(), 600, temperature=400, ensemble="langevin", timestep=4.0, friction=0.02, seed=3)
    assert report.drift is None
    assert report.stable
    assert report.temperature == pytest.approx(400, rel=0.25)


def test_seed_decides_everything():
    ends = []
    for seed in (5, 5, 6):
        atoms = copper()
        run_dynamics(atoms, 20, temperature=300, ensemble="langevin", timestep=2.0, seed=seed)
        ends.append(atoms.positions)
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_own_momenta_are_kept_without_a_temperature():
    atoms = copper()
    momenta = np.random.default_rng(0).normal(size=(len(atoms), 3))
    atoms.set_momenta(momenta)
    start = atoms.get_temperature()
    temperatures = []

    def record(done):
        temperatures.append(atoms.get_temperature())

    run_dynamics(atoms, 1, temperature=None, timestep=0.01, progress=record)
    assert temperatures[0] == pytest.approx(start)


@pytest.mark.parametrize("name", ["md.extxyz", "md.traj"])
def test_frames_are_written_every_interval(name, tmp_path):
    for _ in range(2):  # a second run begins the file anew
        done = []
        run_dynamics(copper(), 20, trajectory=tmp_path / name, interval=5, timestep=2.0, progress=done.append)
    frames = read(tmp_path / name, index=":")
    assert len(frames) == 5
    assert frames[-1].get_kinetic_energy() > 0
    assert np.isfinite(frames[-1].get_potential_energy())
    assert done == list(range(21))


def test_molecule_does_not_rotate_or_drift():
    atoms = molecule("CH3CH2OH")
    atoms.calc = EMT()
    run_dynamics(atoms, 5, temperature=300, timestep=0.1)
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-9
    assert np.abs(atoms.get_angular_momentum()).max() < 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "at least 1"),
        ({"steps": 5, "interval": 0}, "at least 1"),
        ({"steps": 5, "ensemble": "npt"}, "nve or langevin"),
        ({"steps": 5, "temperature": -1.0}, "0 or more"),
        ({"steps": 5, "timestep": 0.0}, "between 0 and 20"),
        ({"steps": 5, "ensemble": "langevin", "temperature": None}, "needs a temperature"),
        ({"steps": 5, "trajectory": "/nowhere/md.extxyz"}, "cannot write the trajectory"),
        ({"steps": 5, "trajectory": "md.foo"}, "names no format to write"),
        ({"steps": 5, "friction": 0.0}, "friction is 0"),
        ({"steps": 5, "seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(InvarionError, match=message):
        run_dynamics(copper(), **settings)


def test_failing_model_touches_no_file(tmp_path):
    atoms = molecule("SiH4")
    atoms.calc = EMT()
    with pytest.raises(NotImplementedError):  # EMT knows no silicon
        run_dynamics(atoms, 5, trajectory=tmp_path / "md.extxyz")
    assert list(tmp_path.iterdir()) == []


class Doubtful(EMT):
    """A committee whose members lie further apart in the force on the second atom with every call."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls = getattr(self, "calls", 0) + 1
        self.results["forces_spread"] = np.zeros((len(atoms), 3))
        self.results["forces_spread"][1] = 0.03 * self.calls, 0.0, 0.04 * self.calls


@pytest.mark.parametrize("name", ["md.traj", "md.extxyz"])
def test_a_run_stops_where_the_committee_does_not_know(tmp_path, name):
    atoms = copper()
    atoms.calc = Doubtful()
    report = run_dynamics(atoms, 100, timestep=2.0, trajectory=tmp_path / name, max_spread=0.42)
    assert not report.stable
    assert report.steps == 8
    assert report.largest_spread == pytest.approx(0.45)
    assert "0.45 eV/A apart (allowed: 0.42)" in report.verdict
    frames = read(tmp_path / name, ":")
    assert len(frames) == 2
    np.testing.assert_allclose(frames[-1].positions, atoms.positions, atol=1e-7)


def test_spreads_are_reported_where_they_are_known():
    atoms = copper()
    atoms.calc = Doubtful()
    report = run_dynamics(atoms, 3, timestep=2.0)
    assert report.stable
    assert report.largest_spread == pytest.approx(0.2)
    assert run_dynamics(copper(), 3, timestep=2.0).largest_spread is None


def test_a_run_that_stops_at_its_start_is_reported():
    atoms = copper()
    atoms.calc = Doubtful()
    report = run_dynamics(atoms, 100, timestep=2.0, max_spread=0.01)
    assert (report.steps, report.timestep, report.picoseconds) == (0, 2.0, 0.0)
    assert not report.stable


@pytest.mark.parametrize(("max_spread", "said"), [(0.3, "needs the potentials of a comm"), (0.0, "max_spread is 0")])
def test_a_limit_that_cannot_be_watched_is_refused(max_spread, said):
    with pytest.raises(InvarionError, match=said):
        run_dynamics(copper(), 3, max_spread=max_spread)
