"""A pair potential under a network: what two atoms do to each other on the average, and at distances never seen."""

from typing import Any

import torch
from torch import Tensor

from invarion.data.dataset import Sample
from invarion.graphs import Graph
from invarion.models.environment import runs_fused
from invarion.models.radial import cutoff_value
from invarion.models.zbl import COULOMB, DECAYS, STRENGTHS, inverse_length
from invarion.potential import DoubleBuffers

N_FUNCTIONS = 8
_LENGTH = 1.0  # Angstrom, over which functions vary


class PairPotential(DoubleBuffers):
    r"""Half of every pair's potential: screened nuclear repulsion, and smooth functions that were fitted to structures.

    .. math:: V_{ZZ'}(r) = f_c(r) \Big( a V^{ZBL}_{ZZ'}(r) + \sum_{k=0}^{7} c_{ZZ'k} \, x \, T_k(2x - 1) \Big), \qquad
        x = e^{-r / 1 \text{Å}}

    with Chebyshev polynomials T and the smooth cutoff function. All is zero until `fit`, which sets a = 1 where that is
    worth it. At short range the repulsion outgrows what was fitted, so that atoms are pushed apart at any distance.

    Args:
        species: atomic numbers.
        cutoff: Angstrom.

    References:
        J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985).
    """

    coefficients: Tensor
    charges: Tensor
    inverse_lengths: Tensor

    def __init__(self, species: tuple[int, ...], cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        shape = (len(species), len(species), 1 + N_FUNCTIONS)
        self.register_buffer("coefficients", torch.zeros(shape, dtype=torch.float64))
        numbers = torch.tensor(species, dtype=torch.float64, device="cpu")
        charges = COULOMB * numbers[:, None] * numbers
        self.register_buffer("charges", charges, persistent=False)
        self.register_buffer("inverse_lengths", inverse_length(numbers[:, None], numbers), persistent=False)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Energies (N,) in eV, float64, of a batch whose atoms have species indices index (N,)."""
        edges = (graph.vectors, graph.centers, graph.neighbors, index)
        every = (*edges, self.coefficients, self.charges, self.inverse_lengths, self.cutoff, _LENGTH)
        energies = _fused_pairs(*every) if runs_fused(graph.vectors) else plain_pairs(*every)
        return energies.new_zeros(graph.n_atoms).index_add(0, graph.centers, energies)

    def functions(self, distances: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """What coefficients weight: (E, 1 + K) in eV, for distances (E,) between species of indices a and b (E,)."""
        return pair_functions(distances, self.charges[a, b], self.inverse_lengths[a, b], self.cutoff, _LENGTH)

    def fit(self, sample: Sample, index: Tensor) -> None:
        """Take the coefficients that fit labelled structures best (`invarion.models.pair_fit`).

        Args:
            sample: structures in float64, on the CPU.
            index: (N,) species indices of its atoms.
        """
        from invarion.models.pair_fit import fitted_coefficients

        self.coefficients.copy_(fitted_coefficients(self, sample, index))


def plain_pairs(
    vectors: Tensor,
    centers: Tensor,
    neighbors: Tensor,
    index: Tensor,
    coefficients: Tensor,
    charges: Tensor,
    inverse_lengths: Tensor,
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
        inverse_lengths: (S, S), inverse screening lengths in 1/Angstrom.
        cutoff: Angstrom.
        length: over which functions vary, Angstrom.
    """
    a, b = index[centers], index[neighbors]
    distances = torch.linalg.vector_norm(vectors.double(), dim=1)
    values = pair_functions(distances, charges[a, b], inverse_lengths[a, b], cutoff, length)
    return 0.5 * (values * coefficients[a, b]).sum(1)


def pair_functions(distances: Tensor, charges: Tensor, inverse_lengths: Tensor, cutoff: float, length: float) -> Tensor:
    """What coefficients weight: (E, 1 + K) in eV, of distances (E,) between charges (E,); see `plain_pairs`."""
    screened = sum(s * torch.exp(-d * inverse_lengths * distances) for s, d in zip(STRENGTHS, DECAYS, strict=True))
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
