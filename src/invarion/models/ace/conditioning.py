"""Reduced ACE conditioned on real environments: the functions whose gradients are most independent where it matters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from invarion.exceptions import BasisError
from invarion.invariants.fields import PRIMES, PrimeField
from invarion.invariants.independence import RowSpace
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.descriptor import AceDescriptor
from invarion.models.ace.design import jacobian_of_atom
from invarion.models.ace.enumeration import Coupled
from invarion.models.ace.plan import gradient_terms
from invarion.models.ace.reduction import certified, independence_rows
from invarion.neighbors import graph

if TYPE_CHECKING:
    from ase import Atoms

    from invarion.models.ace.config import AceConfig

_STRUCTURES = 32
_ENVIRONMENTS = 24


def conditioned_basis(config: "AceConfig", atoms: "Sequence[Atoms]") -> AceBasis:
    """A functionally independent subset chosen by the determinant of its Jacobian over environments of structures.

    A-basis values are scaled by their spread over the structures, gradients to unit length on the average, so that the
    choice is about directions. Members are added one by one, each the one that raises the mean log determinant over the
    environments most (D-optimality), until no further function is independent; that is judged exactly.

    Args:
        config: with basis "reduced".
        atoms: structures; 24 environments per element of at most 32 of them are used.

    Raises:
        BasisError: an element of the structures has no atom with neighbours.
    """
    from invarion.models.ace.config import full_basis
    from invarion.models.ace.network import AceNetwork

    species = tuple(sorted({int(z) for frame in atoms for z in frame.numbers}))
    full = full_basis(config, species)
    network = AceNetwork(config.model_copy(update={"basis": full}), species).double()
    batch = graph(list(atoms[:: max(1, len(atoms) // _STRUCTURES)]), config.cutoff)
    index = torch.searchsorted(torch.tensor(species), batch.species)
    network.calibrate(batch, index)
    values = network.descriptor.values(batch, index)
    kept = [
        choose_conditioned(full.functions[s], _jacobians(network.descriptor, values[index == s], s))
        for s in range(len(species))
    ]
    return certified(full.choose(kept, "reduced"))


def choose_conditioned(functions: Sequence[Coupled], jacobians: np.ndarray, limit: int | None = None) -> list[int]:
    """Places of functions chosen greedily for the determinant of their Jacobian, ascending.

    Args:
        functions: B candidates.
        jacobians: (environments, B, M) scaled gradients.
        limit: most members; as many as are independent if None.
    """
    exact = independence_rows(functions)
    most = _rank(exact)
    space = RowSpace(exact.shape[1], PrimeField(PRIMES[1]))
    rest = jacobians.copy()
    chosen: list[int] = []
    candidate = np.ones(len(functions), dtype=bool)
    while candidate.any() and len(chosen) < (most if limit is None else min(limit, most)):
        lengths = np.einsum("ebm,ebm->eb", rest, rest)
        score = np.where(candidate, np.log(np.maximum(lengths, 1e-300)).mean(0), -np.inf)
        best = int(np.argmax(score))
        candidate[best] = False
        if not space.offer(exact[best : best + 1]):
            continue
        chosen.append(best)
        direction = rest[:, best] / np.sqrt(np.maximum(lengths[:, best], 1e-300))[:, None]
        rest -= np.einsum("ebm,em->eb", rest, direction)[:, :, None] * direction[:, None, :]
    return sorted(chosen)


def condition_numbers(jacobians: np.ndarray) -> np.ndarray:
    """Condition number of the chosen functions' scaled Jacobian in each environment, (environments, B, M) in."""
    singular = np.linalg.svd(jacobians, compute_uv=False)
    return singular[:, 0] / np.maximum(singular[:, -1], 1e-300)


def _rank(exact: np.ndarray) -> int:
    space = RowSpace(exact.shape[1], PrimeField(PRIMES[1]))
    space.offer(exact)
    return space.rank


def _jacobians(descriptor: AceDescriptor, values: torch.Tensor, element: int) -> np.ndarray:
    """(environments, B, M) gradients over A-basis values in units of their spread, of unit length on the average."""
    if not len(values) or not bool(values.abs().max() > 0):
        raise BasisError("an element has no atom with neighbours in these structures; give others, or raise the cutoff")
    spread = values.std(0).numpy() if len(values) > 1 else np.ones(values.shape[1])
    chosen = np.random.default_rng(0).permutation(len(values))[:_ENVIRONMENTS]
    dots = descriptor.plan.dots[element]
    terms = gradient_terms(descriptor.plan, dots)
    rows = [jacobian_of_atom(descriptor.plan, dots, terms, values[int(atom)].numpy())[1] for atom in chosen]
    scaled = np.stack(rows) * spread
    lengths = np.sqrt(np.einsum("ebm,ebm->eb", scaled, scaled).mean(0))
    return scaled / np.where(lengths > 0, lengths, 1.0)[:, None]
