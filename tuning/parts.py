"""The parts of a sweep spec besides its search space."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from registry import names
from training.config import Config
from training.config.base import PositiveInt

Metric = Literal[
    "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy", "test_nll", "test_rmse",
    "fit_loss", "fit_accuracy",
]  # fmt: skip
"""The possible reference figures: of an epoch; of the test split; of the training split without dropout (fit)."""


class Promote(Config):
    """Where the best of a sweep goes."""

    model: str
    alias: str = names.CHAMPION
    samples: bool = Field(
        True, description="whether a few held-out examples go along, for the endpoint's page to offer"
    )


class Resources(Config):
    """The resources of one trial."""

    cpus: float = Field(1, gt=0)
    gpus: float | None = Field(None, ge=0, description="may be a fraction; default: 1 if the cluster has any, else 0")
    memory_gb: float | None = Field(None, gt=0, description="main memory; default: not reserved")


class Limits(Config):
    """Limits after which a sweep ends early, and after which a trial counts as hung."""

    minutes: float | None = Field(None, gt=0, description="wall-clock time, from the start of its process")
    cpu_minutes: float | None = Field(None, gt=0, description="training time, times the CPUs of a trial")
    epoch_minutes: float = Field(60, gt=0, description="the longest that an epoch of a group may take")


class Constraints(Config):
    """Constraints on configs of the space; those that violate them are skipped."""

    parameters: PositiveInt | None = Field(None, description="the most weights that a network may have")


class Confirm(Config):
    """Confirmation of the choice: the best trials are trained again with other seeds."""

    top: Annotated[int, Field(strict=True, ge=2, le=100)] = 3
    seeds: Annotated[int, Field(strict=True, ge=1, le=100)] = 3


class Listed(Config):
    """One of explicit `runs`: parts of a RunConfig, with a name and the figures that it is shown beside."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    reference: dict[Metric, float] | None = None

    @property
    def run(self) -> dict[str, Any]:
        return dict(self.model_extra or {})
