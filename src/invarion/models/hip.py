"""The HIP family: one message-passing network over three kinds of environment invariants."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from invarion.graphs import Graph
from invarion.models.edges import edge_geometry
from invarion.models.environment import environment
from invarion.models.messages import TensorMessages
from invarion.models.parts import Ends, Factors, Layer, Part, Source, in_parts, parts
from invarion.models.radial import Sensitivities, counting_range


class Edges(NamedTuple):
    """What every interaction of a network needs of a graph's edges.

    Attributes:
        vectors: (E, 3) in Angstrom.
        geometry: lengths (E,) and direction tensors (E, M); None where `parts` compute their own.
        centers: (E,) sorted.
        neighbors: (E,) atoms at the other ends.
        species: (N,) species index of every atom.
        parts: ranges of atoms that are worked through one after the other; one for all in training.
    """

    vectors: Tensor
    geometry: tuple[Tensor, Tensor] | None
    centers: Tensor
    neighbors: Tensor
    species: Tensor
    parts: list[Part]


class Layout(NamedTuple):
    """Sizes and choices of a HIP network that do not depend on its kind of invariants."""

    n_species: int
    n_features: tuple[int, ...]
    n_middle: tuple[int, ...]
    n_atom_layers: int
    residual: bool
    activation: Callable[[Tensor], Tensor]
    interaction_activation: Callable[[Tensor], Tensor]
    sensitivities: Callable[[], Sensitivities]
    head: Callable[[int], nn.Module]
    max_rank: int
    message_rank: int


class Interaction(nn.Module):
    r"""The layer through which atoms see their neighbours.

    .. math:: A_{imc} = \sum_{e: i(e)=i} T_{em} \sum_{kb} s_k(r_e) V_{kcb} z_{j(e) b}, \qquad
              y_{ic} = \mathrm{head}(A_i)_c + \sum_b W_{cb} z_{ib} + b_c

    The same V serves every rank. Features of the first layer are one-hot species, so a row of mixed weights per
    species stands for them.

    Args:
        n_in: C_in, features that come in.
        n_out: C, features that go out.
        sensitivities: radial functions.
        head: from (N, M, C) tensors to (N, C) features.
        max_rank: L, the highest rank of the direction tensors.
    """

    def __init__(self, n_in: int, n_out: int, sensitivities: Sensitivities, head: nn.Module, max_rank: int) -> None:
        super().__init__()
        self.max_rank = max_rank
        self.sensitivities = sensitivities
        self.head = head
        weights = torch.empty(len(sensitivities.mu), n_out, n_in)
        nn.init.xavier_normal_(weights)
        self.weights = nn.Parameter(weights.permute(2, 0, 1).contiguous())  # all that goes in, by what comes out
        self.self_interaction = _linear(n_in, n_out)

    def forward(self, features: Tensor, tensors: Tensor) -> Tensor:
        """(N, C) from features (N, C_in) of the atoms themselves and environment tensors (N, M, C)."""
        return self.head(tensors) + self.self_interaction(features)

    def mix(self, features: Tensor, edges: Edges, span: tuple[int, int], first: bool) -> Source:
        """What edges read: weighted features (R, K, C), and which row.

        Args:
            features: (N, C_in).
            edges: whose ends read.
            span: the first, and one past the last, radial function that counts on any edge.
            first: whether features are one-hot species.
        """
        begin, end = span
        weights = self.weights[:, begin:end]
        if first:
            return Source(weights.contiguous(), Ends(edges.centers, edges.species[edges.neighbors], begin))
        mixed = (features @ weights.flatten(1)).view(-1, *weights.shape[1:])
        return Source(mixed, Ends(edges.centers, edges.neighbors, begin))

    def factors(self, vectors: Tensor) -> Factors:
        """Sensitivities and direction tensors of edge vectors."""
        distances, tensors = edge_geometry(vectors, self.max_rank)
        values, support = self.sensitivities(distances)
        return Factors(values, tensors, support)


class Residual(nn.Module):
    """z -> R f(layer(z)) + c + (z, or a linear map of z where the widths differ).

    Args:
        layer: from n_in to n_middle features.
        sizes: (n_in, n_middle, n_out).
        activation: f.
    """

    def __init__(self, layer: nn.Module, sizes: tuple[int, int, int], activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        n_in, n_middle, n_out = sizes
        self.layer = layer
        self.activation = activation
        self.out = nn.Linear(n_middle, n_out)
        self.adjust = nn.Identity() if n_in == n_out else nn.Linear(n_in, n_out, bias=False)

    def forward(self, features: Tensor, *rest: object) -> Tensor:
        """(N, n_in) in, (N, n_out) out; `rest` goes to the layer."""
        return self.out(self.activation(self.layer(features, *rest))) + self.adjust(features)


class Activated(nn.Module):
    """z -> f(layer(z)): the layers of a network without residual connections."""

    def __init__(self, layer: nn.Module, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.activation = activation

    def forward(self, features: Tensor, *rest: object) -> Tensor:
        """(N, n_in) in, (N, n_out) out."""
        return self.activation(self.layer(features, *rest))


class HipNetwork(nn.Module):
    """Blocks of one interaction and several atom layers; every block's features give a share of the energy.

    Args:
        layout: sizes and choices.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.n_species = layout.n_species
        self.max_rank = layout.max_rank
        widths = (layout.n_species, *layout.n_features)
        sizes = zip(widths[:-1], layout.n_middle, widths[1:], strict=True)
        self.blocks = nn.ModuleList(nn.ModuleList(_block(layout, *size)) for size in sizes)
        first, *others = (nn.Linear(width, 1, bias=block > 0) for block, width in enumerate(widths))
        nn.init.zeros_(first.weight)  # reference energies start this term; it learns the rest
        self.readouts = nn.ModuleList([first, *others])
        self.messages = nn.ModuleList(_messages(layout) if layout.message_rank else [])
        components = (layout.max_rank + 1) ** 2  # numbers that a layer holds, by which systems are cut into parts
        self._per_edge = 2 * components + 2 * len(layout.sensitivities().mu)
        self._per_atom = (10 if len(self.messages) else 6) * components * max(layout.n_middle)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Energy terms of every atom.

        Args:
            graph: N atoms, E edges, vectors in Angstrom.
            index: (N,) int64, species of each atom as 0..n_species-1.

        Returns:
            (N, 1 + blocks) terms in network units, one per block, the species' own first.
        """
        edges = self._edges(graph, index)
        features, messages = nn.functional.one_hot(index, self.n_species).to(graph.vectors.dtype), None
        terms = [self.readouts[0](features)]
        for number, readout in enumerate(self.readouts[1:]):
            if len(edges.parts) > 1 and number == len(self.blocks) - 1:
                terms.append(self._through(number, features, messages, edges, readout)[0])
            else:
                features, messages = self._through(number, features, messages, edges)
                terms.append(readout(features))
        return torch.cat(terms, dim=1)

    def _through(
        self, number: int, features: Tensor, messages: Tensor | None, edges: Edges, readout: nn.Module | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Features after a block, or what `readout` makes of them, and the messages that it sends."""
        wrapped, *atom_layers = cast(nn.ModuleList, self.blocks[number])
        interaction = cast(Interaction, wrapped.layer)
        hears, speaks = self._speech(number)

        def respond(features: Tensor, tensors: Tensor, *arrived: Tensor) -> list[Tensor]:
            tensors = hears.heard(tensors, *arrived) if hears else tensors
            features = wrapped(features, tensors)
            for layer in atom_layers:
                features = layer(features)
            if readout is not None:
                return [readout(features)]
            return [features, speaks(features, tensors)] if speaks else [features]

        def factors(own: Factors) -> tuple[Factors, ...]:
            return (own, hears.factors(own)) if hears else (own,)

        def sources(span: tuple[int, int]) -> list[Source]:
            own = interaction.mix(features, edges, span, number == 0)
            heard = [] if messages is None else [Source(messages[:, None], Ends(edges.centers, edges.neighbors, 0))]
            return [own, *heard]

        if edges.geometry is None:
            span = interaction.sensitivities.span(float(_shortest(edges.vectors.detach())))
            layer = Layer(
                factors=lambda vectors: factors(interaction.factors(vectors)),
                respond=lambda features, *sums: torch.cat(respond(features, *sums), dim=1),
                last=readout is not None,
            )
            joined = in_parts(layer, features, edges.vectors, sources(span), edges.parts)
            width = cast(nn.Linear, self.readouts[number + 1]).in_features
            found = [joined[:, :width], joined[:, width:]]
        else:
            distances, tensors = edges.geometry
            values, support = interaction.sensitivities(distances)
            read = zip(
                factors(Factors(values, tensors, support)), sources(counting_range(values, support)), strict=True
            )
            found = respond(features, *(_sum(each, source, len(features)) for each, source in read))
        return found[0], found[1] if speaks and readout is None else None

    def _speech(self, number: int) -> tuple[TensorMessages | None, TensorMessages | None]:
        """The messages that a block hears and those that it sends."""
        known: list[Any] = [None, *self.messages, None] if len(self.messages) else [None] * (len(self.blocks) + 1)
        return known[number], known[number + 1]

    @torch.no_grad()
    def calibrate(self, graph: Graph, index: Tensor) -> None:
        """Sets what should start at the size of the data: inner sensitivities left open, floors of normalisations.

        Args:
            graph: a sample of the training data.
            index: (N,) species index of its atoms.
        """
        if len(graph.vectors) == 0:
            return
        nearest = float(torch.linalg.vector_norm(graph.vectors, dim=1).min())
        for module in self.modules():
            if isinstance(module, Sensitivities):
                module.calibrate(nearest)
        adjustable: list[Any] = [module for module in self.modules() if hasattr(module, "calibrating")]
        for module in adjustable:
            module.calibrating = True
        self(graph, index)
        for module in adjustable:
            module.calibrating = False

    def _edges(self, graph: Graph, index: Tensor) -> Edges:
        geometry, ranges = None, self._parts(graph)
        if len(ranges) <= 1:
            geometry = edge_geometry(graph.vectors, self.max_rank)
        return Edges(graph.vectors, geometry, graph.centers, graph.neighbors, index, ranges)

    def _parts(self, graph: Graph) -> list[Part]:
        """One range of all atoms in training, which differentiates twice; else as many as memory asks for."""
        if self.training or torch.jit.is_scripting() or graph.n_atoms == 0:
            return []
        per_edge = self._per_edge * len(graph.vectors) // graph.n_atoms
        return parts(graph.centers, graph.n_atoms, self._per_atom + per_edge)


