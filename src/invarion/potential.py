"""Potential: a network with species, reference energies and scale; the one place that takes a derivative."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor, nn

from invarion.data.dataset import Sample, chunks, collate, samples
from invarion.data.statistics import Explained, energy_scale, less_explained, reference_energies
from invarion.exceptions import ConfigError, DataError
from invarion.graphs import Graph, concatenate
from invarion.neighbors import graph as build_graph
from invarion.neighbors import place

if TYPE_CHECKING:
    from ase import Atoms

_EDGES_AT_ONCE = 200_000  # prediction works through long lists in parts of about this many edges


class Prediction(NamedTuple):
    """What a potential says of a batch: tensors from `forward`, numpy arrays from `predict`.

    Attributes:
        energy: (S,) float64, eV, reference energies included.
        forces: (N, 3), eV/Angstrom; None where they were not asked for.
        stress: (S, 3, 3), eV/Angstrom^3, +(1/V) dE/dstrain; NaN without a three-dimensional cell; None if not
            asked for.
        energies: (N,) float64, eV, each atom's share; they sum to `energy`.
        terms: (N, T) float64, eV, the share of every hierarchical block (the reference energy is in the first); they
            sum to `energies`.
    """

    energy: Any
    forces: Any
    stress: Any
    energies: Any
    terms: Any


class ModelConfig(Protocol):
    """What a potential needs of a model's settings: a cutoff in Angstrom and a way to build the network."""

    @property
    def cutoff(self) -> float: ...

    def network(self, species: tuple[int, ...]) -> nn.Module: ...


class DoubleBuffers(nn.Module):
    """A module whose own buffers stay float64 whatever floating type it and its children are moved to."""

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        kept = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, value in kept.items():
            moved = self._buffers[name]
            if value is not None and moved is not None:
                self._buffers[name] = value.to(moved.device)
        return self


