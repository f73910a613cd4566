"""scikit-learn: invariants of atomic environments as a transformer of lists of ASE structures."""

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from invarion.engines.atomic_basis import RadialChannels, atomic_basis, edge_basis
from invarion.exceptions import ConfigError, DataError
from invarion.graphs import Graph
from invarion.invariants import InvariantBasis, optimal_basis
from invarion.invariants.channelwise import channelwise_basis, full_basis
from invarion.invariants.contractions import Contraction
from invarion.invariants.evaluation import plan_of
from invarion.invariants.execution import evaluate, jacobian
from invarion.neighbors import graph, place

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]

_MOST_ATOMS = 2048  # atoms described at once


class InvariantDescriptor(TransformerMixin, BaseEstimator):
    """Rotation invariants of the environments of atoms, as features.

    Every atom's neighbours are summed into tensors of rank 0..max_rank, one channel per species of neighbour and radial
    function; the features are invariants of these tensors. They are smooth in the positions, do not change under
    rotation, reflection, translation and exchange of like atoms, and vanish where there is no neighbour.

    Args:
        cutoff: Angstrom.
        per: "atom" for a row per atom; "structure" for a row per structure: for every species of center the number of
            atoms and the sum of their features.
        n_radial: radial functions per species of neighbour.
        max_rank: largest tensor rank L.
        max_degree: most tensors multiplied (body order less one).
        basis: "channelwise" is independent and complete, with the optimal basis of every channel in it; "optimal" is
            the cheapest independent set; "full" is all contractions; or an `InvariantBasis` of all channels, or of one,
            then taken of each channel by itself.
        shortest: distance in Angstrom from which the radial functions are spread out to the cutoff.
        species: chemical symbols or atomic numbers; None for those met by `fit`.

    Attributes:
        species_: atomic numbers, ascending.
        basis_: the `InvariantBasis`.
        n_features_out_: number of columns.

    References:
        arXiv:2503.23515; R. Drautz, Phys. Rev. B 99, 014104 (2019).

    Example:
        >>> from ase.build import molecule
        >>> descriptor = InvariantDescriptor(cutoff=3.0, n_radial=1, max_rank=2)
        >>> rows = descriptor.fit_transform([molecule("H2O"), molecule("CH4")])
        >>> rows.shape, str(descriptor.get_feature_names_out()[1])
        ((8, 24), 'H0l1.H0l1:ab')
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        per: str = "atom",
        n_radial: int = 4,
        max_rank: int = 3,
        max_degree: int = 4,
        basis: str | InvariantBasis = "channelwise",
        shortest: float = 0.8,
        species: Sequence[int | str] | None = None,
    ) -> None:
        self.cutoff = cutoff
        self.per = per
        self.n_radial = n_radial
        self.max_rank = max_rank
        self.max_degree = max_degree
        self.basis = basis
        self.shortest = shortest
        self.species = species

    def fit(self, X: "Sequence[Atoms]", y: Any = None) -> Self:
        """Note the species and choose the basis; structures are not needed for more.

        Raises:
            ConfigError: a parameter is out of range.
            DataError: no structures.
            BasisError: a basis that cannot be built, or does not fit the channels.
        """
        if self.per not in ("atom", "structure"):
            raise ConfigError(f'per is {self.per!r}; allowed are "atom" and "structure"')
        structures = _structures(X)
        self._radial = RadialChannels(_length("cutoff", self.cutoff), self.n_radial, _length("shortest", self.shortest))
        self.species_ = _species(self.species, structures)
        self.basis_ = self._choose_basis(len(self.species_) * self.n_radial)
        self._names = self._feature_names()
        self.n_features_out_ = len(self._names)
        return self

    def transform(self, X: "Sequence[Atoms]") -> Floats:
        """Features of structures.

        Returns:
            (atoms of all structures, columns) in order, or (structures, columns).

        Raises:
            DataError: an element that `fit` has not met, or positions that cannot be used.
        """
        check_is_fitted(self)
        blocks = [self._rows(part, first) for part, first in _parts(_structures(X))]
        return np.concatenate(blocks)

    def gradients(self, X: "Sequence[Atoms]") -> list[Floats]:
        """Exact derivatives of the features with respect to the positions, structure by structure.

        Returns:
            For each structure (rows, columns, atoms, 3) in 1/Angstrom; one row where per="structure".
        """
        check_is_fitted(self)
        return [self._slopes(atoms, where) for where, atoms in enumerate(_structures(X))]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns, the same in every version.

        "H0l1.C2l1:ab" is the tensor of rank 1 made of hydrogen neighbours by radial function 0 and that of carbon by
        function 2, with one index pair contracted between the first (a) and the second (b) tensor of the product;
        "ab3" contracts three pairs. With per="structure" the species of the centers comes first: "O|H0l0"; "O|count".
        """
        check_is_fitted(self)
        return np.array(self._names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = False
        tags.no_validation = True
        return tags

    def _choose_basis(self, channels: int) -> InvariantBasis:
        if isinstance(self.basis, InvariantBasis):
            if self.basis.channels not in (1, channels):
                raise ConfigError(
                    f"the basis has {self.basis.channels} channels, but {len(self.species_)} species and "
                    f"{self.n_radial} radial functions make {channels}; build it with channels={channels}, or with one"
                )
            if self.basis.ranks != tuple(range(self.basis.max_rank + 1)) * self.basis.channels:
                raise ConfigError(
                    f"the basis is of tensors of ranks {self.basis.ranks}; one of each rank 0..L is needed"
                )
            return self.basis
        if self.basis == "channelwise":
            return channelwise_basis(self.max_rank, self.max_degree, channels)
        if self.basis == "optimal":
            return optimal_basis(self.max_rank, self.max_degree, channels=channels)
        if self.basis == "full":
            return full_basis(self.max_rank, self.max_degree, channels)
        raise ConfigError(f'basis is {self.basis!r}; allowed are "channelwise", "optimal", "full" or an InvariantBasis')

    @property
    def _each_channel(self) -> bool:
        """Whether a basis of one channel is taken of each channel by itself."""
        return self.basis_.channels == 1

    @property
    def _width(self) -> int:
        """Features of an atom."""
        return len(self.basis_) * (len(self.species_) * self.n_radial if self._each_channel else 1)

    def _feature_names(self) -> list[str]:
        symbols = [chemical_symbols[z] for z in self.species_]
        channels = [f"{symbol}{n}" for symbol in symbols for n in range(self.n_radial)]
        groups = [[c] for c in channels] if self._each_channel else [channels]
        own = [_name(c, group, self.basis_) for group in groups for c in self.basis_.invariants]
        if self.per == "atom":
            return own
        return [f"{symbol}|{name}" for symbol in symbols for name in ("count", *own)]

    def _tensors(self, batch: Graph, kinds: NDArray[np.int64]) -> Floats:
        """(N, channels, M) tensors; (N channels, 1, M) where each channel goes by itself."""
        species = torch.from_numpy(kinds)
        tensors = atomic_basis(batch, species, len(self.species_), self._radial, self.basis_.max_rank).numpy()
        return tensors if not self._each_channel else tensors.reshape(-1, 1, tensors.shape[2])

    def _rows(self, structures: "Sequence[Atoms]", first: int) -> Floats:
        kinds = self._kinds(structures, first)
        tensors = self._tensors(graph(structures, self.cutoff), kinds)
        plan = plan_of(self.basis_.invariants, self.basis_.ranks)
        flat = evaluate(plan, tensors.reshape(len(tensors), plan.n_inputs))
        rows = flat.reshape(len(kinds), self._width)
        if self.per == "atom":
            return rows
        structure = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
        return self._sum_by_center(rows[:, None], kinds, structure, len(structures))[..., 0]

    def _sum_by_center(self, rows: Floats, kinds: NDArray[np.int64], structure: NDArray[np.int64], n: int) -> Floats:
        """(n, columns, ...) counts and sums by species of center of (N, 1, B)."""
        total = np.zeros((n, len(self.species_), rows.shape[2] + 1))
        np.add.at(total, (structure, kinds), np.concatenate([np.ones((len(rows), 1)), rows[:, 0]], axis=1))
        return total.reshape(n, -1, 1)

    def _slopes(self, atoms: "Atoms", where: int) -> Floats:
        kinds = self._kinds([atoms], where)
        batch = graph(atoms, self.cutoff)
        per_edge = self._edge_slopes(batch, kinds)
        centers, neighbors = batch.centers.numpy(), batch.neighbors.numpy()
        slopes = np.zeros((len(atoms), len(atoms), *per_edge.shape[1:]))
        np.add.at(slopes, (centers, neighbors), per_edge)
        np.add.at(slopes, (centers, centers), -per_edge)
        slopes = slopes.transpose(0, 2, 1, 3)
        if self.per == "atom":
            return slopes
        sums = np.zeros((len(self.species_), slopes.shape[1] + 1, *slopes.shape[2:]))
        np.add.at(sums[:, 1:], kinds, slopes)
        return sums.reshape(1, -1, *slopes.shape[2:])

    def _edge_slopes(self, batch: Graph, kinds: NDArray[np.int64]) -> Floats:
        """(E, B, 3) derivatives of each edge's center's features with respect to the edge's vector."""
        plan = plan_of(self.basis_.invariants, self.basis_.ranks)
        tensors = self._tensors(batch, kinds)
        found = jacobian(plan, tensors.reshape(len(tensors), plan.n_inputs))
        n, size = len(kinds), (self.basis_.max_rank + 1) ** 2
        kind = kinds[batch.neighbors.numpy()]
        centers = batch.centers.numpy()
        moved = _moved_basis(batch.vectors, self._radial, self.basis_.max_rank)
        if self._each_channel:
            own = found.reshape(n, len(self.species_), self.n_radial, plan.n_outputs, size)[centers, kind]
            slopes = np.zeros((len(centers), len(self.species_), self.n_radial, plan.n_outputs, 3))
            slopes[np.arange(len(centers)), kind] = np.einsum("ekbm,ekmx->ekbx", own, moved)
            return slopes.reshape(len(centers), self._width, 3)
        parts = found.reshape(n, plan.n_outputs, len(self.species_), self.n_radial, size)
        return np.einsum("ebkm,ekmx->ebx", parts[centers, :, kind], moved, optimize=True)

    def _kinds(self, structures: "Sequence[Atoms]", first: int) -> NDArray[np.int64]:
        """Species index of every atom."""
        for where, atoms in enumerate(structures, start=first):
            unknown = sorted(set(atoms.numbers.tolist()) - set(self.species_))
            if unknown:
                raise DataError(
                    f"{place(atoms, where)} has {chemical_symbols[unknown[0]]}, but fit knows only "
                    f"{', '.join(chemical_symbols[z] for z in self.species_)}; name all elements in species"
                )
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        return np.searchsorted(self.species_, numbers).astype(np.int64)


def _name(contraction: Contraction, channels: Sequence[str], basis: InvariantBasis) -> str:
    width = basis.max_rank + 1
    vertices = ".".join(f"{channels[slot // width]}l{slot % width}" for slot in contraction.vertices)
    edges = contraction.name(basis.ranks).partition(":")[2]
    return f"{vertices}:{edges}" if edges else vertices


def _species(given: Sequence[int | str] | None, structures: "Sequence[Atoms]") -> tuple[int, ...]:
    if given is None:
        found = tuple(sorted({int(z) for atoms in structures for z in atoms.numbers}))
        if not found:
            raise DataError("the structures have no atoms, so no species are known; name them in species")
        return found
    if isinstance(given, str) or not len(given):
        raise ConfigError(
            f'species is {given!r}; give a list of chemical symbols or atomic numbers, such as ["H", "O"]'
        )
    return tuple(sorted({_atomic_number(s) for s in given}))


def _atomic_number(given: object) -> int:
    number = atomic_numbers.get(given) if isinstance(given, str) else given
    if not isinstance(number, Integral) or not 1 <= int(number) < len(chemical_symbols):
        raise ConfigError(f"species has {given!r}, which is no chemical symbol or atomic number")
    return int(number)


def _length(what: str, value: object) -> float:
    """A length in Angstrom."""
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise ConfigError(f"{what} is {value!r}; it must be a finite number of Angstrom")
    return float(value)


def _structures(X: "Sequence[Atoms]") -> "list[Atoms]":
    """The list of structures, checked."""
    if not isinstance(X, Iterable):
        raise DataError(f"the structures are a {type(X).__name__}; a list of ase.Atoms is needed")
    structures: list[Any] = [X] if hasattr(X, "get_positions") else list(X)
    for where, atoms in enumerate(structures):
        if not hasattr(atoms, "get_positions"):
            raise DataError(f"structure {where} is a {type(atoms).__name__}; a list of ase.Atoms is needed")
    if not structures:
        raise DataError("there are no structures; a list of at least one ase.Atoms is needed")
    return structures


def _parts(structures: "Sequence[Atoms]") -> "Iterator[tuple[Sequence[Atoms], int]]":
    """Consecutive structures of a limited number of atoms, and the place of the first of them."""
    first, atoms = 0, 0
    for where, structure in enumerate(structures):
        if where > first and atoms + len(structure) > _MOST_ATOMS:
            yield structures[first:where], first
            first, atoms = where, 0
        atoms += len(structure)
    yield structures[first:], first


def _moved_basis(vectors: torch.Tensor, radial: RadialChannels, max_rank: int) -> Floats:
    """(E, K, M, 3) derivatives of radial function x direction tensor with respect to the edge vectors."""

    def product(v: torch.Tensor) -> torch.Tensor:
        values, tensors = edge_basis(v, radial, max_rank)
        return values[:, :, None] * tensors[:, None, :]

    axes = torch.eye(3, dtype=vectors.dtype)
    slopes = [torch.func.jvp(product, (vectors,), (axis.expand_as(vectors),))[1] for axis in axes]
    return torch.stack(slopes, dim=-1).numpy()
