"""The least-squares fit of a pair potential to forces and energies."""

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
import torch
from scipy.sparse import coo_array, csr_array, diags_array, vstack
from scipy.sparse.linalg import cg
from torch import Tensor

from invarion.data.dataset import Sample

if TYPE_CHECKING:
    from invarion.models.pairs import PairPotential

_STIFFNESS = 6  # power of k with which the square of the k-th coefficient is damped
_DAMPING = 1e-6  # of squares of coefficients, beside the mean square of a column
_LARGE = 10.0  # median forces; what is larger counts less
_ENERGY = 3.0  # weight of an energy per root of the number of atoms, beside that of a force component
_FREE = 1e-12  # damping of reference energies, which only have to be determined
_WORTHWHILE = 0.9  # part of the labels that a fit may leave over, at most
_DIRECT = 3000  # unknowns up to which the equations are solved directly
_TOLERANCE = 1e-8
_STEPS = 5000


def fitted_coefficients(pairs: "PairPotential", sample: Sample, index: Tensor) -> Tensor:
    r"""Coefficients by damped least squares of what the repulsion leaves over of forces and energies.

    .. math:: \sum_{i\alpha} w_i^2 (F_{i\alpha} - F^V_{i\alpha})^2
              + \sum_s \frac{9}{N_s} \Big(E_s - E^V_s - \sum_Z n_{sZ} e_Z\Big)^2
              + \sum_{ZZ'k} \lambda_{ZZ'} (1 + k)^6 c_{ZZ'k}^2

    Functions that wiggle are damped most: where distances have gaps, between neighbours and their neighbours, the
    potential is to pass smoothly. :math:`\lambda_{ZZ'}` goes by how often a pair occurs, so that rare ones are fitted
    alike. Forces far beyond the median weigh less (:math:`w_i = 1 / (1 + F_i / 10 \tilde F)`), lest a few broken
    structures decide. Energies per element :math:`e_Z` are fitted along and forgotten.

    Args:
        pairs: whose coefficients are asked for.
        sample: structures in float64, on the CPU.
        index: (N,) species indices of its atoms.

    Returns:
        (S, S, 1 + K); zeros where there are no labels or no pairs, or where a tenth of them is not explained, as where
        forces are tiny beside the repulsion of neighbours.
    """
    coefficients = torch.zeros(pairs.coefficients.shape, dtype=torch.float64)
    rows, target, labels = _equations(pairs, sample, index)
    if not (len(target) and len(sample.graph.centers)):
        return coefficients
    place, n_functions = _unordered(len(coefficients)), coefficients.shape[2] - 1
    width = (int(place.max()) + 1) * n_functions
    graph = sample.graph
    occurrences = np.bincount(place[index[graph.centers], index[graph.neighbors]], minlength=width // n_functions)
    products, right = csr_array(rows.T @ rows), rows.T @ target
    found = _solve(products, right, _damping(products.diagonal(), occurrences, n_functions))
    if np.abs(target - rows @ found).sum() < _WORTHWHILE * _unexplained(rows[:, width:], labels):
        coefficients[..., 0] = 1.0
        coefficients[..., 1:] = torch.from_numpy(found[:width]).view(-1, n_functions)[place]
    return coefficients


def _damping(squares: np.ndarray, occurrences: np.ndarray, n_functions: int) -> np.ndarray:
    """What is added to the diagonal, for coefficients and then for reference energies."""
    width = n_functions * len(occurrences)
    usual = squares[:width].sum() / (n_functions * occurrences.sum())
    stiffness = (1.0 + np.arange(n_functions)) ** _STIFFNESS
    of_pairs = _DAMPING * usual * np.maximum(occurrences, 1)  # pairs that do not occur stay at zero
    free = np.full(len(squares) - width, _FREE * squares[width:].sum())
    return np.concatenate([np.outer(of_pairs, stiffness).ravel(), np.maximum(free, np.finfo(float).tiny)])


def _solve(products: csr_array, right: np.ndarray, damping: np.ndarray) -> np.ndarray:
    matrix = products + diags_array(damping)
    if len(right) <= _DIRECT:
        return scipy.linalg.solve(matrix.toarray(), right, assume_a="pos")
    # wherever it stops, it is nearer to the solution than zeros are; what it is worth is looked at by the caller
    jacobi = diags_array(np.reciprocal(matrix.diagonal()))
    return cg(matrix, right, rtol=_TOLERANCE, maxiter=_STEPS, M=jacobi)[0]


def _unexplained(compositions: csr_array, labels: np.ndarray) -> float:
    """What reference energies alone leave of weighted labels; not its squares, which a few structures would decide."""
    products = (compositions.T @ compositions).toarray()
    found = np.linalg.lstsq(products, compositions.T @ labels, rcond=None)[0]
    return float(np.abs(labels - compositions @ found).sum())


def _equations(pairs: "PairPotential", sample: Sample, index: Tensor) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """Weighted rows of (coefficients, references), what they should give beyond the repulsion, and in all."""
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
    of_energies = of_energies + _sparse(torch.ones(graph.n_atoms), graph.system, width + index, shape)
    repulsion = values.new_zeros(graph.n_systems).index_add(0, systems, 0.5 * values[:, 0])

    rows, target = csr_array(vstack([of_forces, of_energies])), torch.cat([labels.forces.flatten(), labels.energy])
    weight, repelling = _weights(sample).numpy(), torch.cat([repelled.flatten(), repulsion]).numpy()
    kept = np.flatnonzero(np.isfinite(target.numpy()) & (weight > 0))
    known, weight = weight[kept] * target.numpy()[kept], weight[kept]
    return csr_array(diags_array(weight) @ rows[kept]), known - weight * repelling[kept], known


def _weights(sample: Sample) -> Tensor:
    """(3 N + S,) of force components and energies; NaN or zero where there is no label."""
    graph, labels = sample
    sizes, n_atoms = (
        torch.linalg.vector_norm(labels.forces, dim=1),
        torch.bincount(graph.system, minlength=graph.n_systems),
    )
    usual = 1.0 + sizes / (_LARGE * sizes.nanmedian()).clamp(min=torch.finfo(sizes.dtype).tiny)
    of_forces = (labels.weight * labels.forces_weight)[graph.system].sqrt() / usual
    of_energies = _ENERGY * (labels.weight * labels.energy_weight / n_atoms).sqrt()
    return torch.cat([of_forces.repeat_interleave(3), of_energies])


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
