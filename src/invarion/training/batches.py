"""Batches: a data set laid out flat once, and global batches of even cost that all processes share out alike."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from invarion.data.dataset import Labels, Sample, collate
from invarion.graphs import Graph
from invarion.potential import Prediction
from invarion.training.targets import Counts, Spreads, Targets, count, make_targets, spreads


class Batch(NamedTuple):
    """One process's share of a global batch.

    Attributes:
        graph: its structures.
        targets: what they should give.
        counts: labels that are to be expected in the global batch, over all processes; what its means divide by.
        structures: places in the data set of the structures of the global batch.
    """

    graph: Graph
    targets: Targets
    counts: Counts
    structures: np.ndarray


class PackedSet:
    """A data set as one block of tensors, from which batches are cut by index: no concatenation in a step.

    Args:
        samples: one structure each, with labels, on the CPU; at least one.
        dtype: floating type of vectors and of targets other than energies.
        device: where the block is kept and batches are made.
        known: energies, forces and stress that are taken off the labels before they become targets, if any.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        known: Prediction | None = None,
    ) -> None:
        graph, labels = collate(list(samples))
        self._fingerprint = _fingerprint(graph, labels)
        if known is not None:
            labels = labels.less(known.energy, known.forces, known.stress)
        targets = make_targets(graph, labels, dtype)
        self.spreads: Spreads = spreads(graph, targets)
        self.counts: Counts = count(targets)
        self._atoms = _sizes(graph.system, graph.n_systems)
        self._edges = _sizes(graph.system[graph.centers], graph.n_systems)
        self._first_atom = np.cumsum(self._atoms) - self._atoms
        self._first_edge = np.cumsum(self._edges) - self._edges
        self._device = torch.device(device)
        self._graph = _localized(graph, torch.from_numpy(self._first_atom)).to(dtype).to(self._device)
        self._targets = Targets(*(field.to(self._device) for field in targets))

    def __len__(self) -> int:
        return len(self._atoms)

    @property
    def costs(self) -> np.ndarray:
        """(S,) edges + atoms of every structure: the work of a step on it, about."""
        return self._edges + self._atoms

    def fingerprint(self) -> str:
        """Tells this set from every other: number of structures, and a hash of structures, labels and weights."""
        return f"{len(self)} structures, {self._fingerprint}"

    def batch(self, chosen: np.ndarray, share: np.ndarray) -> Batch:
        """One process's share of a global batch.

        Args:
            chosen: indices of the structures of the global batch.
            share: those among them that are this process's part. Where it has none, it computes one structure whose
                weights are zero, so that all processes take the same steps.
        """
        picked = share if len(share) else chosen[:1]
        graph, targets = self._cut(picked)
        if not len(share):
            targets = _weightless(targets)
        return Batch(graph, targets, self._expected(chosen), chosen)

    def _cut(self, picked: np.ndarray) -> tuple[Graph, Targets]:
        atoms, edges = self._atoms[picked], self._edges[picked]
        systems = self._tensor(picked)
        rows = self._tensor(_ranges(self._first_atom[picked], atoms))
        pairs = self._tensor(_ranges(self._first_edge[picked], edges))
        shift = self._tensor(np.repeat(np.cumsum(atoms) - atoms, edges))
        whole, targets = self._graph, self._targets
        graph = Graph(
            species=whole.species.index_select(0, rows),
            vectors=whole.vectors.index_select(0, pairs),
            centers=whole.centers.index_select(0, pairs) + shift,
            neighbors=whole.neighbors.index_select(0, pairs) + shift,
            system=self._tensor(np.repeat(np.arange(len(picked)), atoms)),
            volume=whole.volume.index_select(0, systems),
        )
        places = Targets(systems, systems, systems, rows, rows, systems, systems, systems, rows)
        return graph, Targets(*(f.index_select(0, place) for f, place in zip(targets, places, strict=True)))

    def _expected(self, chosen: np.ndarray) -> Counts:
        """Labels to be expected among structures chosen at random: constant weights per label, whatever the batch."""
        systems = len(chosen) / len(self)
        atoms = float(self._atoms[chosen].sum() / self._atoms.sum())
        return Counts(
            *(number * part for number, part in zip(self.counts, (systems, atoms, systems, atoms), strict=True))
        )

    def _tensor(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(index).to(self._device)


class EpochBatches:
    """The batches of one epoch in an order that depends on seed and epoch alone; Lightning says which epoch it is.

    Every epoch has the same number of batches, so that schedules can count steps.

    Args:
        data: the set.
        n_batches: global batches per epoch, 1 .. number of structures.
        seed: of the order; None keeps the order of the set in every epoch.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(self, data: PackedSet, n_batches: int, seed: int | None, rank: int = 0, world_size: int = 1) -> None:
        self._data = data
        self._n_batches = n_batches
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0

    @property
    def sampler(self) -> "EpochBatches":
        """Itself: Lightning looks for `set_epoch` on the sampler of what it iterates over."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is for."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        # a generator: the epoch is read at the first batch, not when Lightning makes the iterator ahead of time
        for chosen in self.plan(self._epoch):
            share = split_evenly(chosen, self._data.costs, self._world_size)[self._rank]
            yield self._data.batch(chosen, share)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Indices of the structures in each global batch of an epoch."""
        n = len(self._data)
        order = np.arange(n) if self._seed is None else np.random.default_rng((self._seed, epoch)).permutation(n)
        return split_evenly(order, self._data.costs, self._n_batches)


class FixedBatches:
    """Batches made once and used again and again; not a list, which Lightning would take for several loaders.

    Args:
        batches: what to iterate over.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = tuple(batches)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)


