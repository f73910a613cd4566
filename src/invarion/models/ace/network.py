"""The ACE network: descriptor, readout per element, and an optional repulsive core."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from invarion.graphs import Graph
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.config import AceConfig
from invarion.models.ace.contraction import optimal_contraction
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.enumeration import Coupled
from invarion.models.ace.perceptron import Mlp
from invarion.models.ace.plan import compile_plan
from invarion.models.ace.radial import RadialFunctions
from invarion.models.ace.readout import Embedding, Kernel, Linear, Polynomial
from invarion.models.environment import runs_fused

if TYPE_CHECKING:
    from invarion.models.ace.fused import FusedAce


class AceNetwork(nn.Module):
    r"""Atomic energies :math:`E_i = f_{Z_i}(B_i)` of the invariants of each atom's environment.

    Args:
        config: settings.
        species: atomic numbers, ascending.
    """

    def __init__(self, config: AceConfig, species: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.species = config, species
        basis = config.build_basis(species)
        plan = compile_plan(basis.functions, len(species))
        self.descriptor = AceDescriptor(basis, _radial(config, species, plan.radials), plan)
        self.readouts = Readouts(build_readout(config, functions) for functions in basis.functions)
        self._fused: tuple[Any, FusedAce] | None = None

    @property
    def basis(self) -> AceBasis:
        """The functions of each element."""
        return self.descriptor.basis

    @torch.no_grad()
    def calibrate(self, graph: Graph, index: Tensor) -> None:
        """Adapt what depends on typical environments, before any fit: radial combinations, then standardisation.

        Args:
            graph: a batch of training structures.
            index: (N,) species indices.
        """
        if self.config.contraction == "optimal":
            optimal_contraction(self.descriptor, graph, index, self.config.n_principal)
        for readout, invariants in zip(self.readouts, self.descriptor(graph, index), strict=True):
            readout.calibrate(invariants)

    @property
    def linear(self) -> bool:
        """Whether the energy is linear in the functions, with nothing besides."""
        return all(type(readout) is Linear for readout in self.readouts)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Atomic energies (N, 1) in the potential's units; outside training, differentiable in the vectors alone.

        Args:
            graph: a batch.
            index: (N,) species indices.
        """
        fused = self._fused_for(graph)
        if fused is None:
            values = self.descriptor.values(graph, index)
            places = [torch.nonzero(index == s).squeeze(1) for s in range(len(self.readouts))]
            parts = [self.descriptor.invariants(values[atoms], s) for s, atoms in enumerate(places)]
            energies = self._read_out(parts, index)
        elif self.linear:
            energies = fused.energies(graph, index, [readout.weight for readout in self.readouts])
        else:
            energies = fused.read_out(graph, index, list(self.readouts))
        return energies[:, None]

    def _read_out(self, invariants: list[Tensor], index: Tensor) -> Tensor:
        """Energies (N,) from the functions of each element's atoms."""
        energies = invariants[0].new_zeros(len(index))
        for element, (readout, part) in enumerate(zip(self.readouts, invariants, strict=True)):
            energies = energies.index_put((torch.nonzero(index == element).squeeze(1),), readout(part))
        return energies

    def _fused_for(self, graph: Graph) -> "FusedAce | None":
        """The kernels, where they can be used: outside training, on a CPU, with numba; made anew if radials change."""
        if self.training or not runs_fused(graph.vectors):
            return None
        from invarion.models.ace.fused import FusedAce

        coefficients = self.descriptor.radial.coefficients
        key = (graph.vectors.dtype, coefficients.data_ptr(), coefficients._version)
        if self._fused is None or self._fused[0] != key:
            self._fused = key, FusedAce(self.descriptor, np.dtype(str(graph.vectors.dtype).removeprefix("torch.")))
        return self._fused[1]

    def __getstate__(self) -> dict[str, Any]:
        # compiled kernels are made again where the copy is used
        return {**self.__dict__, "_fused": None}


class Readouts(nn.ModuleList):
    """The readout of every element, in the order of the species."""

    def __iter__(self) -> Iterator[Linear]:
        return cast(Iterator[Linear], super().__iter__())


def build_readout(config: AceConfig, functions: Sequence[Coupled]) -> Linear:
    """The readout of one element with these functions."""
    n_functions, sizes = len(functions), torch.from_numpy(config.oscillations(functions))
    if config.readout == "polynomial":
        return Polynomial(n_functions, config.polynomial_degree, sizes, config.polynomial_budget)
    if config.readout == "kernel":
        return Kernel(n_functions, config.n_centers)
    if config.readout == "embedding":
        return Embedding(n_functions, config.n_densities)
    if config.readout == "mlp":
        return Mlp(n_functions, config.hidden, sizes, config.input_smoothness)
    return Linear(n_functions)


def _radial(config: AceConfig, species: tuple[int, ...], radials: tuple[tuple[int, int], ...]) -> RadialFunctions:
    largest = max(n for n, _ in radials)
    n_base = max(largest, config.n_base or (largest + 6 if config.contraction == "optimal" else largest))
    inner = (config.inner_cutoff, config.inner_width if config.inner_cutoff else 0.0)
    cutoffs = config.pair_cutoffs(species)
    return RadialFunctions(config.radial, config.radial_parameter, n_base, radials, cutoffs, inner)
