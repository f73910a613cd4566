"""The settings of a run as one frozen value: sections data, model, training and output."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from invarion.data.options import DataOptions
from invarion.exceptions import ConfigError
from invarion.models import ModelConfig
from invarion.training.options import TrainOptions


class OutputOptions(BaseModel):
    """Where the results of a run go.

    Attributes:
        folder: made if absent; gets the resolved config, log.csv, model.inv and the last checkpoint.
        report: whether to write report.html at the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = "run"
    report: bool = True

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.folder.strip():
            raise ConfigError("folder is empty; name the folder that the results go to")
        return self


class RunConfig(BaseModel):
    """All settings of a run; equal to a YAML file.

    Attributes:
        data: which structures.
        model: which model: what `hip_nn`, `hip_nn_ts`, `hip_hop_nn` or `ace` return.
        training: how to train.
        output: where results go.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    data: DataOptions
    model: ModelConfig
    training: TrainOptions = TrainOptions()
    output: OutputOptions = OutputOptions()
