"""The functions by which users describe networks of the HIP family."""

from typing import Any, Literal

from invarion.invariants import InvariantBasis
from invarion.models.hip_config import HipHopNNConfig, HipNNConfig, HipNNTSConfig

Size = Literal["small", "medium", "large"]


def hip_nn(
    cutoff: float,
    n_features: int | tuple[int, ...] | None = None,
    n_interactions: int | None = None,
    size: Size | None = None,
    **settings: Any,
) -> HipNNConfig:
    """Settings of a HIP-NN: neighbours seen through distances alone.

    Args:
        cutoff: Angstrom, > 0.
        n_features: width of every block, or one width per block; that of the size if not given.
        n_interactions: number of blocks, >= 1; that of the size if not given.
        size: "small" (32 features, 1 interaction), "medium" (64, 2; the default) or "large" (128, 2), with 3 atom
            layers after each interaction.
        settings: the further settings of `hip_hop_nn`, without max_rank, max_degree, basis, normalization and
            message_rank.

    Raises:
        pydantic.ValidationError: a setting out of range (a ValueError).

    References:
        Lubbers et al., J. Chem. Phys. 148, 241715 (2018).

    >>> hip_nn(cutoff=5.0, n_features=32).kind
    'hip_nn'
    """
    return HipNNConfig.model_validate(
        {"cutoff": cutoff, **_given(size=size, n_features=n_features, n_interactions=n_interactions), **settings}
    )


def hip_nn_ts(
    cutoff: float,
    n_features: int | tuple[int, ...] | None = None,
    n_interactions: int | None = None,
    max_rank: int = 1,
    size: Size | None = None,
    **settings: Any,
) -> HipNNTSConfig:
    """Settings of a HIP-NN-TS: HIP-NN plus norms of vector (max_rank 1) and quadrupole (max_rank 2) sensitivities.

    Args:
        cutoff: Angstrom, > 0.
        n_features: width of every block, or one width per block; that of the size if not given.
        n_interactions: number of blocks, >= 1; that of the size if not given.
        max_rank: highest tensor rank, 1..6.
        size: "small", "medium" or "large", see `hip_nn`.
        settings: the further settings of `hip_hop_nn`, without max_degree, basis, normalization and message_rank; and
            `cusp` (1e-6), which rounds the norm at zero.

    Raises:
        pydantic.ValidationError: a setting out of range (a ValueError).

    References:
        Chigaev et al., J. Chem. Phys. 158, 184108 (2023).

    >>> hip_nn_ts(cutoff=5.0, max_rank=2).max_rank
    2
    """
    shape = _given(size=size, n_features=n_features, n_interactions=n_interactions)
    return HipNNTSConfig.model_validate({"cutoff": cutoff, "max_rank": max_rank, **shape, **settings})


def hip_hop_nn(
    cutoff: float,
    n_features: int | tuple[int, ...] | None = None,
    n_interactions: int | None = None,
    n_atom_layers: int | None = None,
    n_sensitivities: int = 8,
    max_rank: int = 3,
    max_degree: int = 4,
    basis: InvariantBasis | str = "optimal",
    message_rank: int | Literal["all"] | None = None,
    size: Size | None = None,
    **settings: Any,
) -> HipHopNNConfig:
    """Settings of a HIP-HOP-NN: every neuron sees patterns of up to max_degree + 1 bodies through a basis.

    Args:
        cutoff: Angstrom, > 0.
        n_features: width C of every block, or one width per block.
        n_interactions: number of blocks, >= 1.
        n_atom_layers: layers after each interaction, >= 0.
        n_sensitivities: radial functions K, >= 1; the published networks have 20, six times as narrow.
        max_rank: highest tensor rank L, 0..6; follows from `basis` where that is a basis.
        max_degree: tensors multiplied, 1..10; follows from `basis` where that is a basis.
        basis: "optimal", "published", "flexible" or "separating", an `InvariantBasis` of one tensor per rank, or the
            JSON file of one.
        message_rank: atoms hand on their tensors up to this rank, or "all", besides their features; 0: features alone,
            as in the published networks.
        size: "small" (32 features, 1 interaction), "medium" (64, 2) or "large" (64, 3), each with 1 atom layer,
            messages of all ranks between interactions, nearly linear interactions
            (`interaction_activation="wide_silu"`) and a pair potential; every one of these can be overruled. "medium"
            is the default where none of n_features, n_interactions and n_atom_layers is given. Where one of them is
            given without a size, the layout is the published one: the others are 64, 2 and 3, and features alone
            travel. To change a number of the default network, say size="medium" beside it.
        settings: `soft_min`, `soft_max` (Angstrom, centres of the innermost and outermost sensitivity; by default just
            inside the data's smallest distance, and 0.9 cutoff), `sensitivity_width` (their standard deviation in 1/r
            at the start, as a part of 1/soft_min; by default 0.15, or the published 1 / (2 n_sensitivities) where that
            is wider), `cutoff_function` ("smooth" is C2, "cosine_squared" the published one), `normalization`
            ("scaled", "smooth", "group", the published one, or "none"), `resnet` (True, False or inner widths),
            `activation` ("silu", "wide_silu", which is nearly linear, or "softplus", the published one),
            `interaction_activation` (of interactions; in a size of HIP-HOP-NN "wide_silu", otherwise `activation`),
            `zbl` (a nuclear repulsion at short range. True: it begins inside the smallest distance of every pair of
            elements in the training structures; or (inner, outer) in Angstrom, or {"C-H": (inner, outer), ...}),
            `pair_potential` (True in a size of HIP-HOP-NN: a nuclear repulsion and smooth functions of distance,
            fitted to the structures by least squares before a network learns the rest; see `PairPotential`).

    Returns:
        A frozen config, equal to the `model` section of a YAML file.

    Raises:
        pydantic.ValidationError: a setting out of range (a ValueError).

    References:
        arXiv:2503.23515.

    >>> config = hip_hop_nn(cutoff=5.5, n_features=32)
    >>> len(config.basis)
    13
    """
    return HipHopNNConfig.model_validate(
        {
            "cutoff": cutoff,
            **_given(
                size=size,
                n_features=n_features,
                n_interactions=n_interactions,
                n_atom_layers=n_atom_layers,
                message_rank=message_rank,
            ),
            "n_sensitivities": n_sensitivities,
            "max_rank": max_rank,
            "max_degree": max_degree,
            "basis": basis,
            **settings,
        }
    )


def _given(**settings: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in settings.items() if value is not None}