def _sum(factors: Factors, source: Source, n_atoms: int) -> Tensor:
    """(N, M, C) of one sum over the neighbours of all atoms."""
    (values, tensors, support), (mixed, (centers, rows, first)) = factors, source
    return environment(values, tensors, mixed, centers, rows, n_atoms, support, first)


def _shortest(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1).min().sqrt() if len(vectors) else vectors.new_tensor(torch.inf)


def _block(layout: Layout, n_in: int, n_middle: int, n_out: int) -> list[nn.Module]:
    def wrap(layer: nn.Module, width: int, activation: Callable[[Tensor], Tensor]) -> nn.Module:
        if layout.residual:
            return Residual(layer, (width, n_middle, n_out), activation)
        return Activated(layer, activation)

    interaction = Interaction(n_in, n_middle, layout.sensitivities(), layout.head(n_middle), layout.max_rank)
    atom_layers = [wrap(_linear(n_out, n_middle), n_out, layout.activation) for _ in range(layout.n_atom_layers)]
    return [wrap(interaction, n_in, layout.interaction_activation), *atom_layers]


def _messages(layout: Layout) -> list[TensorMessages]:
    """One between every two interactions."""
    n_radial = len(layout.sensitivities().mu)
    sizes = zip(layout.n_middle[:-1], layout.n_features[:-1], layout.n_middle[1:], strict=True)
    return [TensorMessages(*size, n_radial, layout.message_rank) for size in sizes]


def _linear(n_in: int, n_out: int) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_normal_(layer.weight)
    return layer
