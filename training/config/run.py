"""RunConfig: everything that determines one run."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tailorbird.errors import InvalidInput
from training.config.base import CODE, Config, PositiveInt, Seed, parse
from training.config.data import IMAGES, DataConfig
from training.config.model import SIDE, ModelConfig, own_code

PROBED = 4
"""A probe trains `1 / PROBED` of the steps of the first epoch, at a constant rate, to show whether a run is worth
continuing.
"""

Device = Literal["auto", "cpu", "cuda", "mps"]


class LossConfig(Config):
    """What is minimised: the mean over a batch's images, and over classes where each has a loss of its own.

    By default it follows from what is predicted: cross_entropy for one class of several, bce for two and for labels,
    mse for a number. For one class of several there are also log_softmax_nll and softmax_log_nll, two other ways to
    write cross_entropy, and bce on one-hot targets.
    """

    name: Literal["cross_entropy", "log_softmax_nll", "softmax_log_nll", "bce", "mse"] | None = None
    label_smoothing: float = Field(0.0, strict=True, ge=0, lt=1, description="of cross_entropy")

    @model_validator(mode="after")
    def _smoothing_is_of_cross_entropy(self) -> "LossConfig":
        if self.label_smoothing and self.name not in (None, "cross_entropy"):
            raise ValueError(f"label_smoothing applies only to cross_entropy, not to {self.name}")
        return self


class OptimizerConfig(Config):
    """The optimiser and its (peak) learning rate."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: float = Field(1e-3, strict=True, gt=0, le=100)
    weight_decay: float = Field(0.0, strict=True, ge=0)
    momentum: float = Field(0.0, strict=True, ge=0, lt=1, description="of sgd and rmsprop")
    nesterov: bool = Field(False, description="of sgd with momentum")
    backbone_scale: float = Field(0.1, strict=True, gt=0, le=1, description="of a tuned backbone: share of lr")

    @model_validator(mode="after")
    def _momentum_is_theirs(self) -> "OptimizerConfig":
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise ValueError(f"momentum applies only to sgd and rmsprop, not to {self.name}")
        if self.nesterov and not (self.name == "sgd" and self.momentum):
            raise ValueError("nesterov applies only to sgd with momentum")
        return self


class ScheduleConfig(Config):
    """How the learning rate moves.

    `one_cycle` rises to lr and falls to zero (Smith & Topin 2018), `cosine` rises and then falls along half a cosine
    (Loshchilov & Hutter 2017), `plateau` multiplies it by `factor` after `patience` measurements without improvement.
    """

    name: Literal["constant", "one_cycle", "cosine", "plateau"] = "constant"
    warmup: float = Field(
        0.3, strict=True, ge=0, lt=1, description="share of the steps in which one_cycle, cosine rise"
    )
    patience: PositiveInt = 3
    factor: float = Field(0.5, strict=True, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_cycle_rises(self) -> "ScheduleConfig":
        if self.name == "one_cycle" and not self.warmup:
            raise ValueError("warmup of one_cycle must be above 0")
        return self


class EarlyStopping(Config):
    """Ends a run after `patience` measurements in a row without a better one, by more than `least`."""

    patience: PositiveInt
    least: float = Field(0.0, strict=True, ge=0)


class AugmentConfig(Config):
    """Random augmentation of a batch of images, each image independently."""

    flip: bool = Field(False, description="mirrored left to right, half of them")
    crop: Annotated[int, Field(strict=True, ge=0, le=64)] = Field(0, description="moved by up to so many pixels")
    erase: Annotated[int, Field(strict=True, ge=0, le=256)] = Field(0, description="side of a square that is blackened")


def sized(raw: Any, families: Iterable[Any]) -> Any:
    """The same keys, in which images without a size get that of pretrained backbones if `families` has any."""
    data = raw.get("data") if isinstance(raw, Mapping) else None
    if not isinstance(data, Mapping) or (data.get("name"), data.get("size")) != (IMAGES, None):
        return raw
    return {**raw, "data": {**data, "size": SIDE}} if "pretrained" in families else raw


class RunConfig(Config):
    """Everything that determines one run."""

    data: DataConfig
    model: ModelConfig
    normalize: Literal["standard", "unit", "symmetric", "none"] = Field(
        "standard", description="to mean 0 and deviation 1, to 0..1, to -1..1, or not at all; by the training split"
    )
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_size: PositiveInt | Literal["full"] = 64
    accumulate: PositiveInt = Field(1, description="batches whose gradients make one step")
    epochs: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 5
    measure_every: PositiveInt = Field(1, description="epochs between measurements; the last is always measured")
    early_stopping: EarlyStopping | None = None
    augment: AugmentConfig = AugmentConfig()
    ema: float | None = Field(None, strict=True, gt=0, lt=1, description="decay of the mean of weights that is kept")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the layers; auto takes bf16 where instructions of the processor or GPU make it faster"
    )
    compile: bool = Field(False, description="fuses layers by torch.compile: for GPUs, and needs a C++ compiler")
    seed: Seed = Field(0, description="decides the first weights, the order of batches and dropout")
    device: Device = Field("auto", description="auto takes cuda, then mps, then cpu")
    threads: Annotated[int, Field(strict=True, ge=0)] = Field(
        0, description="CPU threads; 0: 1, for convolutions every core that it may use"
    )

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, raw: Any) -> Any:
        model = raw.get("model") if isinstance(raw, Mapping) else None
        return sized(raw, [model.get("family")] if isinstance(model, Mapping) else [])


class Objective(Config):
    """The metric by which the best epoch, and the best trial, are chosen."""

    metric: Literal["val_accuracy", "val_loss", "train_accuracy", "train_loss"] = "val_accuracy"
    mode: Literal["max", "min"] = "max"

    @model_validator(mode="after")
    def _mode_suits_metric(self) -> "Objective":
        if self.mode != (right := "min" if self.metric.endswith("loss") else "max"):
            raise ValueError(f"mode of {self.metric} must be {right!r}, not {self.mode!r}")
        return self

    def score(self, metrics: Mapping[str, float]) -> float:
        """The metric, negated where smaller is better."""
        return metrics[self.metric] if self.mode == "max" else -metrics[self.metric]

    def merit(self, metrics: Mapping[str, float]) -> tuple[float, float]:
        """A sort key, larger is better: the score, and of equal scores the lower loss on the same split."""
        loss = self.metric.partition("_")[0] + "_loss"
        return self.score(metrics), -metrics.get(loss, math.inf)


def digest(config: RunConfig) -> str:
    """SHA-256 of everything that determines the run."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def stored(raw: Mapping[str, Any], prefix: str = "") -> RunConfig:
    """A run config that comes from a registry; raises InvalidInput also where it names code, which is not imported."""
    config = parse(RunConfig, raw, prefix)
    named = own_code(config.model)
    if CODE.fullmatch(config.data.name):
        named["data.name"] = config.data.name
    for key, reference in named.items():
        raise InvalidInput(
            prefix + key, f"names code, {reference}; code is imported only for your own config files, never for "
                          f"configs from a registry"
        )  # fmt: skip
    return config