class Potential(DoubleBuffers):
    r"""Energies of atoms, and all that follows from them by one derivative.

    .. math:: E = \sum_i \Big( E^0_{Z_i} + V_i + \epsilon \sum_t u_{it} \Big), \qquad g_e = \partial E / \partial v_e

    with :math:`u` the network's terms, :math:`\epsilon` the scale, :math:`E^0` the reference energies and
    V a potential of pairs of atoms where the settings ask for one, a repulsion or a fitted one. Forces are
    :math:`F_i = \sum_{e: i(e) = i} g_e - \sum_{e: j(e) = i} g_e` and the strain derivative is
    :math:`W = \sum_e v_e \otimes g_e`, so that stress = W / V and virial = -W.

    The network may run in float32; references are added in float64, because they are large.

    Args:
        config: a model's settings, for instance `invarion.hip_hop_nn(cutoff=5.5)`.
        species: atomic numbers that the potential knows.
        references: eV per atom of each species, in the same order; zeros if not given.
        scale: eV per unit of the network's output.
        network: that the settings describe; a new one with random weights if not given.

    Raises:
        ConfigError: not as many references as species.
    """

    references: Tensor
    scale: Tensor
    _index: Tensor

    def __init__(
        self,
        config: ModelConfig,
        species: Sequence[int],
        references: Sequence[float] | None = None,
        scale: float = 1.0,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.species = tuple(int(z) for z in species)
        self.network = config.network(self.species) if network is None else network
        pairs = getattr(config, "pairs", None)
        self.pairs: nn.Module | None = None if pairs is None else pairs(self.species)
        references = [0.0] * len(self.species) if references is None else list(references)
        if len(references) != len(self.species):
            raise ConfigError(f"{len(references)} references for {len(self.species)} species; give one for each, in eV")
        self.register_buffer("references", torch.tensor(references, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.register_buffer("_index", _species_index(self.species), persistent=False)

    @classmethod
    def from_data(
        cls,
        config: ModelConfig,
        atoms: "Sequence[Atoms]",
        references: Any = "least_squares",
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> "Potential":
        """A new potential whose species, reference energies and scale are those of labelled structures.

        Args:
            config: a model's settings.
            atoms: labelled structures.
            references: "least_squares" over compositions, "isolated" (frames of one atom), "zero", or a dict from
                symbol or atomic number to eV.
            seed: of the random initial weights; the global random state is left untouched.
            dtype: floating type of the network.

        Raises:
            DataError: no structure, one without atoms, or no energies to fit references to.
        """
        for where, structure in enumerate(atoms):
            if not len(structure):
                raise DataError(f"{place(structure, where)}: has no atoms; leave it out")
        found = reference_energies(atoms, references)
        species = tuple(found.species)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # settings may depend on the structures (a basis chosen by them) and may fix the scale
            adapt = getattr(config, "adapted", None)
            config = config if adapt is None else adapt(atoms)
            potential = cls(config, species, list(found.energies)).to(dtype)
            explained = _fit_pairs(potential, atoms)
            if explained is not None:
                found = less_explained(found, atoms, explained.energy)
                potential.references.copy_(torch.tensor(found.energies, dtype=torch.float64))
            scale = getattr(config, "scale", None) or energy_scale(atoms, found, explained)
            potential.scale.fill_(scale)
        calibrate = getattr(potential.network, "calibrate", None)
        if calibrate is not None:
            sample = build_graph(list(atoms[:: max(1, len(atoms) // 32)]), config.cutoff, potential.dtype)
            calibrate(sample, potential.species_index(sample.species))
        return potential

    @property
    def cutoff(self) -> float:
        """Largest distance in Angstrom over which two atoms see each other directly."""
        return float(self.config.cutoff)

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the network."""
        return next((p.dtype for p in self.network.parameters()), torch.float64)

    @property
    def device(self) -> torch.device:
        """Where the tensors of the potential are."""
        return self.references.device

    def species_index(self, numbers: Tensor) -> Tensor:
        """Place of each atomic number in `species`.

        Args:
            numbers: (N,) int64 atomic numbers.

        Raises:
            DataError: an element that the potential does not know.
        """
        index = self._index[numbers.clamp(0, len(self._index) - 1)]
        if bool((index < 0).any()):
            raise DataError(_unknown(numbers[index < 0], self.species))
        return index

    def forward(self, graph: Graph, forces: bool = True, stress: bool = False, pairs: bool = True) -> Prediction:
        """Energies, and the derivatives asked for; differentiable to the parameters in training mode.

        Args:
            graph: a batch on the potential's device with edges up to its cutoff.
            forces: whether to compute forces.
            stress: whether to compute stress.
            pairs: whether the pair potential is in it; training takes it off the labels instead (`pair_share`).

        Returns:
            Prediction of tensors.

        Raises:
            DataError: an element that the potential does not know.
        """
        index = self.species_index(graph.species)
        vectors = graph.vectors.detach().to(self.dtype).requires_grad_(forces or stress)
        with torch.set_grad_enabled(forces or stress or torch.is_grad_enabled()):
            moved = graph._replace(vectors=vectors)
            network_terms = self.network(moved, index)
            share = self.pairs(moved, index).double() if pairs and self.pairs is not None else None
            total = network_terms.sum() if share is None else network_terms.sum() + share.sum() / self.scale
            g = _edge_derivative(total, vectors, self.training) if forces or stress else None
        known = self.references[index] if share is None else self.references[index] + share
        terms = network_terms.double() * self.scale
        terms = torch.cat([terms[:, :1] + known[:, None], terms[:, 1:]], dim=1)
        slope = None if g is None else g * self.scale.to(g.dtype)
        found = _prediction(terms, slope, vectors, graph, forces, stress)
        return found if self.training else Prediction(*(None if x is None else x.detach() for x in found))

    def pair_share(self, parts: Sequence[Sample]) -> Prediction | None:
        """What the pair potential alone says of structures, without references: energy, forces and stress in float64.

        Args:
            parts: one or more, in one order with what is returned, and on one device.

        Returns:
            Prediction of tensors on the CPU, whose energies and terms are None; None where there is no pair potential.
        """
        if self.pairs is None:
            return None
        shares = [self._pair_share(self.pairs, part.graph.to(self.device)) for part in chunks(parts, _EDGES_AT_ONCE)]
        fields = zip(*(share[:3] for share in shares), strict=True)
        energy, forces, stress = (torch.cat(field).cpu() for field in fields)
        return Prediction(energy, forces, stress, None, None)

    def _pair_share(self, pairs: nn.Module, graph: Graph) -> Prediction:
        vectors = graph.vectors.detach().double().requires_grad_()
        with torch.enable_grad():
            terms = pairs(graph._replace(vectors=vectors), self.species_index(graph.species)).double()[:, None]
            slope = _edge_derivative(terms.sum(), vectors, False)
        return _prediction(terms.detach(), slope, vectors.detach(), graph, True, True)

    def predict(self, atoms: "Sequence[Atoms] | Atoms", stress: bool = True) -> Prediction:
        """Energies, forces and stress of structures as numpy arrays; works through long lists in parts.

        Args:
            atoms: structures in Angstrom.
            stress: whether to compute stress (NaN for structures without a three-dimensional cell).

        Returns:
            Prediction of float64 numpy arrays; atoms of all structures in one row after another.

        Raises:
            DataError: no structures, an unknown element or an unusable geometry, naming the structure.
        """
        structures = atoms if isinstance(atoms, Sequence) else [atoms]
        if not structures:
            raise DataError("there are no structures to predict; give at least one")
        training = self.training
        self.eval()
        try:
            parts = [self(part, forces=True, stress=stress) for part in self._parts(structures)]
        finally:
            self.train(training)
        return Prediction(*(_join(field) for field in zip(*parts, strict=True)))

    def _parts(self, structures: "Sequence[Atoms]") -> Any:
        """Batches of whole structures with about `_EDGES_AT_ONCE` edges each."""
        waiting: list[Graph] = []
        edges = 0
        for where, structure in enumerate(structures):
            self.refuse_unknown(structure, place(structure, where))
            waiting.append(build_graph(structure, self.cutoff, self.dtype, self.device))
            edges += len(waiting[-1].centers)
            if edges >= _EDGES_AT_ONCE:
                yield concatenate(waiting)
                waiting, edges = [], 0
        if waiting:
            yield concatenate(waiting)

    def refuse_unknown(self, structure: "Atoms", where: str) -> None:
        """Refuse a structure with elements that the potential does not know.

        Args:
            structure: any.
            where: what messages call it.

        Raises:
            DataError: names the elements.
        """
        unknown = set(structure.numbers.tolist()) - set(self.species)
        if unknown:
            raise DataError(f"{where}: {_unknown(torch.tensor(sorted(unknown)), self.species)}")


def _edge_derivative(energy: Tensor, vectors: Tensor, create_graph: bool) -> Tensor:
    """dE/dvectors (E, 3) in the energy's unit: the only call of autograd for a physical derivative."""
    if not energy.requires_grad:
        return torch.zeros_like(vectors)
    (g,) = torch.autograd.grad(energy, vectors, create_graph=create_graph, allow_unused=True)
    return torch.zeros_like(vectors) if g is None else g


def _prediction(
    terms: Tensor, slope: Tensor | None, vectors: Tensor, graph: Graph, forces: bool, stress: bool
) -> Prediction:
    """Of a batch whose atoms have these terms (N, T) in eV; slope (E, 3) is dE/dvectors in eV/Angstrom."""
    energies = terms.sum(1)
    return Prediction(
        energy=_sum_by(energies, graph.system, graph.n_systems),
        forces=_forces(slope, graph) if forces and slope is not None else None,
        stress=_stress(slope, vectors, graph) if stress and slope is not None else None,
        energies=energies,
        terms=terms,
    )


def _forces(g: Tensor, graph: Graph) -> Tensor:
    zeros = g.new_zeros(graph.n_atoms, 3)
    return zeros.index_add(0, graph.centers, g).index_add(0, graph.neighbors, -g)


def _stress(g: Tensor, vectors: Tensor, graph: Graph) -> Tensor:
    outer = (vectors.detach()[:, :, None] * g[:, None, :]).flatten(1)
    strain = _sum_by(outer, graph.system[graph.centers], graph.n_systems).unflatten(1, (3, 3))
    # W is symmetric for every energy that rotations leave alone; the mean removes the rounding
    volume = graph.volume.to(strain.dtype)[:, None, None]
    known = volume.isfinite()  # a quotient by NaN would make slopes of a loss NaN, even where it is masked out
    return torch.where(known, 0.5 * (strain + strain.mT) / torch.where(known, volume, 1.0), torch.nan)


def _sum_by(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    return values.new_zeros(n_groups, *values.shape[1:]).index_add(0, group, values)


def _species_index(species: tuple[int, ...]) -> Tensor:
    """(120,) int64: place of each atomic number in species, -1 for the others."""
    places = [-1] * 120
    for which, number in enumerate(species):
        places[number] = which
    return torch.tensor(places)


def _unknown(numbers: Tensor, species: tuple[int, ...]) -> str:
    from ase.data import chemical_symbols

    got = ", ".join(chemical_symbols[z] for z in sorted(set(numbers.tolist())))
    known = ", ".join(chemical_symbols[z] for z in species)
    return f"the potential does not know {got}; it knows {known}: use a model trained with these elements"


def _join(parts: Sequence[Any]) -> Any:
    if parts[0] is None:
        return None
    return torch.cat(list(parts)).double().cpu().numpy()


def _fit_pairs(potential: Potential, atoms: "Sequence[Atoms]") -> Explained | None:
    """Fit the pair potential to structures, where it can be, and say what it explains of all their labels."""
    fit: Any = getattr(potential.pairs, "fit", None)
    if fit is None:
        return None
    every = samples(atoms, potential.cutoff)
    labelled = [each for each in every if each.labels.energy.isfinite().any() or each.labels.forces.isfinite().any()]
    edges = sum(len(each.graph.centers) for each in labelled)
    if some := labelled[:: max(1, round(edges / _EDGES_AT_ONCE))]:
        graph, labels = collate(some)
        beside = cast(Prediction, potential.pair_share(some))  # a repulsion that is not fitted; nothing otherwise
        labels = labels.less(beside.energy, beside.forces, beside.stress)
        fit(Sample(graph, labels), potential.species_index(graph.species))
    share = cast(Prediction, potential.pair_share(every))
    return Explained(share.energy.numpy(), share.forces.numpy())
