"""Fine-tuning: a potential that has weights meets data of another level of theory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from invarion.data.labels import structure_labels
from invarion.exceptions import DataError
from invarion.neighbors import place
from invarion.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms


def shift_references(potential: Potential, atoms: "Sequence[Atoms]") -> None:
    r"""Shift a potential's reference energies, in place, to the zero of energy of other structures.

    Levels of theory differ most by a constant per atom of each element, which no network should have to learn. The
    shifts :math:`\delta_Z` are the least-squares solution of least norm of

    .. math:: \sum_Z n_{sZ} \, \delta_Z = E_s - E_s^{predicted}

    so compositions that the structures cannot tell apart are shifted as little as possible.

    Args:
        potential: that is trained further.
        atoms: structures to train on, of elements that the potential knows; those without an energy do not count.

    Raises:
        DataError: no structure has an energy, or one has an element that the potential does not know.
    """
    energies = np.array(
        [structure_labels(each, where=place(each, i)).energy for i, each in enumerate(atoms)], dtype=float
    )
    known = [each for each, has in zip(atoms, np.isfinite(energies), strict=True) if has]
    if not known:
        raise DataError("no structure has an energy to shift reference energies to; give some an energy")
    wrong = energies[np.isfinite(energies)] - potential.predict(known, stress=False).energy
    counts = np.array([[np.count_nonzero(each.numbers == z) for z in potential.species] for each in known], dtype=float)
    shifts = np.linalg.lstsq(counts, wrong, rcond=None)[0]
    potential.references += torch.as_tensor(shifts, device=potential.device)
