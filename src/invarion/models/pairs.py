"""A pair potential under a network: what two atoms do to each other on the average, and at distances never seen."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, diags_array, vstack
from scipy.sparse.linalg import cg
from torch import Tensor

from invarion.data.dataset import Sample
from invarion.graphs import Graph
from invarion.models.environment import runs_fused
from invarion.models.radial import cutoff_value
from invarion.models.zbl import COULOMB, DECAYS, STRENGTHS, inverse_length
from invarion.potential import DoubleBuffers

N_FUNCTIONS = 8
_LENGTH = 1.0  # Angstrom, over which functions vary
_STIFFNESS = 6  # power of k with which the square of the k-th coefficient is damped
_DAMPING = 1e-6  # of squares of coefficients beside the mean square of a column
_LARGE = 10.0  # mean forces; what is larger counts less
_ENERGY = 3.0  # weight of an energy per root of the number of atoms, beside that of a force component
_FREE = 1e-12  # the same for reference energies, which only have to be determined
_TOLERANCE = 1e-8
_STEPS = 5000


class PairPotential(DoubleBuffers):
    r"""Half of every pair's potential: screened nuclear repulsion, and smooth functions that were fitted to structures.

    .. math:: V_{ZZ'}(r) = f_c(r) \Big( a V^{ZBL}_{ZZ'}(r) + \sum_{k=0}^{7} c_{ZZ'k} \, x \, T_k(2x - 1) \Big), \qquad
        x = e^{-r / 1 \text{Å}}

    with Chebyshev polynomials T and the smooth cutoff function. All is zero until `fit`, which sets a = 1. At short
    range the repulsion outgrows what was fitted, so that atoms are pushed apart at any distance.

    Args:
        species: atomic numbers.
        cutoff: Angstrom.

    References:
        J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985).
    """

    coefficients: Tensor
    charges: Tensor
    scales: Tensor

    def __init__(self, species: tuple[int, ...], cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        shape = (len(species), len(species), 1 + N_FUNCTIONS)
        self.register_buffer("coefficients", torch.zeros(shape, dtype=torch.float64))
        numbers = torch.tensor(species, dtype=torch.float64, device="cpu")
        charges, scales = COULOMB * numbers[:, None] * numbers, inverse_length(numbers[:, None], numbers)
        self.register_buffer("charges", charges, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Energies (N,) in eV, float64, of a batch whose atoms have species indices index (N,)."""
        edges = (graph.vectors, graph.centers, graph.neighbors, index)
        every = (*edges, self.coefficients, self.charges, self.scales, self.cutoff, _LENGTH)
        energies = _fused_pairs(*every) if runs_fused(graph.vectors) else plain_pairs(*every)
        return energies.new_zeros(graph.n_atoms).index_add(0, graph.centers, energies)

    def fit(self, sample: Sample, index: Tensor, open_references: bool) -> None:
        r"""Coefficients by damped least squares of what the repulsion leaves over of forces and energies.

        .. math:: \sum_{i\alpha} w_i^2 (F_{i\alpha} - F^V_{i\alpha})^2
                  + \sum_s \frac{9}{N_s} \Big(E_s - E^V_s - \sum_Z n_{sZ} e_Z\Big)^2
                  + \lambda \sum_{ZZ'k} (1 + k)^6 c_{ZZ'k}^2

        Functions that wiggle are damped most: where distances have gaps, between neighbours and their neighbours, the
        potential is to pass smoothly. Forces far beyond the mean weigh less (:math:`w_i`), lest a few broken structures
        decide.

        Args:
            sample: labelled structures, in float64; energies are what lies above the references.
            index: (N,) species indices of its atoms.
            open_references: whether energies per element are still open (e_Z is fitted along), or right (e_Z = 0).
                Without labels or without pairs all stays zero.
        """
        self.coefficients.zero_()
        rows, target = _equations(self, sample, index, open_references)
        if not (len(target) and len(sample.graph.centers)):
            return  # a repulsion that nothing makes up for would be worse than nothing
        self.coefficients[..., 0] = 1.0
        place = _unordered(len(self.charges))
        n_coefficients = (int(place.max()) + 1) * N_FUNCTIONS
        found = _solve(rows, target, n_coefficients)
        self.coefficients[..., 1:] = torch.from_numpy(found).view(-1, N_FUNCTIONS)[place].to(self.coefficients.device)


def plain_pairs(
    vectors: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    index: Tensor,
    coefficients: Tensor,
    charges: Tensor,
    scales: Tensor,
    cutoff: float,
    length: float,
) -> Tensor:
    """Half of the energy of every edge's pair, (E,) in eV, float64, in plain torch operations.

    Args:
        vectors: (E, 3) in Angstrom.
        centers, neighbors: (E,) atoms at the ends.
        index: (N,) species indices of atoms.
        coefficients: (S, S, 1 + K) in eV, the first without unit.
        charges: (S, S), e^2 Z Z' / (4 pi epsilon_0) in eV Angstrom.
        scales: (S, S), inverse screening lengths in 1/Angstrom.
        cutoff: Angstrom.
        length: over which functions vary, Angstrom.
    """
    a, b = index[centers], index[neighbors]
    distances = torch.linalg.vector_norm(vectors.double(), dim=1)
    values = pair_functions(distances, charges[a, b], scales[a, b], cutoff, length)
    return 0.5 * (values * coefficients[a, b]).sum(1)


