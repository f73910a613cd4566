"""Rows of the linear problem: how energies, forces and virials depend on the coefficients of the functions."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from invarion.geometry import harmonics
from invarion.graphs import Graph
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.plan import Dots, GradientTerms, Plan, gradient_terms
from invarion.models.ace.readout import Linear

_ATOMS = 16  # atoms whose sensitivities are held at once
_FEW = 0.1  # part of a matrix that may differ from zero where a sparse product pays
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""xx, yy, zz, yz, xz, xy: the rows of strain."""


class Design(NamedTuple):
    """Derivatives of one structure's labels with respect to the coefficients; B counts functions of all elements.

    Attributes:
        energy: (B,) sum of each function over the atoms of its element.
        forces: (3N, B) rows x, y, z of atom 0, then atom 1, ...
        strain: (6, B) derivative with respect to strain, Voigt order xx, yy, zz, yz, xz, xy; (0, B) if not asked for.
    """

    energy: np.ndarray
    forces: np.ndarray
    strain: np.ndarray


class DesignBuilder:
    """Makes `Design` rows of structures for a descriptor and readouts whose parameters stay as they are.

    Args:
        descriptor: in float64.
        readouts: of each element, in float64; columns are their coefficients, at the values they have.
    """

    def __init__(self, descriptor: AceDescriptor, readouts: Sequence[Linear]) -> None:
        self.descriptor, self.readouts = descriptor, readouts
        self.plan = descriptor.plan
        self.terms = [gradient_terms(self.plan, dots) for dots in self.plan.dots]
        counts = [sum(weights.numel() for weights in readout.coefficients()) for readout in readouts]
        self.offsets = np.concatenate([[0], np.cumsum(counts)])

    @property
    def n_columns(self) -> int:
        """B, the number of coefficients."""
        return int(self.offsets[-1])

    @torch.no_grad()
    def __call__(self, graph: Graph, index: Tensor, strain: bool = True) -> Design:
        """Rows of one structure.

        Args:
            graph: one structure, float64, on the CPU.
            index: (N,) species indices.
            strain: whether to make the rows of the strain derivative.
        """
        edges, slopes = edge_slopes(self.descriptor, graph, index)
        neighbor = index[graph.neighbors].numpy()
        values = _sum_edges(edges, graph.centers.numpy() * self.plan.n_species + neighbor, graph.n_atoms, self.plan)
        design = Design(
            np.zeros(self.n_columns),
            np.zeros((graph.n_atoms, 3, self.n_columns)),
            np.zeros((6 if strain else 0, self.n_columns)),
        )
        starts = np.searchsorted(graph.centers.numpy(), np.arange(graph.n_atoms + 1))
        for element in range(self.plan.n_species):
            atoms = np.flatnonzero(index.numpy() == element)
            columns = slice(self.offsets[element], self.offsets[element + 1])
            sensitivities = self._sensitivities(element, values[atoms])
            for atom, (features, jacobian, bends) in zip(atoms.tolist(), sensitivities, strict=True):
                design.energy[columns] += features
                mine = slice(starts[atom], starts[atom + 1])
                rows = _bent(self._edge_rows(slopes[mine], neighbor[mine], jacobian), bends, len(features))
                _scatter(design, columns, atom, graph.neighbors[mine].numpy(), graph.vectors[mine].numpy(), rows)
        return design._replace(forces=design.forces.reshape(-1, self.n_columns))

    def _sensitivities(self, element: int, values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each atom, what its coefficients multiply (P,), the functions' slopes (B, n_values), and `bends` (S, B).

        Bends are the slopes in the functions of the last S of what coefficients multiply, as readouts give them.
        """
        dots, terms, readout = self.plan.dots[element], self.terms[element], self.readouts[element]
        for part in np.array_split(values, -(-len(values) // _ATOMS)) if len(values) else ():
            pairs = [jacobian_of_atom(self.plan, dots, terms, row) for row in part]
            invariants = torch.from_numpy(np.array([functions for functions, _ in pairs]))
            features, bends = (found.detach().numpy() for found in readout.sensitivities(invariants))
            for place, (_, jacobian) in enumerate(pairs):
                yield features[place], jacobian, bends[place]

    def _edge_rows(self, slopes: np.ndarray, neighbor: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """(E, 3, B): derivative of an atom's functions with respect to each of its edge vectors."""
        rows = np.empty((len(slopes), 3, len(jacobian)))
        for species in range(self.plan.n_species):
            edges = neighbor == species
            block = jacobian[:, species * self.plan.width : (species + 1) * self.plan.width]
            flat = slopes[edges].reshape(-1, self.plan.width)
            rows[edges] = (flat @ block.T).reshape(-1, 3, len(jacobian))
        return rows


def jacobian_of_atom(plan: Plan, dots: Dots, terms: GradientTerms, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Functions (B,) and their derivatives (B, n_values) with respect to one atom's A-basis values (n_values,)."""
    products = np.bincount(plan.out, plan.number * values[plan.one] * values[plan.two], plan.n_products)
    z = np.concatenate([values, products, [1.0]])
    flat = terms.number * z[terms.factor] * np.append(values, 1.0)[terms.other]
    n = len(dots.width)
    jacobian = np.bincount(terms.function * plan.n_values + terms.column, flat, n * plan.n_values)
    function = np.repeat(np.arange(n), dots.width)
    step = np.arange(len(function)) - np.repeat(np.cumsum(dots.width) - dots.width, dots.width)
    functions = np.bincount(function, z[dots.left[function] + step] * z[dots.right[function] + step], n)
    return functions, jacobian.reshape(n, plan.n_values)


def edge_slopes(descriptor: AceDescriptor, graph: Graph, index: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What each edge adds to A (E, W), and its derivative (E, 3, W): exact, by forward mode on both parts."""
    pair = index[graph.centers], index[graph.neighbors]
    distances = graph.vectors.norm(dim=1)
    ones = torch.ones_like(distances)
    radial, fall = torch.func.jvp(lambda r: descriptor.radial(r, *pair), (distances,), (ones,))[:2]

    def angular(vectors: Tensor) -> Tensor:
        return harmonics(vectors / vectors.norm(dim=1, keepdim=True), descriptor.max_rank)

    axes = torch.eye(3, dtype=graph.vectors.dtype)
    passes = [torch.func.jvp(angular, (graph.vectors,), (axis.expand_as(graph.vectors).contiguous(),)) for axis in axes]
    radial, fall = radial[:, descriptor.radial_of_component], fall[:, descriptor.radial_of_component]
    tensors = passes[0][0][:, descriptor.angular_of_component]
    turns = torch.stack([found[1] for found in passes], 1)[:, :, descriptor.angular_of_component]
    units = graph.vectors / distances[:, None]
    slopes = units[:, :, None] * (fall * tensors)[:, None, :] + radial[:, None, :] * turns
    return (radial * tensors).numpy(), slopes.numpy()


def _bent(rows: np.ndarray, bends: np.ndarray, n_columns: int) -> np.ndarray:
    """(E, 3, P) slopes of what coefficients multiply, from those of the functions, (E, 3, B)."""
    if not len(bends):
        return rows
    flat = rows.reshape(-1, rows.shape[2])
    # products of a few functions depend on these alone
    few = np.count_nonzero(bends) < _FEW * bends.size
    further = (csr_array(bends) @ flat.T).T if few else flat @ bends.T
    own = flat[:, : n_columns - len(bends)]
    return np.concatenate([own, further], 1).reshape(len(rows), 3, n_columns)


def _sum_edges(edges: np.ndarray, rows: np.ndarray, n_atoms: int, plan: Plan) -> np.ndarray:
    values = torch.zeros(n_atoms * plan.n_species, plan.width, dtype=torch.float64)
    return values.index_add(0, torch.from_numpy(rows), torch.from_numpy(edges)).numpy().reshape(n_atoms, -1)


def _scatter(
    design: Design, columns: slice, atom: int, neighbors: np.ndarray, vectors: np.ndarray, rows: np.ndarray
) -> None:
    """Add an atom's edge derivatives to the force rows of both ends and to the strain rows, in place."""
    design.forces[atom, :, columns] += rows.sum(0)
    for neighbor, row in zip(neighbors, rows, strict=True):
        design.forces[neighbor, :, columns] -= row
    if not len(design.strain):
        return
    flat = rows.reshape(-1, rows.shape[2])
    for voigt, (a, b) in enumerate(VOIGT):
        weights = np.zeros((len(vectors), 3))
        weights[:, b] += 0.5 * vectors[:, a]
        weights[:, a] += 0.5 * vectors[:, b]
        design.strain[voigt, columns] += weights.reshape(-1) @ flat
