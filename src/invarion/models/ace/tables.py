"""Functions of all atoms of a structure and their derivatives, kept: what a readout needs of structures that stay."""

from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from invarion.graphs import Graph
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.design import edge_slopes
from invarion.models.ace.plan import gradient_terms


class Table(NamedTuple):
    """Functions of one structure's atoms of one element, and their derivatives with respect to edge vectors.

    Attributes:
        atoms: (n,) places of the atoms in the structure.
        invariants: (n, B) float64.
        slopes: (n, 3 M, B) float32, x, y and z of each of up to M edges in turn, 1/Angstrom; zero where there is none.
        neighbors: (n, M) atoms at the other ends; the number of atoms of the structure where there is no edge.
        vectors: (n, M, 3) float32, edge vectors in Angstrom; zero where there is none.
    """

    atoms: Tensor
    invariants: Tensor
    slopes: Tensor
    neighbors: Tensor
    vectors: Tensor

    def pull(self, slopes: Tensor, n_atoms: int) -> tuple[Tensor, Tensor]:
        r"""From derivatives in the functions to forces and strain derivative.

        .. math:: g_{ie} = \sum_k \frac{\partial E_i}{\partial B_{ik}} \frac{\partial B_{ik}}{\partial v_{ie}}, \qquad
                  F_i = \sum_e g_{ie} - \sum_{je \to i} g_{je}, \quad W = \sum_{ie} v_{ie} \otimes g_{ie}

        Args:
            slopes: (n, B) dE_i/dB of every atom.
            n_atoms: N of the structure.

        Returns:
            Forces (N, 3) and strain derivative (3, 3), symmetric.
        """
        g = torch.bmm(self.slopes, slopes[:, :, None]).view(*self.neighbors.shape, 3)
        forces = g.new_zeros(n_atoms + 1, 3).index_add(0, self.atoms, g.sum(1))
        forces = forces.index_add(0, self.neighbors.flatten(), g.flatten(0, 1), alpha=-1)
        strain = self.vectors.flatten(0, 1).T @ g.flatten(0, 1)
        return forces[:-1], 0.5 * (strain + strain.T)

    def rows(self, n_atoms: int) -> tuple[Tensor, Tensor]:
        """`pull` of each function by itself: forces (N, 3, B) and strain derivatives (3, 3, B)."""
        each = self.slopes.view(*self.neighbors.shape, 3, -1)
        forces = each.new_zeros(n_atoms + 1, *each.shape[2:]).index_add(0, self.atoms, each.sum(1))
        forces = forces.index_add(0, self.neighbors.flatten(), each.flatten(0, 1), alpha=-1)
        strain = torch.einsum("nma,nmbk->abk", self.vectors, each)
        return forces[:-1], 0.5 * (strain + strain.transpose(0, 1))


class Tabulator:
    """Makes the tables of structures, all atoms of a structure at once.

    Args:
        descriptor: in float64.
    """

    def __init__(self, descriptor: AceDescriptor) -> None:
        self.descriptor, self.plan = descriptor, descriptor.plan
        shape = (self.plan.n_products, len(self.plan.out))
        self._products = scipy.sparse.csr_matrix((self.plan.number, (self.plan.out, np.arange(shape[1]))), shape)
        self._terms = [gradient_terms(self.plan, dots) for dots in self.plan.dots]
        self._sums = []
        for terms in self._terms:
            entries, rows = np.unique(terms.function * self.plan.n_values + terms.column, return_inverse=True)
            shape = (len(entries), len(rows))
            sums = scipy.sparse.csr_matrix((terms.number, (rows, np.arange(shape[1]))), shape)
            self._sums.append((torch.from_numpy(entries), sums))

    @torch.no_grad()
    def __call__(self, graph: Graph, index: Tensor) -> list[Table]:
        """A table per element.

        Args:
            graph: one structure, float64, on the CPU.
            index: (N,) species indices.
        """
        _, slopes = edge_slopes(self.descriptor, graph, index)
        values = self.descriptor.values(graph, index)
        edges = torch.bincount(graph.centers, minlength=graph.n_atoms)
        place = torch.arange(len(graph.centers)) - (edges.cumsum(0) - edges)[graph.centers]
        most = max(1, int(edges.max())) if graph.n_atoms else 1
        neighbors = torch.full((graph.n_atoms, most), graph.n_atoms)
        neighbors[graph.centers, place] = graph.neighbors
        vectors = torch.zeros(graph.n_atoms, most, 3)
        vectors[graph.centers, place] = graph.vectors.float()
        falls = torch.zeros(graph.n_atoms, most, 3, self.plan.n_species, self.plan.width)
        falls[graph.centers, place, :, index[graph.neighbors]] = torch.from_numpy(slopes).float()
        falls = falls.view(graph.n_atoms, 3 * most, self.plan.n_values)
        tables = []
        for element in range(self.plan.n_species):
            atoms = torch.nonzero(index == element).squeeze(1)
            found = torch.bmm(falls[atoms], self._jacobians(values[atoms].numpy(), element))
            invariants = self.descriptor.invariants(values[atoms], element)
            tables.append(Table(atoms, invariants, found, neighbors[atoms], vectors[atoms]))
        return tables

    def _jacobians(self, values: np.ndarray, element: int) -> Tensor:
        """(n, n_values, B) float32 derivatives of the functions with respect to the A-basis values (n, n_values)."""
        a, ones = values.T, np.ones((1, len(values)))
        products = self._products @ (a[self.plan.one] * a[self.plan.two])
        z, a = np.concatenate([a, products, ones]), np.concatenate([a, ones])
        terms, (entries, sums) = self._terms[element], self._sums[element]
        n_functions = len(self.plan.dots[element].width)
        found = torch.zeros(n_functions * self.plan.n_values, len(values))
        found[entries] = torch.from_numpy(sums @ (z[terms.factor] * a[terms.other])).float()
        return found.view(n_functions, self.plan.n_values, -1).permute(2, 1, 0).contiguous()