def number_of_batches(costs: np.ndarray, batch_size: int, batch_edges: int | None) -> int:
    """Fewest batches with at most these structures and edges per batch on the average.

    Args:
        costs: (S,) cost of every structure.
        batch_size: structures, >= 1.
        batch_edges: edges, >= 1; None for no limit.

    >>> number_of_batches(np.array([50, 50, 50, 50]), batch_size=4, batch_edges=100)
    2
    """
    by_size = math.ceil(len(costs) / batch_size)
    by_edges = math.ceil(int(costs.sum()) / batch_edges) if batch_edges else 1
    return max(1, min(len(costs), max(by_size, by_edges)))


def split_evenly(indices: np.ndarray, costs: np.ndarray, parts: int) -> list[np.ndarray]:
    """Consecutive parts of about equal cost; none is empty unless there are more parts than indices.

    Args:
        indices: (n,) places in `costs`.
        costs: cost of every structure.
        parts: number of parts, >= 1.

    >>> split_evenly(np.arange(4), np.array([9, 1, 1, 9]), 2)
    [array([0, 1]), array([2, 3])]
    """
    if parts == 1:
        return [indices]
    done = np.concatenate([[0], np.cumsum(costs[indices])])
    wanted = np.arange(1, parts) * (done[-1] / parts)
    after = np.searchsorted(done, wanted)
    cuts = np.where(done[after] - wanted < wanted - done[after - 1], after, after - 1)
    # one index for each part at least: cuts rise by one or more, and leave enough for the parts to come
    steps = np.arange(1, parts)
    rising = np.maximum.accumulate(np.maximum(cuts, 1) - steps) + steps
    latest = np.maximum(len(indices) - parts + steps, np.minimum(steps, len(indices)))
    return np.split(indices, np.minimum(rising, latest))


def _fingerprint(graph: Graph, labels: Labels) -> str:
    digest = hashlib.sha256()
    for field in (*graph, *labels):
        digest.update(field.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """start, start + 1, ..., start + size - 1 of every start, one after another.

    >>> _ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(ends[-1])


def _sizes(group: Tensor, n_groups: int) -> np.ndarray:
    return np.bincount(group.numpy(), minlength=n_groups)


def _localized(graph: Graph, first_atom: Tensor) -> Graph:
    """The same batch with atoms numbered from 0 in each structure, and a finite volume everywhere.

    A volume of NaN would make the gradient of a stress that nobody asked about NaN, also where its weight is zero.
    """
    start = first_atom[graph.system[graph.centers]]
    return graph._replace(
        centers=graph.centers - start,
        neighbors=graph.neighbors - start,
        volume=torch.where(graph.volume.isnan(), 1.0, graph.volume),
    )


def _weightless(targets: Targets) -> Targets:
    return targets._replace(
        energy_weight=torch.zeros_like(targets.energy_weight),
        forces_weight=torch.zeros_like(targets.forces_weight),
        stress_weight=torch.zeros_like(targets.stress_weight),
        atom_weight=torch.zeros_like(targets.atom_weight),
    )
