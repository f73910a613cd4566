"""Settings of the HIP family as frozen values; `hip_builders` has the functions that users call."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, PositiveFloat, model_validator
from torch import nn

from invarion import invariants
from invarion.data.statistics import smallest_distances
from invarion.exceptions import ConfigError
from invarion.invariants import InvariantBasis
from invarion.models.activations import Activation, activation_function
from invarion.models.heads import BasisHead, NormHead, ScalarHead
from invarion.models.hip import HipNetwork, Layout
from invarion.models.normalization import Normalization
from invarion.models.pair_sum import joined
from invarion.models.pairs import PairPotential
from invarion.models.radial import CutoffFunction, Sensitivities
from invarion.models.zbl import ZblCore, core_ranges, out_of_reach

if TYPE_CHECKING:
    from ase import Atoms

Width = Annotated[int, Field(ge=1, le=65536)]
Range = tuple[PositiveFloat, PositiveFloat]
_MOST_WEIGHTS = 10**9  # of one interaction: 4 GB in single precision, and as much again for each of its slopes
SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "small": MappingProxyType({"n_features": 32, "n_interactions": 1}),
        "medium": MappingProxyType({"n_features": 64, "n_interactions": 2}),
        "large": MappingProxyType({"n_features": 128, "n_interactions": 2}),
    }
)
"""What a size stands for where these are not given."""
_RECIPE = MappingProxyType(
    {"n_atom_layers": 1, "message_rank": "all", "interaction_activation": "wide_silu", "pair_potential": True}
)
HOP_SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "small": MappingProxyType({"n_features": 32, "n_interactions": 1, **_RECIPE}),
        "medium": MappingProxyType({"n_features": 64, "n_interactions": 2, **_RECIPE}),
        "large": MappingProxyType({"n_features": 64, "n_interactions": 3, **_RECIPE}),
    }
)
"""The same for HIP-HOP-NN, which gains by messages, nearly linear interactions and depth (docs/training.md)."""
_LAYOUT = ("n_features", "n_interactions", "n_atom_layers")


def _of_size(data: Any, sizes: Mapping[str, Mapping[str, Any]]) -> Any:
    """Settings with those that their size stands for instead of its name; "medium" where nothing says how large."""
    if not isinstance(data, dict):
        return data
    size, given = data.get("size"), {name: value for name, value in data.items() if name != "size"}
    if size is None and any(name in given for name in _LAYOUT):
        per_block = isinstance(given.get("n_features"), list | tuple)
        return given if per_block else {"n_interactions": 2, **given}
    size = "medium" if size is None else size
    if not isinstance(size, str) or size not in sizes:
        raise ConfigError(f"size is {size!r}; give {', '.join(sizes)}, or n_features and n_interactions")
    meant = dict(sizes[size])
    if meant.keys() <= given.keys() and any(given[name] != value for name, value in meant.items()):
        raise ConfigError(
            f"size is {size!r}, and all that it stands for is given, too ({', '.join(meant)}), as in the settings that "
            "a run writes down; leave these out to get that size, or leave size out"
        )
    if isinstance(given.get("n_features"), list | tuple):
        del meant["n_interactions"]  # there is a width for each
    return {**meant, **given}


def _basis_from(value: Any) -> InvariantBasis:
    return value if isinstance(value, InvariantBasis) else InvariantBasis.from_json(json.dumps(value))


def _basis_data(basis: InvariantBasis) -> Any:
    return json.loads(basis.to_json())


BasisField = Annotated[InvariantBasis, PlainValidator(_basis_from), PlainSerializer(_basis_data)]


class HipConfig(BaseModel):
    """What all networks of the HIP family share; lengths in Angstrom. See `hip_hop_nn` for the meaning of each."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = SIZES

    cutoff: PositiveFloat
    n_features: Width | tuple[Width, ...] = 64
    n_interactions: Annotated[int, Field(ge=1, le=1000)] | None = None
    n_atom_layers: Annotated[int, Field(ge=0, le=1000)] = 3
    n_sensitivities: Width = 8
    sensitivity_width: PositiveFloat | None = None
    soft_min: PositiveFloat | None = None
    soft_max: PositiveFloat | None = None
    cutoff_function: CutoffFunction = "smooth"
    resnet: bool | Width | tuple[Width, ...] = True
    activation: Activation = "silu"
    interaction_activation: Activation | None = None
    zbl: bool | Range | dict[str, Range] = False
    pair_potential: bool = False

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, data: Any) -> Any:
        """A size becomes the numbers that it stands for."""
        return _of_size(data, cls.sizes)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.n_features, tuple) and self.n_interactions not in (None, len(self.n_features)):
            raise ConfigError(
                f"n_features has {len(self.n_features)} widths and n_interactions is {self.n_interactions}; "
                "give one width per interaction, or leave n_interactions out"
            )
        if isinstance(self.resnet, tuple) and len(self.resnet) != len(self.widths):
            raise ConfigError(
                f"resnet has {len(self.resnet)} widths for {len(self.widths)} interactions; give one width each"
            )
        inner = self.soft_min or 0.0
        if not inner < self.outer:
            raise ConfigError(f"soft_min is {inner} A and soft_max {self.outer} A; soft_min must be the smaller one")
        self._check_size()
        self._check_core()
        return self

    def _check_size(self) -> None:
        inputs = (1, *self.widths[:-1])
        weights = max(self.n_sensitivities * a * b for a, b in zip(self._middle(), inputs, strict=True))
        if weights > _MOST_WEIGHTS:
            raise ConfigError(
                f"an interaction would have {weights:.2g} weights, one per sensitivity and pair of features; allowed "
                f"are {_MOST_WEIGHTS:.0g}: choose fewer n_features or n_sensitivities"
            )

    def _check_core(self) -> None:
        """Distances in order, pairs of elements that exist."""
        if isinstance(self.zbl, bool):
            return
        by_pair = self.zbl if isinstance(self.zbl, dict) else {"": self.zbl}
        for inner, outer in by_pair.values():
            if not inner < outer <= self.cutoff:
                raise ConfigError(
                    f"zbl is switched off from {inner} to {outer} A; needed is inner < outer <= cutoff ({self.cutoff})"
                )
        if isinstance(self.zbl, dict):
            core_ranges(self.zbl, ())

    @property
    def widths(self) -> tuple[int, ...]:
        """Features after each interaction."""
        if isinstance(self.n_features, tuple):
            return self.n_features
        return (self.n_features,) * (self.n_interactions or 2)

    @property
    def outer(self) -> float:
        """Centre of the outermost sensitivity in Angstrom."""
        return self.soft_max or 0.9 * self.cutoff

    def pairs(self, species: tuple[int, ...]) -> nn.Module | None:
        """What acts between pairs of atoms beside the network, if anything: a repulsion, a pair potential, or both."""
        parts: list[nn.Module] = [PairPotential(species, self.cutoff)] if self.pair_potential else []
        if self.zbl is not False:
            ranges = (
                self.zbl if isinstance(self.zbl, tuple) else core_ranges({} if self.zbl is True else self.zbl, species)
            )
            parts.append(ZblCore(species, *ranges))
        return joined(parts)

    def adapted(self, atoms: "Sequence[Atoms]") -> Self:
        """These settings with the reach of the core written out, where it follows from the structures (zbl is True).

        Args:
            atoms: training structures.
        """
        if self.zbl is not True:
            return self
        return self.model_copy(update={"zbl": out_of_reach(smallest_distances(atoms, self.cutoff))})

    def network(self, species: tuple[int, ...]) -> HipNetwork:
        """A network with random weights for these atomic numbers."""
        max_rank, head = self._head()
        layout = Layout(
            n_species=len(species),
            n_features=self.widths,
            n_middle=self._middle(),
            n_atom_layers=self.n_atom_layers,
            residual=self.resnet is not False,
            activation=activation_function(self.activation),
            interaction_activation=activation_function(self.interaction_activation or self.activation),
            sensitivities=self._sensitivities,
            head=head,
            max_rank=max_rank,
            message_rank=self._message_rank(),
        )
        return HipNetwork(layout)

    def _middle(self) -> tuple[int, ...]:
        if isinstance(self.resnet, bool):
            return self.widths
        return self.resnet if isinstance(self.resnet, tuple) else (self.resnet,) * len(self.widths)

    def _sensitivities(self) -> Sensitivities:
        places = (self.soft_min, self.outer, self.cutoff)
        return Sensitivities(self.n_sensitivities, *places, self.cutoff_function, self.sensitivity_width)

    def _message_rank(self) -> int:
        """Highest rank of the tensors that atoms hand on; 0 where only features travel."""
        return 0

    def _head(self) -> tuple[int, Callable[[int], nn.Module]]:
        """Highest rank, and what makes features of the tensors of so many neurons; every kind has its own."""
        raise NotImplementedError


