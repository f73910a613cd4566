"""The ACE network: descriptor, readout per element, and an optional repulsive core."""

import torch
from torch import Tensor, nn

from invarion.graphs import Graph
from invarion.models.ace.config import AceConfig
from invarion.models.ace.contraction import optimal_contraction
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.plan import compile_plan
from invarion.models.ace.radial import RadialFunctions
from invarion.models.ace.readout import build_readout


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
        self.readouts = nn.ModuleList(build_readout(config, len(functions)) for functions in basis.functions)

    @property
    def basis(self):
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
            optimal_contraction(self.descriptor, graph, index)
        for readout, invariants in zip(self.readouts, self.descriptor(graph, index), strict=True):
            readout.calibrate(invariants)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Atomic energies (N, 1) in the potential's units.

        Args:
            graph: a batch.
            index: (N,) species indices.
        """
        values = self.descriptor.values(graph, index)
        energies = values.new_zeros(graph.n_atoms)
        for element, readout in enumerate(self.readouts):
            atoms = torch.nonzero(index == element).squeeze(1)
            if len(atoms):
                invariants = self.descriptor.invariants(values[atoms], element)
                energies = energies.index_put((atoms,), readout(invariants))
        return energies[:, None]


def _radial(config: AceConfig, species: tuple[int, ...], radials: tuple[tuple[int, int], ...]) -> RadialFunctions:
    largest = max(n for n, _ in radials)
    n_base = max(largest, config.n_base or (largest + 6 if config.contraction == "optimal" else largest))
    inner = (config.inner_cutoff, config.inner_width if config.inner_cutoff else 0.0)
    cutoffs = config.pair_cutoffs(species)
    return RadialFunctions(config.radial, config.radial_parameter, n_base, radials, cutoffs, inner)
