"""scikit-learn: kernel ridge regression of energies with a kernel that sums over pairs of atoms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from invarion.engines.sklearn import InvariantDescriptor
from invarion.exceptions import ConfigError, DataError

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]

_ROWS = 512  # atoms on the left of one block of the kernel
_PAIRS = 4000  # pairs of atoms from which a typical distance is estimated


class Environments(NamedTuple):
    """Features of the atoms of some structures, sorted by species.

    Attributes:
        rows: per species (n, columns) float64.
        structures: per species (n,) the structure of each atom, ascending.
        counts: (structures, species) numbers of atoms.
    """

    rows: tuple[Floats, ...]
    structures: tuple[NDArray[np.int64], ...]
    counts: Floats


def environments(descriptor: InvariantDescriptor, structures: "Sequence[Atoms]") -> Environments:
    """Features of structures by a fitted descriptor with per="atom"."""
    if descriptor.per != "atom":
        raise ConfigError(f'the descriptor has per={descriptor.per!r}; a kernel over pairs of atoms needs per="atom"')
    rows = np.asarray(descriptor.transform(structures))
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    owner = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    masks = [numbers == z for z in descriptor.species_]
    counts = np.stack([np.bincount(owner[mask], minlength=len(structures)) for mask in masks], axis=1)
    return Environments(tuple(rows[m] for m in masks), tuple(owner[m] for m in masks), counts.astype(float))


def typical_distances(found: Environments, seed: int = 0) -> Floats:
    """(species,) median distance between environments of different atoms of each species; 1 where there are none."""
    rng = np.random.default_rng(seed)
    medians = []
    for rows in found.rows:
        left, right = rng.integers(0, max(len(rows), 1), (2, _PAIRS))
        lengths = np.linalg.norm(rows[left] - rows[right], axis=1) if len(rows) else np.zeros(0)
        medians.append(np.median(lengths[lengths > 0]) if (lengths > 0).any() else 1.0)
    return np.array(medians)


def atom_kernel(left: Environments, right: Environments, widths: ArrayLike) -> Floats:
    r"""Kernel of structures: Gaussians of the distance of features, summed over all pairs of atoms of one species.

    .. math:: K_{AB} = \sum_z \sum_{i \in A_z} \sum_{j \in B_z} \exp(-|x_i - x_j|^2 / 2 w_z^2)

    Args:
        left: structures A.
        right: structures B.
        widths: (species,) w, in units of the features.

    Returns:
        (A, B).

    References:
        A. P. Bartok, R. Kondor, G. Csanyi, Phys. Rev. B 87, 184115 (2013).
    """
    total = np.zeros((len(left.counts), len(right.counts)))
    for z, width in enumerate(np.asarray(widths, dtype=np.float64)):
        if len(left.rows[z]) and len(right.rows[z]):
            columns, starts = np.unique(right.structures[z], return_index=True)
            center = right.rows[z].mean(axis=0)  # distances do not change, their rounding does
            other = torch.from_numpy((right.rows[z] - center) / width)
            for first in range(0, len(left.rows[z]), _ROWS):
                part = slice(first, first + _ROWS)
                near = _gaussians(torch.from_numpy((left.rows[z][part] - center) / width), other).numpy()
                rows, begins = np.unique(left.structures[z][part], return_index=True)
                sums = np.add.reduceat(near, starts, axis=1, dtype=np.float64)
                total[np.ix_(rows, columns)] += np.add.reduceat(sums, begins, axis=0)
    return total


def _gaussians(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(n, m) exp(-|x - y|^2 / 2)."""
    lengths = left.square().sum(dim=1)[:, None] + right.square().sum(dim=1)
    halves = torch.addmm(lengths, left, right.T, beta=0.5, alpha=-1)  # float64: differences of large numbers
    return halves.float().clamp_(min=0.0).neg_().exp_()


class AtomKernelRidge(RegressorMixin, BaseEstimator):
    """Kernel ridge regression of an extensive property, such as the energy, of structures.

    A least-squares sum over the numbers of atoms is taken off first; the rest is a sum over atoms, learned with
    `atom_kernel`.

    Args:
        descriptor: an `InvariantDescriptor` with per="atom"; None for its defaults.
        width: of the Gaussians, in units of the median distance between environments of a species.
        alpha: regularisation, in units of the kernel's mean diagonal.

    Example:
        >>> from ase.build import molecule
        >>> structures, energies = [molecule("H2O"), molecule("CH4"), molecule("CH3OH")], [-14.2, -24.0, -30.2]
        >>> model = AtomKernelRidge(InvariantDescriptor(cutoff=3.0, n_radial=1, max_rank=1, max_degree=2))
        >>> [round(e, 1) for e in model.fit(structures, energies).predict(structures).tolist()]
        [-14.2, -24.0, -30.2]
    """

    def __init__(self, descriptor: InvariantDescriptor | None = None, width: float = 0.7, alpha: float = 1e-5) -> None:
        self.descriptor = descriptor
        self.width = width
        self.alpha = alpha

    def fit(self, X: "Sequence[Atoms]", y: ArrayLike) -> Self:
        """Learn from structures and their energies.

        Raises:
            DataError: numbers of structures and energies differ, or energies are not finite.
            ConfigError: width or alpha is not positive, or the kernel is singular: raise alpha.
        """
        targets = np.asarray(y, dtype=np.float64)
        if targets.shape != (len(X),) or not np.isfinite(targets).all():
            raise DataError(f"{len(X)} structures need as many finite energies; got shape {targets.shape}")
        if not (self.width > 0 and self.alpha > 0):
            raise ConfigError(f"width is {self.width} and alpha {self.alpha}; both must be positive")
        descriptor: Any = InvariantDescriptor() if self.descriptor is None else clone(self.descriptor)
        self.descriptor_ = descriptor.fit(X)
        self.environments_ = environments(self.descriptor_, X)
        self.widths_ = self.width * typical_distances(self.environments_)
        kernel = atom_kernel(self.environments_, self.environments_, self.widths_)
        self.composition_, self.weights_ = solve(kernel, self.environments_.counts, targets, self.alpha)
        return self

    def predict(self, X: "Sequence[Atoms]") -> Floats:
        """(structures,) energies."""
        check_is_fitted(self)
        found = environments(self.descriptor_, X)
        return found.counts @ self.composition_ + atom_kernel(found, self.environments_, self.widths_) @ self.weights_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


def solve(kernel: Floats, counts: Floats, targets: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Energies per atom of each species, and weights of the training structures.

    Raises:
        ConfigError: the regularised kernel is not positive definite.
    """
    composition = np.linalg.lstsq(counts, targets, rcond=None)[0]
    matrix = kernel.copy()
    matrix[np.diag_indices_from(matrix)] += alpha * np.trace(kernel) / len(kernel)
    try:
        weights = cho_solve(cho_factor(matrix, overwrite_a=True), targets - counts @ composition)
    except LinAlgError as error:
        raise ConfigError(f"the kernel with alpha {alpha} is not positive definite; raise alpha") from error
    return np.asarray(composition, dtype=np.float64), weights