class HipNNConfig(HipConfig):
    """Settings of HIP-NN."""

    kind: Literal["hip_nn"] = "hip_nn"

    def _head(self) -> tuple[int, Callable[[int], nn.Module]]:
        return 0, lambda width: ScalarHead()


class HipNNTSConfig(HipConfig):
    """Settings of HIP-NN-TS."""

    kind: Literal["hip_nn_ts"] = "hip_nn_ts"
    max_rank: Annotated[int, Field(ge=1, le=6)] = 1
    cusp: PositiveFloat = 1e-6

    def _head(self) -> tuple[int, Callable[[int], nn.Module]]:
        return self.max_rank, lambda width: NormHead(width, self.max_rank, self.cusp)


class HipHopNNConfig(HipConfig):
    """Settings of HIP-HOP-NN; `basis` is always spelled out, so that a stored model never depends on a search."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = HOP_SIZES

    kind: Literal["hip_hop_nn"] = "hip_hop_nn"
    max_rank: Annotated[int, Field(ge=0, le=6)] = 3
    max_degree: Annotated[int, Field(ge=1, le=10)] = 4
    basis: BasisField
    normalization: Normalization = "scaled"
    message_rank: Annotated[int, Field(ge=0, le=6)] = 0

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, data: Any) -> Any:
        """A basis by name ("optimal", "published", ...) becomes the basis itself; ranks and degree follow from it."""
        if not isinstance(data, dict):
            return data
        data = _of_size(data, cls.sizes)  # it may ask for messages of "all" ranks
        basis = data.get("basis", "optimal")
        if isinstance(basis, str):
            basis = _named_basis(basis, data.get("max_rank", 3), data.get("max_degree", 4))
        basis = _basis_from(basis)
        if tuple(basis.ranks) != tuple(range(len(basis.ranks))):
            raise ConfigError(
                f"the basis acts on tensors of ranks {list(basis.ranks)}; a HIP-HOP-NN neuron has one of each rank 0..L"
            )
        data = {**data, "basis": basis, "max_rank": basis.max_rank, "max_degree": basis.max_degree}
        asked = data.get("message_rank")
        if isinstance(asked, str) and asked != "all":
            raise ConfigError(f'message_rank is {asked!r}; give "all" or a number from 0 to {basis.max_rank}')
        return {**data, "message_rank": basis.max_rank} if asked == "all" else data

    @model_validator(mode="after")
    def _messages_exist(self) -> Self:
        if self.message_rank > self.max_rank:
            raise ConfigError(
                f"message_rank is {self.message_rank} and the highest rank of tensors {self.max_rank}; allowed are "
                f"0 (features alone travel) to {self.max_rank}"
            )
        return self

    def _message_rank(self) -> int:
        return self.message_rank

    def _head(self) -> tuple[int, Callable[[int], nn.Module]]:
        return self.max_rank, lambda width: BasisHead(width, self.basis, self.normalization)


def _named_basis(name: str, max_rank: int, max_degree: int) -> InvariantBasis:
    if name == "optimal":
        return invariants.optimal_basis(max_rank=max_rank, max_degree=max_degree)
    if name == "published":
        return invariants.published_basis(max_rank=max_rank, max_degree=max_degree)
    if name == "flexible":
        return invariants.flexible_basis(max_rank=max_rank)
    if name == "separating":
        return invariants.separating_basis(max_rank=max_rank)
    if name.endswith(".json"):
        return _basis_in(name)
    raise ConfigError(
        f'basis is {name!r}; give "optimal", "published", "flexible", "separating", an InvariantBasis, or a JSON file '
        "of one (invarion basis -o basis.json)"
    )


def _basis_in(path: str) -> InvariantBasis:
    try:
        return InvariantBasis.from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"basis: {path} cannot be read ({error})") from None
