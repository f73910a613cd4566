"""How far to trust an ACE potential: posterior spread of energies and forces, and extrapolation grades of atoms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.linalg

from invarion.exceptions import ConfigError, DataError
from invarion.models.ace.design import DesignBuilder
from invarion.neighbors import graph
from invarion.potential import Potential
from invarion.training.linear import ace_network
from invarion.training.regression import Solution

if TYPE_CHECKING:
    from ase import Atoms

_SWAP = 1.01  # a larger grade among the structures moves an atom into the active set


def posterior_spread(
    potential: Potential, solution: Solution, atoms: "Sequence[Atoms]"
) -> list[tuple[float, np.ndarray]]:
    """Standard deviations of energies and forces that the uncertainty of the coefficients brings.

    Args:
        potential: as `solve` left it.
        solution: what `solve` returned, of a method with a covariance.
        atoms: structures.

    Returns:
        For each structure, that of its energy (eV) and of its forces (N, 3) (eV/Angstrom), without the labels' noise.

    Raises:
        ConfigError: a solution without covariance ("sparse").
    """
    if solution.covariance_root is None:
        raise ConfigError('a "sparse" solution has no covariance; fit with "bayesian_ridge", "ridge" or "ard"')
    network = ace_network(potential)
    builder = DesignBuilder(network.descriptor, list(network.readouts))
    found = []
    for frame in atoms:
        g = graph(frame, potential.cutoff)
        design = builder(g, potential.species_index(g.species), strain=False)
        energy = float(np.linalg.norm(design.energy @ solution.covariance_root))
        forces = np.linalg.norm(design.forces @ solution.covariance_root, axis=1)
        found.append((energy, forces.reshape(-1, 3)))
    return found


@dataclass(frozen=True)
class ActiveSet:
    r"""Environments of training whose functions span the largest volume, per element.

    The grade of an atom is :math:`\gamma = \max_k |(B P A^{-1})_k|` with A the functions of the active environments in
    the directions P that the training structures fill; above 1 the atom lies outside of what they span.

    Attributes:
        species: atomic numbers.
        inverses: for each element, P A^-1 (B, r).

    References:
        E. Podryabinkin, A. Shapeev, Comput. Mater. Sci. 140, 171 (2017).
    """

    species: tuple[int, ...]
    inverses: tuple[np.ndarray, ...]

    def grades(self, potential: Potential, atoms: "Sequence[Atoms]") -> list[np.ndarray]:
        """Extrapolation grade (N,) of every atom of each structure.

        Args:
            potential: the one that the set was made for.
            atoms: structures.
        """
        found = []
        for frame in atoms:
            functions, index = _functions(potential, [frame])
            grade = np.zeros(len(frame))
            for element, inverse in enumerate(self.inverses):
                mine = index == element
                if mine.any():
                    grade[mine] = np.abs(functions[element] @ inverse).max(1)
            found.append(grade)
        return found


def active_set(potential: Potential, train: "Sequence[Atoms]") -> ActiveSet:
    """The environments of training structures that span the largest volume (MaxVol).

    Args:
        potential: of an `invarion.ace` config.
        train: structures.

    Raises:
        DataError: an element of the potential that the structures do not have.
    """
    functions, _ = _functions(potential, train)
    for element, rows in enumerate(functions):
        if not len(rows) or not np.abs(rows).max() > 0:
            raise DataError(f"no environment of element {potential.species[element]} in these structures")
    return ActiveSet(potential.species, tuple(_inverse_of_largest_volume(rows) for rows in functions))


def _inverse_of_largest_volume(rows: np.ndarray) -> np.ndarray:
    """(B, r): takes functions to coordinates in which the chosen rows are unit vectors."""
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    kept = directions[values > 1e-8 * values[0]].T
    projected = rows @ kept
    # the shape of the answer depends on `mode`, which its stub does not say
    _, order = cast(tuple[np.ndarray, np.ndarray], scipy.linalg.qr(projected.T, mode="r", pivoting=True))
    chosen = order[: kept.shape[1]].copy()
    coordinates = np.linalg.solve(projected[chosen].T, projected.T).T
    for _ in range(20 * len(chosen)):
        atom, place = divmod(int(np.abs(coordinates).argmax()), len(chosen))
        if abs(coordinates[atom, place]) < _SWAP:
            break
        chosen[place] = atom
        row = coordinates[atom].copy()
        row[place] -= 1.0
        coordinates -= np.outer(coordinates[:, place] / (row[place] + 1.0), row)
    return kept @ np.linalg.inv(projected[chosen])


def _functions(potential: Potential, atoms: "Sequence[Atoms]") -> tuple[list[np.ndarray], np.ndarray]:
    """Functions (N_s, B_s) of all atoms by element, and the element (N,) of each atom."""
    network = ace_network(potential)
    batch = graph(list(atoms), potential.cutoff)
    index = potential.species_index(batch.species)
    descriptor = network.descriptor
    parts = descriptor(batch.to(descriptor.radial.coefficients.dtype), index)
    return [part.detach().double().numpy() for part in parts], index.numpy()
