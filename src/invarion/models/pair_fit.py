"""The least-squares fit of a pair potential to forces and energies."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, diags_array, vstack
from scipy.sparse.linalg import cg
from torch import Tensor

from invarion.data.dataset import Sample

if TYPE_CHECKING:
    from invarion.models.pairs import PairPotential

_STIFFNESS = 6  # power of k with which the square of the k-th coefficient is damped
_DAMPING = 1e-6  # of squares of coefficients beside the mean square of a column
_LARGE = 10.0  # mean forces; what is larger counts less
_ENERGY = 3.0  # weight of an energy per root of the number of atoms, beside that of a force component
_FREE = 1e-12  # damping of reference energies, which only have to be determined
_TOLERANCE = 1e-8
_STEPS = 5000


def fitted_coefficients(pairs: "PairPotential", sample: Sample, index: Tensor, open_references: bool) -> Tensor:
    r"""Coefficients by damped least squares of what the repulsion leaves over of forces and energies.

    .. math:: \sum_{i\alpha} w_i^2 (F_{i\alpha} - F^V_{i\alpha})^2
              + \sum_s \frac{9}{N_s} \Big(E_s - E^V_s - \sum_Z n_{sZ} e_Z\Big)^2
              + \lambda \sum_{ZZ'k} (1 + k)^6 c_{ZZ'k}^2

    Functions that wiggle are damped most: where distances have gaps, between neighbours and their neighbours, the
    potential is to pass smoothly. Forces far beyond the mean weigh less (:math:`w_i = 1 / (1 + F_i / 10 \bar F)`), lest
    a few broken structures decide.

    Args:
        pairs: whose coefficients are asked for.
        sample: structures in float64, on the CPU; energies are what lies above the references.
        index: (N,) species indices of its atoms.
        open_references: whether energies per element are still open (e_Z is fitted along), or right (e_Z = 0).

    Returns:
        (S, S, 1 + K); zeros where there are no labels or no pairs.
    """
    coefficients = torch.zeros(pairs.coefficients.shape, dtype=torch.float64)
    rows, target = _equations(pairs, sample, index, open_references)
    if len(target) and len(sample.graph.centers):  # a repulsion that nothing makes up for is worse than nothing
        place = _unordered(len(coefficients))
        n_functions = coefficients.shape[2] - 1
        found = _solve(rows, target, (int(place.max()) + 1) * n_functions, n_functions)
        coefficients[..., 0] = 1.0
        coefficients[..., 1:] = torch.from_numpy(found).view(-1, n_functions)[place]
    return coefficients


def _solve(rows: csr_array, target: np.ndarray, n_coefficients: int, n_functions: int) -> np.ndarray:
    """Damped least squares; unknowns beyond the coefficients are free."""
    products = csr_array(rows.T @ rows)
    squares = products.diagonal()
    stiffness = np.tile((1.0 + np.arange(n_functions)) ** _STIFFNESS, n_coefficients // n_functions)
    damping = np.full(len(squares), _FREE * squares[n_coefficients:].sum())
    damping[:n_coefficients] = _DAMPING * squares[:n_coefficients].mean() * stiffness
    matrix = products + diags_array(damping)
    jacobi = diags_array(1.0 / np.maximum(matrix.diagonal(), np.finfo(float).tiny))
    return cg(matrix, rows.T @ target, rtol=_TOLERANCE, maxiter=_STEPS, M=jacobi)[0][:n_coefficients]


def _equations(
    pairs: "PairPotential", sample: Sample, index: Tensor, open_references: bool
) -> tuple[csr_array, np.ndarray]:
    """Weighted rows of (coefficients, references), and what they should give beyond the repulsion."""
    graph, labels = sample
    n_species, n_functions = len(pairs.coefficients), pairs.coefficients.shape[2] - 1
    a, b = index[graph.centers], index[graph.neighbors]
    width = (n_species * (n_species + 1) // 2) * n_functions
    columns = _unordered(n_species)[a, b][:, None] * n_functions + torch.arange(n_functions)
    lengths = torch.linalg.vector_norm(graph.vectors, dim=1)
    values, slopes = _with_slopes(pairs, lengths, a, b)

    # what an edge does to its center; the neighbour has an edge of its own
    pulls = (graph.vectors / lengths[:, None])[:, :, None] * slopes[:, None]
    components = 3 * graph.centers[:, None] + torch.arange(3)
    shape = (3 * graph.n_atoms, width + n_species)
    of_forces = _sparse(pulls[:, :, 1:], components[:, :, None], columns[:, None], shape)
    repelled = pulls.new_zeros(graph.n_atoms, 3).index_add(0, graph.centers, pulls[:, :, 0])

    systems, shape = graph.system[graph.centers], (graph.n_systems, width + n_species)
    of_energies = _sparse(0.5 * values[:, 1:], systems[:, None], columns, shape)
    if open_references:
        of_energies = of_energies + _sparse(torch.ones(graph.n_atoms), graph.system, width + index, shape)
    repulsion = values.new_zeros(graph.n_systems).index_add(0, systems, 0.5 * values[:, 0])

    sizes, n_atoms = torch.linalg.vector_norm(labels.forces, dim=1), torch.bincount(graph.system)
    usual = (1.0 + sizes / (_LARGE * sizes.nanmean())).square()
    forces_weight = (labels.weight * labels.forces_weight)[graph.system] / usual
    return _weighted(
        [of_forces, of_energies],
        [(labels.forces - repelled).flatten(), labels.energy - repulsion],
        [forces_weight.repeat_interleave(3), labels.weight * labels.energy_weight * _ENERGY**2 / n_atoms],
    )


def _weighted(rows: list[csr_array], targets: list[Tensor], weights: list[Tensor]) -> tuple[csr_array, np.ndarray]:
    """Rows times roots of weights, those without a label or a weight left out."""
    target, weight = torch.cat(targets).numpy(), torch.cat(weights).sqrt().numpy()
    kept = np.flatnonzero(np.isfinite(target) & (weight > 0))
    return csr_array(diags_array(weight[kept]) @ csr_array(vstack(rows))[kept]), weight[kept] * target[kept]


def _sparse(values: Tensor, rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> csr_array:
    """A matrix of these entries; those at one place add up."""
    places = tuple(place.expand(values.shape).flatten().numpy() for place in (rows, columns))
    return coo_array((values.double().flatten().numpy(), places), shape).tocsr()


def _with_slopes(pairs: "PairPotential", distances: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Functions (E, 1 + K) and their slopes, in eV and eV/Angstrom."""
    distances = distances.detach().requires_grad_()
    values = pairs.functions(distances, a, b)
    slopes = [torch.autograd.grad(column.sum(), distances, retain_graph=True)[0] for column in values.unbind(1)]
    return values.detach(), torch.stack(slopes, dim=1)


def _unordered(n_species: int) -> Tensor:
    """(S, S): number of the pair of two species, whichever comes first."""
    low, high = torch.triu_indices(n_species, n_species)
    place = torch.empty(n_species, n_species, dtype=torch.int64)
    place[low, high] = place[high, low] = torch.arange(len(low))
    return place
