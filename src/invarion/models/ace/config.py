"""Settings of ACE models as a frozen value, and the builder `ace`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    model_validator,
)

from invarion.exceptions import ConfigError
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.contraction import mixing_weights
from invarion.models.ace.enumeration import Coupled, Slot, Truncation, enumerate_coupled
from invarion.models.ace.radial import Family
from invarion.models.zbl import ZblCore

if TYPE_CHECKING:
    from ase import Atoms

Readout = Literal["linear", "embedding", "polynomial", "mlp", "kernel"]
Selection = Literal["cheapest", "balanced", "conditioned"]
PerDegree = Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=0)], ...]
Width = Annotated[int, Field(ge=1)]


def _basis_from(value: Any) -> Any:
    if isinstance(value, AceBasis) or value in ("full", "reduced"):
        return value
    if isinstance(value, dict):
        return AceBasis.from_data(value)
    raise ConfigError(f"basis is {value!r}; allowed are 'full', 'reduced' or an AceBasis")


def _basis_data(basis: Any) -> Any:
    return basis.to_data() if isinstance(basis, AceBasis) else basis


BasisField = Annotated[Any, PlainValidator(_basis_from), PlainSerializer(_basis_data)]


class ElementSettings(BaseModel):
    """Limits for the atoms of one element that differ from the model's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_radial: PerDegree | None = None
    max_rank: PerDegree | None = None
    max_degree: Annotated[int, Field(ge=1, le=4)] | None = None
    total_degree: Annotated[int, Field(ge=0)] | None = None


