"""The ACE descriptor: A-basis values of every atom, and the invariant functions of them; plain torch."""

import numpy as np
import torch
from torch import Tensor, nn

from invarion.geometry import harmonics
from invarion.graphs import Graph
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.plan import Plan, compile_plan
from invarion.models.ace.radial import RadialFunctions

_BLOCK = 1 << 24  # largest number of values gathered at once by the plain path


class AceDescriptor(nn.Module):
    r"""A-basis values and invariants.

    .. math:: A_{i \mu q m} = \sum_{j \in \mu} R_q(r_{ij}) \, u_{lm}(\hat r_{ij}), \qquad
        B_{ik} = \sum_m Z_{i, a_k + m} Z_{i, b_k + m}

    with u the packed tensors of `invarion.geometry.harmonics` and Z the values A, their coupled pairs, and 1.

    Args:
        basis: the functions of each element.
        radial: the radial functions; their list must be the plan's.
        plan: `compile_plan(basis.functions, len(basis.species))`.

    References:
        R. Drautz, Phys. Rev. B 99, 014104 (2019), eqs. (7)-(30).
    """

    radial_of_component: Tensor
    angular_of_component: Tensor
    _term: Tensor
    _number: Tensor

    def __init__(self, basis: AceBasis, radial: RadialFunctions, plan: Plan) -> None:
        super().__init__()
        self.basis, self.radial, self.plan = basis, radial, plan
        self.max_rank = max(rank for _, rank in plan.radials)
        component = [q for q, (_, rank) in enumerate(plan.radials) for _ in range(2 * rank + 1)]
        rank_component = [rank**2 + m for _, rank in plan.radials for m in range(2 * rank + 1)]
        self.register_buffer("radial_of_component", torch.tensor(component), persistent=False)
        self.register_buffer("angular_of_component", torch.tensor(rank_component), persistent=False)
        terms = np.stack([plan.out, plan.one, plan.two])
        self.register_buffer("_term", torch.from_numpy(terms), persistent=False)
        self.register_buffer("_number", torch.from_numpy(plan.number), persistent=False)
        for element, dots in enumerate(plan.dots):
            self.register_buffer(f"_dots{element}", torch.from_numpy(_flat_dots(dots)), persistent=False)

    def edge_values(self, vectors: Tensor, center: Tensor, neighbor: Tensor) -> Tensor:
        """What edges add to A (E, W): vectors (E, 3) in Angstrom, elements of center and neighbor (E,)."""
        distances = vectors.norm(dim=1)
        radial = self.radial(distances, center, neighbor)
        angular = harmonics(vectors / distances[:, None], self.max_rank)
        return radial[:, self.radial_of_component] * angular[:, self.angular_of_component]

    def values(self, graph: Graph, index: Tensor) -> Tensor:
        """A-basis values (N, n_values) of a batch whose atoms have species indices index (N,)."""
        neighbor = index[graph.neighbors]
        edges = self.edge_values(graph.vectors, index[graph.centers], neighbor)
        rows = edges.new_zeros(graph.n_atoms * self.plan.n_species, self.plan.width)
        return rows.index_add(0, graph.centers * self.plan.n_species + neighbor, edges).view(graph.n_atoms, -1)

    def invariants(self, values: Tensor, element: int) -> Tensor:
        """Invariants (N, B) of atoms of one element from their A-basis values (N, n_values)."""
        dots = getattr(self, f"_dots{element}")
        n_rows = max(1, _BLOCK // (len(self._number) + dots.shape[1]))
        return torch.cat([self._invariants(part, dots, element) for part in values.split(n_rows)])

    def _invariants(self, values: Tensor, dots: Tensor, element: int) -> Tensor:
        out, one, two = self._term
        pairs = self._number.to(values.dtype) * values[:, one] * values[:, two]
        products = values.new_zeros(len(values), self.plan.n_products).index_add(1, out, pairs)
        z = torch.cat([values, products, torch.ones_like(values[:, :1])], 1)
        function, left, right = dots
        result = values.new_zeros(len(values), len(self.basis.functions[element]))
        return result.index_add(1, function, z[:, left] * z[:, right])

    def forward(self, graph: Graph, index: Tensor) -> list[Tensor]:
        """Invariants of each element's atoms: a list of (N_s, B_s), atoms in the order of the batch."""
        values = self.values(graph, index)
        return [self.invariants(values[index == s], s) for s in range(self.plan.n_species)]


def describe(basis: AceBasis) -> Plan:
    """The evaluation plan of a basis."""
    return compile_plan(basis.functions, len(basis.species))


def _flat_dots(dots) -> np.ndarray:
    """(3, T): function, left and right component of every term of every dot product."""
    function = np.repeat(np.arange(len(dots.width)), dots.width)
    step = np.arange(len(function)) - np.repeat(np.cumsum(dots.width) - dots.width, dots.width)
    return np.stack([function, dots.left[function] + step, dots.right[function] + step])
