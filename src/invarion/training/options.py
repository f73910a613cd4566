"""Options of a training run as one frozen value, equal to the `training` section of a YAML file."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from invarion.exceptions import ConfigError

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Tracker = Literal["tensorboard", "wandb"]


class LossMix(BaseModel):
    r"""A weighted sum of means over the sizes :math:`x \ge 0` of residuals; a bare name is that mean alone.

    .. math:: \ell = a_{mse} \langle x^2 \rangle + a_{mae} \langle x \rangle + a_{rmse} \sqrt{\langle x^2 \rangle}
              + a_{huber} \langle h(x) \rangle, \qquad
              h(x) = x^2 / 2\delta \ (x < \delta), \quad x - \delta/2 \ (x \ge \delta)

    Attributes:
        mse: weight of the mean square.
        mae: weight of the mean size.
        rmse: weight of the root mean square of the batch.
        huber: weight of the Huber mean, scaled so that its slope is 1 far out, as that of `mae`.

    >>> LossMix.model_validate("huber") == LossMix(huber=1.0)
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mse: NonNegativeFloat = 0.0
    mae: NonNegativeFloat = 0.0
    rmse: NonNegativeFloat = 0.0
    huber: NonNegativeFloat = 0.0

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {data: 1.0} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.mse + self.mae + self.rmse + self.huber == 0.0:
            raise ConfigError("a loss mix has no positive weight; give one, for instance 'huber' or {mae: 1, rmse: 1}")
        return self


class TrainOptions(BaseModel):
    """How to train; see docs/training.md for the formulas of loss and schedule.

    Attributes:
        max_epochs: passes over the training set; None for no limit other than `max_minutes`.
        max_minutes: wall time of the whole run, set-up and validation included; the schedule then ends with it.
        seed: of the order of structures in every epoch; the global random state is left alone.
        dtype: floating type to train in; that of the potential if None.
        device: where to train, "cpu", "cuda" or "cuda:1"; where the potential is if None.
        batch_size: structures per batch on the average; batches are balanced by their number of edges.
        batch_edges: most edges per batch, about (a batch may exceed it by one structure); None for no limit.
        energy_weight: of the energy loss; None means 1 where there are labels, a positive number insists on them.
        forces_weight: the same for forces, but None means 100.
        stress_weight: the same for stress.
        loss: mix of means for all properties, a name or weights of mse, mae, rmse, huber.
        energy_loss: another mix for energies; `loss` if None.
        forces_loss: another mix for forces; `loss` if None.
        stress_loss: another mix for stress; `loss` if None.
        huber_delta: residual, in units of the label's spread, where Huber turns from square to linear.
        hierarchicality: weight of the penalty on later terms that outgrow earlier ones.
        optimizer: "muon" (steps of equal singular values for matrices, AdamW for the rest) or "adamw" for all.
        learning_rate: largest step.
        weight_decay: decoupled decay of matrices (biases and scales are left alone).
        betas: AdamW's decays of the first and second moment.
        schedule: "cosine" over the whole run, "plateau" of the validation loss, or "constant".
        warmup: fraction of the run over which the learning rate rises linearly from zero.
        final_factor: the learning rate ends at (cosine) or never falls below (plateau) this part of the largest.
        plateau_factor: factor on the learning rate at a plateau.
        plateau_patience: validations without improvement that make a plateau.
        ema_decay: decay per step of the averaged weights, which are validated and kept; rises from 0 at the start.
        gradient_clip: largest norm of the gradient; None for no clipping.
        early_stopping: validations without improvement that end the run; None for never.
        valid_every: epochs between validations.
        valid_edges: about how many edges a validation batch has.
        freeze: patterns (`*`, `?`, `[...]`) of parameter names that stay as they are, for fine-tuning.
        trackers: "tensorboard", "wandb": further logs beside log.csv, where installed.
        progress: a bar or lines of progress on stderr; None means only on a terminal.

    >>> TrainOptions(max_epochs=10, loss="mae").loss.mae
    1.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_epochs: PositiveInt | None = 500
    max_minutes: PositiveFloat | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    dtype: Literal["float32", "float64"] | None = None
    device: str | None = None

    batch_size: PositiveInt = 8
    batch_edges: PositiveInt | None = 20_000

    energy_weight: NonNegativeFloat | None = None
    forces_weight: NonNegativeFloat | None = None
    stress_weight: NonNegativeFloat | None = None
    loss: LossMix = LossMix(huber=1.0)
    energy_loss: LossMix | None = None
    forces_loss: LossMix | None = None
    stress_loss: LossMix | None = None
    huber_delta: PositiveFloat = 0.01
    hierarchicality: NonNegativeFloat = 0.0

    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-5
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: Fraction = 0.01
    final_factor: Fraction = 0.01
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    plateau_patience: PositiveInt = 20
    ema_decay: Fraction = 0.999
    gradient_clip: PositiveFloat | None = 10.0
    early_stopping: PositiveInt | None = None

    valid_every: PositiveInt = 1
    valid_edges: PositiveInt = 100_000
    freeze: tuple[str, ...] = ()
    trackers: tuple[Tracker, ...] = ()
    progress: bool | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.max_epochs is None and self.max_minutes is None:
            raise ConfigError("max_epochs and max_minutes are both None; give at least one, or the run never ends")
        return self

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if 0.0 == self.energy_weight == self.forces_weight == self.stress_weight:
            raise ConfigError("the weights of energy, forces and stress are all 0; give at least one a positive weight")
        return self

    def mix(self, target: str) -> LossMix:
        """The loss mix of "energy", "forces" or "stress"."""
        own: LossMix | None = getattr(self, f"{target}_loss")
        return self.loss if own is None else own
