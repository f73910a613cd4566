"""Models: settings as frozen values (`hip_nn`, `hip_nn_ts`, `hip_hop_nn`, `ace`) that know how to build a network."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from invarion.models.ace import AceBasis, AceConfig, ace, ace_basis
from invarion.models.committee import CommitteeConfig
from invarion.models.hip_builders import hip_hop_nn, hip_nn, hip_nn_ts
from invarion.models.hip_config import HipConfig, HipHopNNConfig, HipNNConfig, HipNNTSConfig
from invarion.models.hippynn import convert_hippynn

ModelConfig = Annotated[HipNNConfig | HipNNTSConfig | HipHopNNConfig | AceConfig, Field(discriminator="kind")]
"""Settings of any model that can be trained or fitted, told apart by `kind`."""


def model_config(data: object) -> HipConfig | AceConfig | CommitteeConfig:
    """The settings that a mapping with a `kind` describes, as in a YAML file or a model file's header.

    Args:
        data: a mapping with `kind` and that model's arguments.

    Raises:
        pydantic.ValidationError: an unknown kind or key, or a value out of range (a ValueError).

    >>> model_config({"kind": "hip_nn", "cutoff": 5.0}).cutoff
    5.0
    """
    known = Annotated[ModelConfig | CommitteeConfig, Field(discriminator="kind")]
    return TypeAdapter(known).validate_python(data)


__all__ = [
    "AceBasis",
    "AceConfig",
    "CommitteeConfig",
    "HipConfig",
    "HipHopNNConfig",
    "HipNNConfig",
    "HipNNTSConfig",
    "ModelConfig",
    "ace",
    "ace_basis",
    "convert_hippynn",
    "hip_hop_nn",
    "hip_nn",
    "hip_nn_ts",
    "model_config",
]
