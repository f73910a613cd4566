"""Several potentials as one: more accurate than each, and a measure of how much they disagree."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import combinations
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from invarion.checkpoint import spelled_out
from invarion.exceptions import ConfigError
from invarion.models.committee import CommitteeConfig, CommitteeNetwork
from invarion.models.pair_sum import PairSum
from invarion.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms


def committee(potentials: Sequence[Potential]) -> Potential:
    r"""One potential whose energy is the mean of those of several.

    .. math:: E = \frac1K \sum_k E^{(k)}

    What members trained with different seeds get wrong by chance differs from one to the next, and averages out. Every
    part of this package takes the result as it takes any potential, at the cost of all members together.

    Args:
        potentials: K >= 1 potentials of the same species, cutoff and floating type; a committee among them stands for
            its members.

    Returns:
        A new potential, in evaluation mode, with copies of the members' weights.

    Raises:
        ConfigError: none, potentials that do not fit together, or the same one twice.

    >>> import invarion as inv
    >>> one, other = (inv.Potential(inv.hip_nn(cutoff=4.0, n_features=4), [1, 8]) for _ in range(2))
    >>> len(members(inv.committee([one, other])))
    2
    """
    single = [member for potential in potentials for member in members(potential)]
    if not single:
        raise ConfigError("a committee of no potentials; give at least one")
    for name in ("species", "cutoff", "dtype"):
        found = sorted({str(getattr(member, name)) for member in single})
        if len(found) > 1:
            raise ConfigError(
                f"members of a committee have {name} {' and '.join(found)}; it must be the same for all: train them on "
                f"the same data with the same settings and different seeds"
            )
    _refuse_twins(single)
    references = torch.stack([member.references for member in single])
    scales = torch.stack([member.scale for member in single])
    mean, offsets = references.mean(0), references - references.mean(0)
    config = CommitteeConfig(
        members=tuple(spelled_out(member) for member in single),
        offsets=tuple(map(tuple, offsets.tolist())) if offsets.any() else (),
    )
    network = CommitteeNetwork([deepcopy(member.network) for member in single]).to(single[0].device, single[0].dtype)
    network.factors.copy_(scales / scales.mean())
    result = Potential(config, single[0].species, mean.tolist(), float(scales.mean()), network)
    fitted = [member.pairs for member in single if member.pairs is not None]
    for own, pairs in zip(_pairs(result), fitted, strict=False):  # none of their own where all have one repulsion
        own.load_state_dict(pairs.state_dict())
    return result.to(single[0].device).eval()


def _refuse_twins(potentials: Sequence[Potential]) -> None:
    for (place, one), (other_place, other) in combinations(enumerate(potentials, start=1), 2):
        mine, theirs = one.state_dict(), other.state_dict()
        if mine.keys() == theirs.keys() and all(
            mine[name].shape == theirs[name].shape and torch.allclose(mine[name], theirs[name], rtol=1e-12, atol=0.0)
            for name in mine
        ):
            raise ConfigError(
                f"members {place} and {other_place} of the committee have the same weights; join potentials that were "
                f"trained with different seeds (training.seed)"
            )


def members(potential: Potential) -> list[Potential]:
    """The potentials that a committee is made of, which share its weights; a single potential is its own member."""
    network = potential.network
    if not isinstance(network, CommitteeNetwork):
        return [potential]
    config, found, pairs = cast(CommitteeConfig, potential.config), [], _pairs(potential)
    references, scales = potential.references.tolist(), potential.scale * network.factors.double()
    offsets = config.offsets or [[0.0] * len(references)] * len(config.members)
    for each, own, scale, above in zip(config.members, network.members, scales.tolist(), offsets, strict=True):
        shifted = [reference + offset for reference, offset in zip(references, above, strict=True)]
        member = Potential(each, potential.species, shifted, scale, own).to(potential.device)
        if member.pairs is not None and pairs:
            member.pairs = pairs.pop(0)
        found.append(member.train(potential.training))
    return found


def _pairs(potential: Potential) -> list[nn.Module]:
    """The pair potentials of a committee's members, of those that have one; none where all share one."""
    return list(potential.pairs.parts) if isinstance(potential.pairs, PairSum) else []


def require_single(potential: Potential, what: str) -> None:
    """Refuse a committee where only a single potential makes sense.

    Args:
        potential: any.
        what: is to be done to it, in a word.

    Raises:
        ConfigError: a committee.
    """
    if isinstance(potential.network, CommitteeNetwork):
        raise ConfigError(
            f"{what} the members of a committee each by itself (invarion.committees.members), or their files, and join "
            "them again: together they would become one model whose spread says nothing"
        )


def spread(potential: Potential, atoms: "Sequence[Atoms] | Atoms") -> list[tuple[float, np.ndarray]]:
    """How far the members of a committee lie apart: what they have not learnt from their data.

    Args:
        potential: a committee of two or more.
        atoms: structures in Angstrom.

    Returns:
        For each structure the standard deviation over the members of its energy (eV) and of its forces (N, 3)
        (eV/Angstrom).

    Raises:
        ConfigError: a potential that is no committee of two or more.
    """
    several = members(potential)
    if len(several) < 2:
        raise ConfigError("one potential alone has no spread; join two or more that were trained with different seeds")
    structures = atoms if isinstance(atoms, Sequence) else [atoms]
    predictions = [member.predict(structures, stress=False) for member in several]
    energies, forces = (
        np.std([getattr(each, name) for each in predictions], axis=0, ddof=1) for name in ("energy", "forces")
    )
    ends = np.cumsum([len(structure) for structure in structures])[:-1]
    return [(float(energy), block) for energy, block in zip(energies, np.split(forces, ends), strict=True)]
