"""RunConfig: everything that determines one run, nested, frozen, with unknown keys refused."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from tailorbird.errors import InvalidInput, NotFound

DatasetName = Literal["digits", "fashion_mnist", "mnist"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class Config(BaseModel):
    """The base of every config: immutable, strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _size(size: float) -> float:
    if size < 0 or (isinstance(size, float) and size >= 1):
        raise ValueError(f"must be a count of images, or a fraction below 1, not {size}")
    return size


Size = Annotated[StrictInt | StrictFloat, AfterValidator(_size)]
PositiveInt = Annotated[int, Field(strict=True, ge=1)]
Width = Annotated[int, Field(strict=True, ge=1, le=65536)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Dropout = Annotated[float, Field(strict=True, ge=0, lt=1)]


class DataConfig(Config):
    """Which images are trained on, chosen on, and held out."""

    name: DatasetName
    validation: Size = Field(0.1, description="images that choices are made on: a count, or a fraction")
    holdout: Size = Field(0.1, description="images that gates are judged on: a count, or a fraction")
    test: Size = Field(0.2, description="test split of a set that comes without one")
    split_seed: Seed = Field(0, description="with the images' content decides which image is where")

    @field_validator("test")
    @classmethod
    def _test_is_measured(cls, size: float) -> float:
        if not size:
            raise ValueError("must be above 0: what is registered is measured on it")
        return size


class LinearConfig(Config):
    """One linear layer: softmax regression."""

    family: Literal["linear"]


class MlpConfig(Config):
    """`depth` hidden layers of `width` units, or of the widths that a list gives, with ReLU and dropout."""

    family: Literal["mlp"]
    depth: Annotated[int, Field(strict=True, ge=1, le=64)] = 2
    width: Width | Annotated[list[Width], Field(min_length=1, max_length=64)] = 128
    dropout: Dropout = 0.0

    @model_validator(mode="before")
    @classmethod
    def _depth_from_widths(cls, given: Any) -> Any:
        return _depth_from_widths(given)


class CnnConfig(Config):
    """`depth` blocks of 3x3 convolution, 2x2 max pooling, batch norm, ReLU and dropout; then one linear layer."""

    family: Literal["cnn"]
    depth: Annotated[int, Field(strict=True, ge=1, le=8)] = 2
    width: Width | Annotated[list[Width], Field(min_length=1, max_length=8)] = 32
    dropout: Dropout = 0.0

    @model_validator(mode="before")
    @classmethod
    def _depth_from_widths(cls, given: Any) -> Any:
        return _depth_from_widths(given)


ModelConfig = Annotated[LinearConfig | MlpConfig | CnnConfig, Discriminator("family")]


class OptimizerConfig(Config):
    """The optimiser and its (peak) learning rate."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(1e-3, strict=True, gt=0, le=100)
    weight_decay: float = Field(0.0, strict=True, ge=0)
    momentum: float = Field(0.0, strict=True, ge=0, lt=1, description="of sgd")

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> "OptimizerConfig":
        if self.momentum and self.name != "sgd":
            raise ValueError(f"momentum is of sgd alone, not of {self.name}")
        return self


class ScheduleConfig(Config):
    """How the learning rate moves: `one_cycle` rises to lr and falls to nothing (Smith & Topin 2018)."""

    name: Literal["constant", "one_cycle"] = "constant"
    warmup: float = Field(0.3, strict=True, gt=0, lt=1, description="share of the steps in which one_cycle rises")


class RunConfig(Config):
    """One run, fully."""

    data: DataConfig
    model: ModelConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_size: PositiveInt = 64
    epochs: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 5
    seed: Seed = Field(0, description="decides the first weights, the order of batches and dropout")
    device: Device = Field("auto", description="auto takes cuda, then mps, then cpu")
    threads: Annotated[int, Field(strict=True, ge=0)] = Field(0, description="CPU threads; 0: 1, for a cnn every core")


class Objective(Config):
    """The metric that says which epoch, and which trial, is best."""

    metric: Literal["val_accuracy", "val_loss", "train_accuracy", "train_loss"] = "val_accuracy"
    mode: Literal["max", "min"] = "max"

    @model_validator(mode="after")
    def _mode_suits_metric(self) -> "Objective":
        if self.mode != (right := "min" if self.metric.endswith("loss") else "max"):
            raise ValueError(f"mode of {self.metric} must be {right!r}, not {self.mode!r}")
        return self

    def score(self, metrics: Mapping[str, float]) -> float:
        """The metric with its sign such that larger is better."""
        return metrics[self.metric] if self.mode == "max" else -metrics[self.metric]


C = TypeVar("C", bound=Config)


def parse(kind: type[C], given: Mapping[str, Any], prefix: str = "") -> C:
    """Validate plain data as a config; raises InvalidInput with the path of the first wrong key."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise InvalidInput.from_validation(error, given, prefix) from None


def read(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; raises InvalidInput that names the file."""
    try:
        found = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise NotFound(str(path), "there is no such file") from None
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    except _NOT_YAML as error:
        raise InvalidInput(str(path), f"is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise InvalidInput(str(path), "must hold keys and values, as in `epochs: 5`")
    return found


def digest(config: RunConfig) -> str:
    """SHA-256 of everything that determines the run."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def override(given: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply `key.path=value` words of the command line, each value read as YAML."""
    result = dict(given)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise InvalidInput("--set", f"{assignment!r} is not KEY=VALUE, as in optimizer.lr=0.01")
        try:
            value = yaml.load(text, _Loader)  # noqa: S506
        except _NOT_YAML:
            raise InvalidInput("--set", f"the value of {path} is not YAML: {text!r}") from None
        result = assign(result, path, value)
    return result


def assign(given: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings in which the dotted `path` holds `value`."""
    *outer, last = path.split(".")
    result = here = dict(given)
    for key in outer:
        below = here.get(key, {})
        if not isinstance(below, Mapping):
            raise InvalidInput(path, f"{key} holds {below!r} and has no keys below it")
        here[key] = here = dict(below)
    here[last] = value
    return result


def _depth_from_widths(given: Any) -> Any:
    if not isinstance(given, Mapping) or not isinstance(given.get("width"), list):
        return given
    widths = given["width"]
    if "depth" in given and given["depth"] != len(widths):
        raise ValueError(f"depth {given['depth']} contradicts the {len(widths)} widths; leave one out")
    return {**given, "depth": len(widths)}


# a date such as 2026-13-01 is a ValueError, as are bytes that are no text
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as everyone expects; YAML 1.1 asks for 1.0e-3."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
