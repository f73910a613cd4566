"""Molecular dynamics through ASE, with a verdict on how well the total energy is kept."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from invarion.exceptions import InvarionError

if TYPE_CHECKING:
    from ase import Atoms

Ensemble = Literal["nve", "langevin"]

ACCEPTED_DRIFT = 0.1
"""meV/atom/ps; a harmonic solid warms by 0.4 K per ps at this rate."""

_BLOCKS = 10
_SHORTEST = 0.2  # ps; some ten periods of a fast vibration
_HOT = 20.0  # times the temperature asked for: no sample of a thermal state, the model has failed


@dataclass(frozen=True)
class DynamicsReport:
    """What a run did, in numbers.

    Attributes:
        ensemble: "nve" (velocity Verlet) or "langevin".
        steps: steps done.
        timestep: fs.
        picoseconds: length of the run.
        temperature: mean over the second half of the run, K.
        temperature_error: standard error of it, K.
        drift: slope of the total energy, meV/atom/ps; None for Langevin, whose bath exchanges energy.
        drift_error: standard error of the slope, meV/atom/ps.
        fluctuation: root mean square of the total energy around its line, meV/atom.
        microseconds_per_atom_step: wall time.
        largest_spread: how far a committee's members lay apart in the force on one atom, at most, in eV/Angstrom; None
            where the calculator has no `forces_spread`.
        stable: whether the run may be trusted as far as these numbers go.
        verdict: the same in a sentence.
    """

    ensemble: Ensemble
    steps: int
    timestep: float
    picoseconds: float
    temperature: float
    temperature_error: float
    drift: float | None
    drift_error: float | None
    fluctuation: float
    microseconds_per_atom_step: float
    largest_spread: float | None
    stable: bool
    verdict: str


def run_dynamics(
    atoms: "Atoms",
    steps: int,
    temperature: float | None = 300.0,
    ensemble: Ensemble = "nve",
    timestep: float = 0.5,
    friction: float = 0.01,
    trajectory: str | Path | None = None,
    interval: int = 10,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    max_spread: float | None = None,
) -> DynamicsReport:
    """Move a structure that has a calculator; positions and momenta change in place.

    Args:
        atoms: structure with a calculator.
        steps: >= 1.
        temperature: K; initial momenta are drawn for it (and Langevin holds it). None starts from the structure's own
            momenta, with "nve" only.
        ensemble: "nve" or "langevin".
        timestep: fs, > 0.
        friction: of Langevin, 1/fs.
        trajectory: a file to write frames to, in the format that its ending names (.traj, .extxyz, ...).
        interval: steps between frames.
        seed: of initial momenta and of the bath.
        progress: called after every step with the number of steps done.
        max_spread: eV/Angstrom; stops where the members of a committee lie further apart in the force on an atom (the
            length of its `forces_spread`). That structure, of which the data say too little, is the trajectory's last.

    Returns:
        The report; a run whose energy or temperature is no longer physical, or whose forces are uncertain, is stopped
        and reported as unstable.

    Raises:
        InvarionError: settings out of range.
    """
    _check(steps, temperature, ensemble, timestep, friction, interval, seed)
    _check_trajectory(trajectory)
    atoms.get_forces()  # fails here, before any file is touched, if the model cannot treat the structure
    _check_spread(max_spread, atoms)
    if temperature is not None:
        _draw_momenta(atoms, temperature, seed)
    dynamics = _integrator(atoms, temperature, ensemble, timestep, friction, seed)
    writer, start = _Frames(trajectory), time.perf_counter()
    energies, temperatures, spreads = [], [], []
    for done, _ in enumerate(dynamics.irun(steps)):
        energies.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())
        spreads.append(_largest_spread(atoms))
        uncertain = max_spread is not None and spreads[-1] > max_spread
        if done % interval == 0 or uncertain:
            writer.write(atoms)
        if uncertain or not _physical(energies, temperatures, temperature):
            break
        if progress is not None:
            progress(done)
    pace = 1e6 * (time.perf_counter() - start) / max(len(energies) - 1, 1) / len(atoms)
    times = 1e-3 * timestep * np.arange(len(energies))
    history = _History(times, 1000.0 * np.array(energies), np.array(temperatures), np.array(spreads))
    return _report(history, ensemble, timestep, temperature, pace, max_spread)


class _History(NamedTuple):
    """After every step: times in ps, total energies in meV/atom, temperatures in K, force spreads in eV/Angstrom."""

    times: np.ndarray
    energies: np.ndarray
    temperatures: np.ndarray
    spreads: np.ndarray


class _Frames:
    """Appends frames to a file, beginning it anew; writes nothing without a file."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = None if path is None else Path(path)
        self._append = False

    def write(self, atoms: "Atoms") -> None:
        if self._path is None:
            return
        try:
            self._write(atoms, self._path)
        except (OSError, ValueError) as error:
            raise InvarionError(f"cannot write the trajectory {self._path}: {error}") from error
        self._append = True

    def _write(self, atoms: "Atoms", path: Path) -> None:
        from ase.io import write
        from ase.io.trajectory import TrajectoryWriter

        if path.suffix == ".traj":  # ase.io.write begins these anew every time
            with TrajectoryWriter(path, "a" if self._append else "w") as file:
                file.write(atoms)
        else:
            write(path, atoms, append=self._append)


