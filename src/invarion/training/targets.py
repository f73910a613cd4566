"""Targets: labels made ready for a loss: no NaN, a weight for each, and the spreads that make losses comparable."""

from typing import NamedTuple

import torch
from torch import Tensor

from invarion.data.dataset import Labels
from invarion.graphs import Graph

_LEAST_ENERGY = 1e-3  # eV/atom
_LEAST_FORCE = 1e-2  # eV/Angstrom
_LEAST_STRAIN = 1e-3  # eV/atom


class Targets(NamedTuple):
    """What a batch should give. Labels that are missing are 0 and weigh 0.

    Attributes:
        energy: (S,) float64, eV.
        energy_weight: (S,) float64.
        per_atom: (S,) float64, 1 / number of atoms.
        forces: (N, 3), eV/Angstrom.
        forces_weight: (N,).
        stress: (S, 3, 3), eV/Angstrom^3.
        stress_weight: (S,).
        volume_per_atom: (S,), Angstrom^3; 1 / number of atoms without a three-dimensional cell.
        atom_weight: (N,) float64, weight of the atom's structure.
    """

    energy: Tensor
    energy_weight: Tensor
    per_atom: Tensor
    forces: Tensor
    forces_weight: Tensor
    stress: Tensor
    stress_weight: Tensor
    volume_per_atom: Tensor
    atom_weight: Tensor


class Counts(NamedTuple):
    """What means run over: structures with an energy, atoms with a force, structures with a stress, atoms."""

    energy: float
    forces: float
    stress: float
    atoms: float


class Spreads(NamedTuple):
    """What residuals are measured in, so that losses of different properties and data sets are comparable.

    Attributes:
        energy: eV/atom, mean absolute deviation of the energy per atom from the best sum of one energy per element.
        forces: eV/Angstrom, mean absolute force component.
        stress: eV/atom, mean absolute component of the strain derivative per atom, volume x stress / atoms.
    """

    energy: float
    forces: float
    stress: float


def make_targets(graph: Graph, labels: Labels, dtype: torch.dtype) -> Targets:
    """Targets of labelled structures.

    Args:
        graph: S structures with N atoms.
        labels: their labels, NaN where there is none.
        dtype: floating type of all fields but the energies.
    """
    atoms = _atoms_per_system(graph)
    forces_weight = (labels.weight * labels.forces_weight)[graph.system]
    volume = torch.where(graph.volume.isnan(), 1.0, graph.volume)
    energy, energy_weight = _masked(labels.energy.double(), labels.weight * labels.energy_weight)
    forces, forces_weight = _masked(labels.forces, forces_weight)
    stress, stress_weight = _masked(labels.stress, labels.weight * labels.stress_weight)
    return Targets(
        energy=energy,
        energy_weight=energy_weight.double(),
        per_atom=1.0 / atoms,
        forces=forces.to(dtype),
        forces_weight=forces_weight.to(dtype),
        stress=stress.to(dtype),
        # a stress of a structure without volume cannot be compared with anything
        stress_weight=torch.where(graph.volume.isnan(), 0.0, stress_weight).to(dtype),
        volume_per_atom=(volume / atoms).to(dtype),
        atom_weight=labels.weight[graph.system].double(),
    )


def count(targets: Targets) -> Counts:
    """How many labels of positive weight there are of each kind.

    Args:
        targets: of a whole set.
    """
    weights = (targets.energy_weight, targets.forces_weight, targets.stress_weight, targets.atom_weight)
    return Counts(*(float((weight > 0).sum()) for weight in weights))


def spreads(graph: Graph, targets: Targets) -> Spreads:
    """The natural units of the residuals of a data set; small sets get at least 1 meV/atom and 10 meV/Angstrom.

    Args:
        graph: S structures with N atoms.
        targets: theirs.
    """
    strain = targets.stress * targets.volume_per_atom[:, None, None]
    return Spreads(
        energy=max(_mean_size(_energy_deviation(graph, targets)), _LEAST_ENERGY),
        forces=max(_mean_size(targets.forces[targets.forces_weight > 0]), _LEAST_FORCE),
        stress=max(_mean_size(strain[targets.stress_weight > 0]), _LEAST_STRAIN),
    )


def _masked(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Values and weights with 0 for both where any component is missing."""
    known = values.isfinite().flatten(1).all(1) if values.dim() > 1 else values.isfinite()
    shape = (-1, *[1] * (values.dim() - 1))
    return torch.where(known.view(shape), values, 0.0), torch.where(known, weight, 0.0)


def _energy_deviation(graph: Graph, targets: Targets) -> Tensor:
    """Energies per atom of labelled structures without what their composition explains."""
    chosen = targets.energy_weight > 0
    elements, kind = graph.species.unique(return_inverse=True)
    composition = torch.zeros(graph.n_systems, len(elements), dtype=torch.float64)
    composition.index_put_((graph.system, kind), torch.ones(len(kind), dtype=torch.float64), accumulate=True)
    per_atom = targets.per_atom[chosen, None]
    shares, energies = composition[chosen] * per_atom, targets.energy[chosen, None] * per_atom
    return energies - shares @ torch.linalg.lstsq(shares, energies, driver="gelsd").solution


def _mean_size(values: Tensor) -> float:
    # not the mean square: a few extreme labels must not set the unit of all others
    return float(values.double().abs().mean()) if values.numel() else 0.0


def _atoms_per_system(graph: Graph) -> Tensor:
    return torch.bincount(graph.system, minlength=graph.n_systems).double()
