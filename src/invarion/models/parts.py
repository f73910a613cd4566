"""Large systems part by part: what a layer holds per edge and per component exists for a few hundred atoms at a time.

Held for all atoms at once, these numbers take some 60 kB per atom of a copper crystal and 64 features, and a third of
the time goes into pages of memory that the operating system has to clear. Part by part, the backward pass computes them
again, which costs less.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from invarion.models.environment import add_mixed_slopes, environment
from invarion.models.kernels.autograd import no_second_slopes, wanted

_WHOLE = 1 << 27  # numbers that may be held at once before a system is taken in parts
_PART = 1 << 24  # numbers held for one part: few enough for memory to be reused instead of returned and cleared


class Factors(NamedTuple):
    """What `environment` takes of edges.

    Attributes:
        sensitivities: (E, K).
        tensors: (E, M).
        support: (E, 2), which sensitivities count, or None.
    """

    sensitivities: Tensor
    tensors: Tensor
    support: Tensor | None


class Layer(NamedTuple):
    """One interaction and what follows it, as functions of a part of the atoms.

    Attributes:
        factors: edge vectors (E, 3) to what `environment` takes of edges, for each sum over neighbours.
        respond: features (N, F) and the sums (N, M, C) to the output (N, G), atom by atom.
        last: whether the output goes into a sum over atoms with equal weights, as terms of the energy do: its slopes
            are then computed together with it, so that nothing is computed twice.
    """

    factors: Callable[[Tensor], tuple[Factors, ...]]
    respond: Callable[..., Tensor]
    last: bool


class Ends(NamedTuple):
    """Where edges begin and what they read.

    Attributes:
        centers: (E,) sorted.
        rows: (E,) row of the mixed features that each edge reads.
        first: radial function that the first of the mixed features belongs to.
    """

    centers: Tensor
    rows: Tensor
    first: int


class Part(NamedTuple):
    """A range of atoms and the range of their edges."""

    atoms: slice
    edges: slice


def parts(centers: Tensor, n_atoms: int, per_atom: int) -> list[Part]:
    """Ranges of atoms to work through; one range where everything fits at once.

    Args:
        centers: (E,) sorted.
        n_atoms: N.
        per_atom: numbers that a layer holds per atom, its edges' included.
    """
    if n_atoms * per_atom <= _WHOLE:
        return [Part(slice(0, n_atoms), slice(0, len(centers)))]
    atoms = [*range(0, n_atoms, max(1, _PART // per_atom)), n_atoms]
    edges = torch.searchsorted(centers, torch.tensor(atoms, device=centers.device)).tolist()
    return [Part(slice(*a), slice(*e)) for a, e in zip(pairwise(atoms), pairwise(edges), strict=True)]


class Source(NamedTuple):
    """What the edges of one sum over neighbours read.

    Attributes:
        mixed: (R, K, C) features.
        ends: of the edges.
    """

    mixed: Tensor
    ends: Ends


def in_parts(layer: Layer, features: Tensor, vectors: Tensor, sources: Sequence[Source], ranges: list[Part]) -> Tensor:
    """The layer's output part by part, differentiable once, and not with respect to the weights inside the layer.

    Args:
        layer: what is computed.
        features: (N, F) of the atoms themselves.
        vectors: (E, 3) in Angstrom.
        sources: of every sum over neighbours.
        ranges: all atoms, in order.
    """
    mixed, ends = zip(*sources, strict=True)
    return _InParts.apply(features, vectors, *mixed, (layer, ends, ranges))


class _InParts(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, vectors: Tensor, *rest: Any) -> Tensor:
        *mixed, ctx.plan = rest  # tensors come first: see `wanted`
        ctx.save_for_backward(features, vectors, *mixed)
        ctx.slopes = None
        layer, ends, ranges = ctx.plan
        sources = [Source(*pair) for pair in zip(mixed, ends, strict=True)]
        if layer.last and any(ctx.needs_input_grad):
            collect = ctx.needs_input_grad[2:-1]
            outputs, ctx.slopes = _all_slopes(features, vectors, layer, sources, ranges, None, collect)
            return outputs
        inputs = ((part, features[part.atoms], vectors[part.edges]) for part in ranges)
        return torch.cat([_output(layer, sources, *pieces)[0] for pieces in inputs])

    @staticmethod
    @no_second_slopes
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = grad_outputs
        if ctx.slopes is not None and bool(slope.max() == slope.min()):
            factor = slope.flatten()[0]
            return *(None if s is None else s * factor for s in ctx.slopes), None
        features, vectors, *mixed = ctx.saved_tensors
        layer, ends, ranges = ctx.plan
        sources = [Source(*pair) for pair in zip(mixed, ends, strict=True)]
        collect = [wanted(ctx, 2 + place) for place in range(len(mixed))]
        _, slopes = _all_slopes(features, vectors, layer, sources, ranges, slope, collect)
        return *slopes, None


def _all_slopes(
    features: Tensor,
    vectors: Tensor,
    layer: Layer,
    sources: Sequence[Source],
    ranges: list[Part],
    slope: Tensor | None,
    collect: Sequence[bool],
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Outputs of all parts, and the slopes of their sum, weighted by `slope` if given, with respect to the inputs."""
    of_features, of_vectors = torch.empty_like(features), torch.empty_like(vectors)
    of_mixed = [
        torch.zeros_like(mixed) if chosen else None for (mixed, _), chosen in zip(sources, collect, strict=True)
    ]
    fixed = [Source(mixed.detach(), ends) for mixed, ends in sources]
    outputs = []
    for part in ranges:
        with torch.enable_grad():
            here, moved = (x.detach().requires_grad_() for x in (features[part.atoms], vectors[part.edges]))
            output, sums, factors = _output(layer, fixed, part, here, moved)
        through = [total for total, chosen in zip(sums, collect, strict=True) if chosen]
        weights = torch.ones_like(output) if slope is None else slope[part.atoms]
        found = iter(torch.autograd.grad(output, (here, moved, *through), weights))
        of_features[part.atoms], of_vectors[part.edges] = next(found), next(found)
        for total, each, (_, ends) in zip(of_mixed, factors, sources, strict=True):
            if total is not None:
                s, t = each.sensitivities.detach(), each.tensors.detach()
                centers, rows, first = _ends_of(ends, part)
                add_mixed_slopes(total, next(found), s, t, centers, rows, each.support, first)
        outputs.append(output.detach())
    return torch.cat(outputs), (of_features, of_vectors, *of_mixed)


def _output(
    layer: Layer, sources: Sequence[Source], part: Part, features: Tensor, vectors: Tensor
) -> tuple[Tensor, list[Tensor], tuple[Factors, ...]]:
    """Output of one part, with the sums over neighbours and the factors of edges it was made of."""
    factors = layer.factors(vectors)
    n_atoms = part.atoms.stop - part.atoms.start
    sums = []
    for (values, directions, support), (mixed, ends) in zip(factors, sources, strict=True):
        centers, rows, first = _ends_of(ends, part)
        sums.append(environment(values, directions, mixed, centers, rows, n_atoms, support, first))
    return layer.respond(features, *sums), sums, factors


def _ends_of(ends: Ends, part: Part) -> Ends:
    return Ends(ends.centers[part.edges] - part.atoms.start, ends.rows[part.edges], ends.first)