def _check(
    steps: int,
    temperature: float | None,
    ensemble: str,
    timestep: float,
    friction: float,
    interval: int,
    seed: int,
) -> None:
    if steps < 1 or interval < 1:
        raise InvarionError(f"steps is {steps} and interval {interval}; both must be at least 1")
    if ensemble not in ("nve", "langevin"):
        raise InvarionError(f"ensemble is {ensemble!r}; give nve or langevin")
    if temperature is None and ensemble == "langevin":
        raise InvarionError("langevin needs a temperature to hold; give one in K")
    if temperature is not None and not 0 <= temperature < math.inf:
        raise InvarionError(f"temperature is {temperature}; give K, 0 or more")
    if not 0 < friction < math.inf:
        raise InvarionError(f"friction is {friction}; give 1/fs above 0 (0.001 to 0.05 is usual)")
    if seed < 0:
        raise InvarionError(f"seed is {seed}; give 0 or more")
    if not 0 < timestep <= 20:
        raise InvarionError(f"timestep is {timestep}; give fs between 0 and 20 (0.5 with hydrogen, 1 to 2 without)")


def _check_trajectory(path: str | Path | None) -> None:
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if path is None:
        return
    try:
        known = ioformats.get(filetype(str(path), read=False))
    except UnknownFileTypeError:
        known = None
    if known is None or not known.can_write:
        raise InvarionError(f"trajectory is {path}, whose ending names no format to write; use .traj or .extxyz")


def _check_spread(max_spread: float | None, atoms: "Atoms") -> None:
    if max_spread is None:
        return
    if not 0 < max_spread < math.inf:
        raise InvarionError(
            f"max_spread is {max_spread}; give eV/Angstrom above 0 (some times the model's force error)"
        )
    if math.isnan(_largest_spread(atoms)):
        raise InvarionError(
            "max_spread needs the potentials of a committee, and this calculator has one alone: join models that were "
            "trained with different seeds (invarion committee)"
        )


def _largest_spread(atoms: "Atoms") -> float:
    """Of the force on one atom; NaN where the calculator does not know any."""
    spread = getattr(atoms.calc, "results", {}).get("forces_spread")
    return math.nan if spread is None else float(np.linalg.norm(spread, axis=1).max())


def _draw_momenta(atoms: "Atoms", temperature: float, seed: int) -> None:
    """Maxwell-Boltzmann momenta without a drift of the whole, and for molecules without a rotation."""
    from ase import units
    from ase.md.velocitydistribution import Stationary, ZeroRotation

    spread = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(spread[:, None] * np.random.default_rng(seed).standard_normal((len(atoms), 3)))
    if len(atoms) > 1:
        Stationary(atoms)
    if len(atoms) > 2 and not atoms.pbc.any():
        ZeroRotation(atoms)


def _integrator(
    atoms: "Atoms", temperature: float | None, ensemble: Ensemble, timestep: float, friction: float, seed: int
) -> Any:
    from ase import units
    from ase.md.langevin import Langevin
    from ase.md.verlet import VelocityVerlet

    if ensemble == "nve":
        return VelocityVerlet(atoms, timestep * units.fs)
    bath = np.random.default_rng(seed + 1)
    friction = friction / units.fs
    # the centre of mass is left to the bath: holding it would bend the distribution of the others
    return Langevin(atoms, timestep * units.fs, temperature_K=temperature, friction=friction, rng=bath, fixcm=False)


