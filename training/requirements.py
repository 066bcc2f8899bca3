"""Requirements of a run on its data and the machine, checked before training."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator

from tailorbird.errors import InvalidInput
from training import distinct, models, objectives
from training.config import AugmentConfig, Objective, PretrainedConfig, RunConfig
from training.splits import Splits

COMPILER = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
"""The compiler that torch.compile calls."""


def check(config: RunConfig, splits: Splits, objective: Objective) -> None:
    """Raise InvalidInput if a run does not fit its data, or uses a metric that is never measured."""
    if absent := splits.absent(splits.train):
        raise InvalidInput(
            "data", f"leaves no examples of {', '.join(absent)} to train on: add some, or hold out fewer"
        )
    models.check(config.model, splits.train.shape)
    objectives.loss(config.loss, splits.kind)
    if config.compile and not shutil.which(COMPILER):
        raise InvalidInput(
            "compile", f"requires the C++ compiler {COMPILER}, which was not found; install it, or set CXX"
        )
    _check_augment(config.augment, splits.train.shape)
    _check_pretrained(config, splits)
    if splits.kind == "regression" and objective.metric.endswith("accuracy"):
        accepted = "val_loss, or data.kind: multiclass if the numbers are classes"
        raise InvalidInput(
            "objective.metric", f"{objective.metric} is not defined for regression; accepted: {accepted}"
        )
    waits = {"early_stopping": config.early_stopping, "schedule.name": config.schedule.name == "plateau"}
    if objective.metric.startswith("val_") and not len(splits.validation):
        for key in (key for key, waiting in waits.items() if waiting):
            raise InvalidInput(key, "requires data.validation above 0")


def _check_pretrained(config: RunConfig, splits: Splits) -> None:
    if not isinstance(config.model, PretrainedConfig):
        return
    if len(splits.train.shape) == 1:
        raise InvalidInput("model.family", "pretrained requires images, and these are rows of a table; accepted: mlp")
    if config.model.tune == "head" and config.augment != AugmentConfig(flip=config.augment.flip):
        raise InvalidInput(
            "augment", "a frozen backbone sees each image once; accepted: flip alone, or tune: last or all"
        )


def notes(configs: Iterable[RunConfig], splits: Splits) -> Iterator[str]:
    """Notes for the user on how models see the data."""
    configs = list(configs)
    pretrained = [config.model for config in configs if isinstance(config.model, PretrainedConfig)]
    if pretrained and len(splits.train.shape) == 2:
        names = sorted({model.backbone for model in pretrained})
        yield f"the images are grey, and {', '.join(names)} sees each in three equal channels"
    for weights in sorted({model.weights for model in pretrained if model.weights and not model.weights_licence}):
        yield f"the licence of {weights} is not known; set model.weights_licence to record it with each version"
    if len(splits.train.shape) == 1 and any(config.normalize == "none" for config in configs):
        yield from distinct.unscaled(splits.columns, splits.train.at(slice(0, distinct.ROWS)))
    if any(_rests(config) for config in configs):
        yield "a tuned backbone is frozen in the first epoch, so epochs: 1 trains only the head; accepted: 2 or more"


def _rests(config: RunConfig) -> bool:
    return isinstance(config.model, PretrainedConfig) and config.model.tune != "head" and config.epochs == 1


def usual(splits: Splits) -> Objective:
    """The default objective, by which the best epoch is chosen."""
    if splits.kind == "regression":
        return Objective(metric="val_loss", mode="min")
    return Objective()


def _check_augment(config: AugmentConfig, shape: tuple[int, ...]) -> None:
    if config != AugmentConfig() and len(shape) == 1:
        raise InvalidInput("augment", "applies only to images, and these are rows of a table; remove it")
    if config.crop >= (side := min(shape[:2])):
        raise InvalidInput("augment.crop", f"must be less than the {side} pixels of a side, not {config.crop}")