class AceConfig(BaseModel):
    """Settings of an ACE model; lengths in Angstrom. See `ace` for the meaning of each."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["ace"] = "ace"
    cutoff: PositiveFloat
    n_radial: PerDegree = 4
    max_rank: PerDegree = 3
    max_degree: Annotated[int, Field(ge=1, le=4)] = 3
    total_degree: Annotated[int, Field(ge=0)] | None = None
    basis: BasisField = "reduced"
    selection: Selection = "balanced"
    min_per_degree: dict[int, Annotated[int, Field(ge=0)]] | None = None
    radial: Family = "ChebPow"
    radial_parameter: PositiveFloat = 3.0
    n_base: Width | None = None
    contraction: Literal["none", "optimal"] = "optimal"
    n_principal: Width | None = None
    cutoffs: dict[str, PositiveFloat] = Field(default_factory=dict)
    inner_cutoff: NonNegativeFloat = 0.0
    inner_width: PositiveFloat = 0.2
    zbl: bool | tuple[PositiveFloat, PositiveFloat] = False
    elements: dict[str, ElementSettings] = Field(default_factory=dict)
    readout: Readout = "linear"
    n_densities: Annotated[int, Field(ge=2)] = 2
    hidden: tuple[Width, ...] = (256,)
    input_smoothness: NonNegativeFloat = 3.0
    polynomial_degree: Annotated[int, Field(ge=2, le=4)] = 2
    polynomial_budget: PositiveFloat | None = None
    n_centers: Width = 300

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.truncation(None)
        if self.radial == "ChebPow" and self.radial_parameter < 3.0:
            raise ConfigError(
                f"radial_parameter is {self.radial_parameter}; ChebPow is twice differentiable at the cutoff from 3 on"
            )
        if self.n_principal is not None and self.contraction != "optimal":
            raise ConfigError(f"n_principal is {self.n_principal}, which takes contraction 'optimal'; leave one out")
        longest = max(self.cutoffs.values(), default=0.0)
        if longest > self.cutoff:
            raise ConfigError(f"cutoffs has {longest} A, more than cutoff {self.cutoff} A; raise cutoff")
        if self.inner_cutoff and not self.inner_width <= self.inner_cutoff < self.cutoff:
            raise ConfigError(
                f"inner_cutoff is {self.inner_cutoff} A with width {self.inner_width} A; "
                f"inner_width <= inner_cutoff < {self.cutoff} is needed"
            )
        return self

    def truncation(self, symbol: str | None) -> Truncation:
        """Limits for the atoms of an element (its chemical symbol), or the model's own."""
        own = self.elements.get(symbol, ElementSettings()) if symbol else ElementSettings()
        degree = own.max_degree or self.max_degree
        n_radial = _per_degree("n_radial", self.n_radial if own.n_radial is None else own.n_radial, degree)
        max_rank = _per_degree("max_rank", self.max_rank if own.max_rank is None else own.max_rank, degree)
        if n_radial[0] < 1 or min(max_rank) < 0 or max(max_rank) > 6:
            raise ConfigError(f"n_radial is {n_radial} and max_rank {max_rank}; n_radial >= 1 at degree 1, ranks 0..6")
        return Truncation(n_radial, max_rank, self.total_degree if own.total_degree is None else own.total_degree)

    def oscillations(self, functions: Sequence[Coupled]) -> np.ndarray:
        """(B,) how much functions oscillate: the sum of n - 1 and rank over their slots.

        A radial function that is a mixture of the leading ones counts as these do on the average.

        >>> AceConfig(cutoff=5.0).oscillations(enumerate_coupled(Truncation((2, 2), (1, 1)))).tolist()
        [0.0, 1.0, 0.0, 1.0, 2.0, 2.0, 3.0, 4.0]
        """
        return np.array([sum(self._oscillation(slot) for slot in function.slots) for function in functions])

    def _oscillation(self, slot: Slot) -> float:
        if self.n_principal is None or slot.n <= self.n_principal or slot.rank == 0:
            return float(slot.n - 1 + slot.rank)
        weights = mixing_weights(self.n_principal)
        return float(np.arange(self.n_principal) @ weights) + slot.rank

    def pair_cutoffs(self, species: tuple[int, ...]) -> np.ndarray:
        """(S, S) cutoffs in Angstrom by element of center and neighbour."""
        from ase.data import atomic_numbers

        table = np.full((len(species), len(species)), float(self.cutoff))
        for pair, value in self.cutoffs.items():
            places = [species.index(atomic_numbers[s]) for s in pair.split("-") if atomic_numbers.get(s) in species]
            if len(places) == 2:
                table[places[0], places[1]] = table[places[1], places[0]] = value
        return table

    @property
    def scale(self) -> float:
        """eV per unit of the network's output: 1, because cores and files know nothing else."""
        return 1.0

    def pairs(self, species: tuple[int, ...]) -> ZblCore | None:
        """The repulsive core, if it is asked for."""
        return ZblCore(species, *self.core_range(species)) if self.zbl else None

    def core_range(self, species: tuple[int, ...]) -> tuple[float, float]:
        """Inner and outer distance in Angstrom of the repulsive core: by covalent radii where they are not given."""
        if isinstance(self.zbl, tuple):
            return self.zbl
        from ase.data import covalent_radii

        smallest = 2.0 * min(float(covalent_radii[z]) for z in species)
        return 0.6 * smallest, 0.9 * smallest

    def adapted(self, atoms: "Sequence[Atoms]") -> "AceConfig":
        """These settings with the basis written out where structures decide on it (selection "conditioned").

        Args:
            atoms: training structures.
        """
        if self.basis != "reduced" or self.selection != "conditioned":
            return self
        from invarion.models.ace.conditioning import conditioned_basis

        return self.model_copy(update={"basis": conditioned_basis(self, atoms)})

    def build_basis(self, species: tuple[int, ...]) -> AceBasis:
        """The functions for these atomic numbers.

        Raises:
            ConfigError: an explicit basis for other elements.
            BasisError: more functions than fit.
        """
        from invarion.models.ace.reduction import reduce_basis

        if isinstance(self.basis, AceBasis):
            if self.basis.species != species:
                raise ConfigError(f"the basis is for elements {self.basis.species}, the data has {species}; rebuild it")
            return self.basis
        full = full_basis(self, species)
        if self.basis == "full":
            return full
        # "conditioned" is decided by structures, in `adapted`; a network made without any falls back
        selection = "balanced" if self.selection == "conditioned" else self.selection
        return reduce_basis(full, selection, self.min_per_degree)

    def network(self, species: tuple[int, ...]) -> Any:
        """A network for these atomic numbers; linear and embedding coefficients start at zero."""
        from invarion.models.ace.network import AceNetwork

        return AceNetwork(self, species)


def full_basis(config: AceConfig, species: tuple[int, ...]) -> AceBasis:
    """All linearly independent functions within a config's limits.

    >>> len(full_basis(AceConfig(cutoff=5.0, n_radial=3, max_rank=3, max_degree=4), (29,)))
    1103
    """
    from ase.data import chemical_symbols

    limits = [config.truncation(chemical_symbols[z]) for z in species]
    functions = {limit: enumerate_coupled(limit, len(species)) for limit in set(limits)}
    return AceBasis(species, tuple(functions[limit] for limit in limits), "full")