def _physical(energies: list[float], temperatures: list[float], temperature: float | None) -> bool:
    limit = _HOT * max(temperature or 0.0, temperatures[0], 300.0)
    return math.isfinite(energies[-1]) and temperatures[-1] < limit


def _report(
    history: _History,
    ensemble: Ensemble,
    timestep: float,
    temperature: float | None,
    pace: float,
    max_spread: float | None,
) -> DynamicsReport:
    drift, drift_error, fluctuation = _slope(history.times, history.energies)
    late = history.temperatures[len(history.temperatures) // 2 :]
    kelvin, kelvin_error = float(late.mean()), _standard_error(late)
    largest = float(history.spreads.max())
    if not _physical(list(history.energies), list(history.temperatures), temperature):
        stable, verdict = False, _describe_failure(history)
    elif max_spread is not None and largest > max_spread:
        stable, verdict = False, _describe_doubt(history, max_spread)
    elif ensemble == "nve":
        stable, verdict = _judge_drift(drift, drift_error, float(history.times[-1]))
    else:
        stable, verdict = _judge_temperature(kelvin, kelvin_error, temperature or 0.0)
    steps = len(history.times) - 1
    return DynamicsReport(
        ensemble=ensemble,
        steps=steps,
        timestep=timestep,
        picoseconds=float(history.times[-1]),
        temperature=kelvin,
        temperature_error=kelvin_error,
        drift=drift if ensemble == "nve" else None,
        drift_error=drift_error if ensemble == "nve" else None,
        fluctuation=fluctuation,
        microseconds_per_atom_step=pace,
        largest_spread=None if math.isnan(largest) else largest,
        stable=stable,
        verdict=verdict,
    )


def _describe_failure(history: _History) -> str:
    return (
        f"unstable: stopped after {history.times[-1]:.3f} ps at {history.temperatures[-1]:.3g} K. The structure "
        "has left what the model was trained on, or the time step is too long: look at the last frames and try half "
        "the time step"
    )


def _describe_doubt(history: _History, max_spread: float) -> str:
    return (
        f"uncertain: stopped after {history.times[-1]:.3f} ps, where the committee's forces on an atom are "
        f"{history.spreads[-1]:.2g} eV/A apart (allowed: {max_spread:g}). Its data say too little about the last "
        "frame: label it and train with it"
    )


def _judge_drift(drift: float, error: float, picoseconds: float) -> tuple[bool, str]:
    """Energy is kept if the slope is small, or small within what a run of this length can tell."""
    if picoseconds < _SHORTEST:
        return True, f"too short to tell a drift from the vibrations: run {_SHORTEST} ps or more"
    if abs(drift) <= ACCEPTED_DRIFT:
        return True, f"energy is conserved: the drift is within {ACCEPTED_DRIFT} meV/atom/ps"
    if abs(drift) <= 2.0 * error:
        return True, f"no drift seen, but a run this short tells only drifts above {2.0 * error:.2g} meV/atom/ps"
    return False, (
        f"energy drifts by more than {ACCEPTED_DRIFT} meV/atom/ps: try half the time step; "
        "if the drift stays, the forces are not smooth enough here (run in float64 to rule out rounding)"
    )


def _judge_temperature(kelvin: float, error: float, target: float) -> tuple[bool, str]:
    """The bath holds its temperature within three standard errors or ten percent."""
    if abs(kelvin - target) <= max(3.0 * error, 0.1 * target):
        return True, "temperature is held; energy drift is measured in runs without a bath (--ensemble nve)"
    return False, f"temperature is off its target of {target:g} K: run longer, or lower the time step"


def _slope(times: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Slope of a line through the means of blocks, its standard error, and the spread of all values around the line.

    Neighbouring steps are correlated; means over blocks much less so, which keeps the error honest.
    """
    blocks = min(_BLOCKS, len(times))
    if blocks < 3 or not np.isfinite(values).all():
        return math.nan, math.nan, math.nan
    x = np.array([part.mean() for part in np.array_split(times, blocks)])
    y = np.array([part.mean() for part in np.array_split(values, blocks)])
    slope, offset = np.polyfit(x, y, 1)
    residual = y - slope * x - offset
    error = math.sqrt((residual**2).sum() / (blocks - 2) / ((x - x.mean()) ** 2).sum())
    return float(slope), error, float(np.std(values - slope * times - offset))


def _standard_error(values: np.ndarray) -> float:
    means = np.array([part.mean() for part in np.array_split(values, min(_BLOCKS, len(values)))])
    return float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.inf