def pair_functions(distances: Tensor, charges: Tensor, scales: Tensor, cutoff: float, length: float) -> Tensor:
    """What coefficients weight: (E, 1 + K) in eV, of distances (E,) between charges (E,); see `plain_pairs`."""
    screened = sum(s * torch.exp(-d * scales * distances) for s, d in zip(STRENGTHS, DECAYS, strict=True))
    x = torch.exp(-distances / length)
    t = 2.0 * x - 1.0
    chebyshev = [x, x * t]
    while len(chebyshev) < N_FUNCTIONS:
        chebyshev.append(2.0 * t * chebyshev[-1] - chebyshev[-2])
    every = [charges / distances * screened, *chebyshev]
    return torch.stack(every, dim=1) * cutoff_value(distances, cutoff)[:, None]


def _fused_pairs(*arguments: Any) -> Tensor:
    from invarion.models.kernels.pairs_ops import pair_energies

    return pair_energies(*arguments)[0]


def _solve(rows: csr_array, target: np.ndarray, n_coefficients: int) -> np.ndarray:
    """Damped least squares; unknowns beyond the coefficients are free."""
    products = (rows.T @ rows).tocsr()
    squares = products.diagonal()
    stiffness = np.tile((1.0 + np.arange(N_FUNCTIONS)) ** _STIFFNESS, n_coefficients // N_FUNCTIONS)
    damping = np.full(len(squares), _FREE * squares[n_coefficients:].sum())
    damping[:n_coefficients] = _DAMPING * squares[:n_coefficients].mean() * stiffness
    matrix = products + diags_array(damping)
    jacobi = diags_array(1.0 / np.maximum(matrix.diagonal(), np.finfo(float).tiny))
    return cg(matrix, rows.T @ target, rtol=_TOLERANCE, maxiter=_STEPS, M=jacobi)[0][:n_coefficients]


def _equations(
    pairs: PairPotential, sample: Sample, index: Tensor, open_references: bool
) -> tuple[csr_array, np.ndarray]:
    """Weighted rows of (coefficients, references), and what they should give beyond the repulsion."""
    graph, labels = sample
    n_species = len(pairs.charges)
    a, b = index[graph.centers], index[graph.neighbors]
    place, lengths = _unordered(n_species)[a, b], torch.linalg.vector_norm(graph.vectors, dim=1)
    width = n_species * (n_species + 1) // 2 * N_FUNCTIONS
    values, slopes = _with_slopes(lengths, pairs.charges[a, b], pairs.scales[a, b], pairs.cutoff)
    columns = (place[:, None] * N_FUNCTIONS + torch.arange(N_FUNCTIONS))[:, None].expand(-1, 3, -1)
    units = graph.vectors / lengths[:, None]
    pulls = units[:, :, None] * slopes[:, None]  # what an edge does to its center; the neighbour has an edge of its own
    components = (3 * graph.centers[:, None] + torch.arange(3))[:, :, None].expand(columns.shape)
    of_forces = _sparse(pulls[:, :, 1:], components, columns, (3 * graph.n_atoms, width + n_species))
    repelled = torch.zeros(graph.n_atoms, 3, dtype=torch.float64).index_add(0, graph.centers, pulls[:, :, 0])

    systems = graph.system[graph.centers]
    of_energies = _sparse(
        0.5 * values[:, 1:],
        systems[:, None].expand(-1, N_FUNCTIONS),
        columns[:, 0],
        (graph.n_systems, width + n_species),
    )
    if open_references:
        ones = torch.ones(graph.n_atoms, dtype=torch.float64)
        of_energies = of_energies + _sparse(ones, graph.system, width + index, of_energies.shape)
    repulsion = torch.zeros(graph.n_systems, dtype=torch.float64).index_add(0, systems, 0.5 * values[:, 0])

    sizes = torch.linalg.vector_norm(labels.forces, dim=1)
    forces_weight = (labels.weight * labels.forces_weight)[graph.system] / (
        1.0 + sizes / (_LARGE * sizes.nanmean())
    ).square()
    energy_weight = (
        labels.weight * labels.energy_weight * _ENERGY**2 / torch.bincount(graph.system, minlength=graph.n_systems)
    )
    return _weighted(
        [of_forces, of_energies],
        [(labels.forces - repelled).flatten(), labels.energy - repulsion],
        [forces_weight.repeat_interleave(3), energy_weight],
    )


def _weighted(rows: list[csr_array], targets: list[Tensor], weights: list[Tensor]) -> tuple[csr_array, np.ndarray]:
    """Rows times roots of weights, those without a label or a weight left out."""
    target, weight = torch.cat(targets).numpy(), torch.cat(weights).sqrt().numpy()
    kept = np.flatnonzero(np.isfinite(target) & (weight > 0))
    return (diags_array(weight[kept]) @ vstack(rows, format="csr")[kept]).tocsr(), weight[kept] * target[kept]


def _sparse(values: Tensor, rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> csr_array:
    """A matrix of these entries; those at one place add up."""
    return coo_array((values.flatten().numpy(), (rows.flatten().numpy(), columns.flatten().numpy())), shape).tocsr()


def _with_slopes(distances: Tensor, charges: Tensor, scales: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Functions (E, 1 + K) and their slopes, in eV and eV/Angstrom."""
    distances = distances.detach().requires_grad_()
    values = pair_functions(distances, charges, scales, cutoff, _LENGTH)
    slopes = [torch.autograd.grad(column.sum(), distances, retain_graph=True)[0] for column in values.unbind(1)]
    return values.detach(), torch.stack(slopes, dim=1)


def _unordered(n_species: int) -> Tensor:
    """(S, S): number of the pair of two species, whichever comes first."""
    low, high = torch.triu_indices(n_species, n_species)
    place = torch.empty(n_species, n_species, dtype=torch.int64)
    place[low, high] = place[high, low] = torch.arange(len(low))
    return place
