"""What a trained potential knows of every atom: the numbers its readout turns into energies."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from invarion.exceptions import ConfigError
from invarion.graphs import Graph
from invarion.models.ace.network import AceNetwork
from invarion.models.hip import HipNetwork
from invarion.neighbors import graph
from invarion.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms


class Features(NamedTuple):
    """Features of atoms (or of structures), one row each.

    Attributes:
        values: (N, F) float.
        names: F stable names, for instance "block2.17" or a function of an ACE basis.
        system: (N,) place of each row's structure in the list.
        numbers: (N,) atomic numbers; 0 for rows that stand for a structure.
    """

    values: np.ndarray
    names: tuple[str, ...]
    system: np.ndarray
    numbers: np.ndarray

    def per_structure(self) -> "Features":
        """Sums over the atoms of each structure."""
        totals = np.zeros((int(self.system.max(initial=-1)) + 1, self.values.shape[1]), self.values.dtype)
        np.add.at(totals, self.system, self.values)
        return Features(totals, self.names, np.arange(len(totals)), np.zeros(len(totals), dtype=np.int64))


def describe_atoms(potential: Potential, atoms: "Sequence[Atoms]") -> Features:
    """Features of every atom: of HIP models those of every block, of ACE models the invariant functions.

    Args:
        potential: any potential of this package.
        atoms: structures.

    Returns:
        Features; an ACE function of another element's atoms is 0.

    Raises:
        ConfigError: a network without features.
        DataError: an element that the potential does not know.
    """
    rows = [_describe(potential, structure) for structure in atoms]
    sizes = [len(structure) for structure in atoms]
    return Features(
        values=np.concatenate(rows),
        names=_names(potential, rows[0].shape[1]),
        system=np.repeat(np.arange(len(sizes)), sizes),
        numbers=np.concatenate([structure.numbers for structure in atoms]),
    )


@torch.no_grad()
def _describe(potential: Potential, structure: "Atoms") -> np.ndarray:
    batch = graph(structure, potential.cutoff, potential.dtype, potential.device)
    index = potential.species_index(batch.species)
    network = potential.network
    if isinstance(network, HipNetwork):
        parts = _blocks(network, batch, index)
    elif isinstance(network, AceNetwork):
        parts = _functions(network, batch, index)
    else:
        kind = getattr(potential.config, "kind", type(network).__name__)
        raise ConfigError(
            f"a {kind} model has no features to describe atoms with; take one of its members, if it has any"
        )
    return torch.cat(parts, dim=1).cpu().numpy()


def _blocks(network: HipNetwork, batch: Graph, index: Tensor) -> list[Tensor]:
    """What goes into every block's readout, the first (the species) left out."""
    read = network.readouts[1:]
    found: list[list[Tensor]] = [[] for _ in read]  # a readout is called once for each part of a large system

    def keep(block: int) -> Callable[..., None]:
        return lambda _, inputs: found[block].append(inputs[0])

    hooks = [readout.register_forward_pre_hook(keep(block)) for block, readout in enumerate(read)]
    try:
        network(batch, index)
    finally:
        for hook in hooks:
            hook.remove()
    return [torch.cat(pieces) for pieces in found]


def _functions(network: AceNetwork, batch: Graph, index: Tensor) -> list[Tensor]:
    """The functions of every element side by side, zero for atoms of other elements."""
    parts = network.descriptor(batch, index)
    wide = [part.new_zeros(len(index), part.shape[1]) for part in parts]
    return [
        w.index_put((torch.nonzero(index == s).squeeze(1),), p)
        for s, (w, p) in enumerate(zip(wide, parts, strict=True))
    ]


def _names(potential: Potential, count: int) -> tuple[str, ...]:
    network = potential.network
    if isinstance(network, AceNetwork):
        return tuple(name for names in network.basis.names for name in names)
    if isinstance(network, HipNetwork):
        widths = [r.in_features for r in network.readouts[1:] if isinstance(r, nn.Linear)]
        return tuple(f"block{block}.{place}" for block, width in enumerate(widths, start=1) for place in range(width))
    return tuple(str(place) for place in range(count))