def ace_basis(
    species: Sequence[int],
    n_radial: int | tuple[int, ...] = 4,
    max_rank: int | tuple[int, ...] = 3,
    max_degree: int = 3,
    kind: Literal["full", "reduced"] = "reduced",
    total_degree: int | None = None,
    selection: Selection = "balanced",
    min_per_degree: dict[int, int] | None = None,
) -> AceBasis:
    """The functions of an ACE model as a value: all linearly independent ones, or a certified independent subset.

    Args:
        species: atomic numbers.
        n_radial: radial functions per element of neighbour; one number, or one per degree.
        max_rank: largest tensor rank; one number, or one per degree.
        max_degree: 1..4.
        kind: "full" or "reduced" (functionally independent, with a certificate).
        total_degree: limit on the sum of n - 1 and rank over the slots of a function.
        selection: "cheapest" or "balanced"; see `reduce_basis`.
        min_per_degree: least number of members of given degrees.

    Raises:
        ConfigError: a number out of range.
        BasisError: more functions than fit, or a selection that cannot be met.

    >>> basis = ace_basis([29], n_radial=3, max_rank=3, max_degree=4)
    >>> len(basis), basis.degrees(), basis.check()
    (45, (3, 17, 20, 5), True)
    """
    config = AceConfig(
        cutoff=1.0,
        n_radial=n_radial,
        max_rank=max_rank,
        max_degree=max_degree,
        basis=kind,
        total_degree=total_degree,
        selection=selection,
        min_per_degree=min_per_degree,
    )
    return config.build_basis(tuple(sorted(species)))


def ace(
    cutoff: float,
    n_radial: int | tuple[int, ...] = 4,
    max_rank: int | tuple[int, ...] = 3,
    max_degree: int = 3,
    basis: Literal["full", "reduced"] | AceBasis = "reduced",
    readout: Readout = "linear",
    **settings: Any,
) -> AceConfig:
    """Settings of an ACE model (Atomic Cluster Expansion), with all its descriptors or only those it needs.

    Args:
        cutoff: Angstrom, > 0.
        n_radial: radial functions per element of neighbour; one number, or one per degree.
        max_rank: largest tensor rank, 0..6; one number, or one per degree (degree 1 uses rank 0 alone).
        max_degree: 1..4, the number of neighbour densities multiplied; the body order is one more.
        basis: "full": every linearly independent function; "reduced": a functionally independent subset, certified;
            or an `AceBasis`.
        readout: "linear"; "embedding" (Finnis-Sinclair: linear plus square roots of further linear densities);
            "polynomial" of the functions; "mlp" (linear part plus a network of the scaled functions); "kernel"
            (energies alone, through scikit-learn).
        settings: the other fields of `AceConfig`: total_degree (limit on the sum of n - 1 and rank), selection
            ("cheapest", "balanced", "conditioned") and min_per_degree of a reduced basis; radial ("SBessel",
            "ChebExpCos", "ChebPow", "ChebLinear"), radial_parameter, n_base (base functions that radial functions are
            combined from), contraction ("optimal" combines them by their variance in the training structures) and
            n_principal (radial functions beyond it are mixtures of those up to it; see `optimal_contraction`);
            cutoffs ({"Si-O": 4.0}), inner_cutoff, inner_width, zbl; elements ({"H": {"max_rank": 2}});
            n_densities; hidden (widths) and input_smoothness (how much less a network sees of functions that
            oscillate; see `Mlp`); polynomial_degree and polynomial_budget (limit on the sum over the factors of a
            product of how much they oscillate, plus 1 each; see `Polynomial`), n_centers.

    Raises:
        ConfigError: a setting out of range or inconsistent.

    References:
        R. Drautz, Phys. Rev. B 99, 014104 (2019); arXiv:2503.23515 (functional independence).

    >>> ace(cutoff=5.0, n_radial=(8, 4, 3), max_rank=(0, 4, 3)).truncation(None).n_radial
    (8, 4, 3)
    """
    fields = {"cutoff": cutoff, "n_radial": n_radial, "max_rank": max_rank, "max_degree": max_degree}
    return AceConfig(**fields, basis=basis, readout=readout, **settings)


def _per_degree(name: str, value: int | tuple[int, ...], degree: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * degree
    if len(value) < degree:
        raise ConfigError(f"{name} has {len(value)} numbers for max_degree {degree}; give one, or one per degree")
    return tuple(value[:degree])
