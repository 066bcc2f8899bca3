"""The measurements of a run so far, and its best epoch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn

from training import optimization
from training.config import EarlyStopping, Objective


@dataclass(frozen=True)
class Epoch:
    """The figures of an epoch.

    Losses are means of the run's loss, accuracies are fractions. Train figures are running means over the epoch, with
    dropout and augmentation on; val figures are measured at its end. NaN means not measured: no validation split, or no
    accuracy for regression. Mean figures are those of a running mean of the weights, by which runs whose rate has not
    decayed yet can be compared.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    mean_val_loss: float = math.nan
    mean_val_accuracy: float = math.nan

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> "Epoch":
        """An epoch from figures by name; missing ones were not measured, unknown ones are ignored."""
        return cls(**{field.name: figures.get(field.name, math.nan) for field in fields(cls)})

    def metrics(self) -> dict[str, float]:
        """The figures that were measured, without the epoch's number."""
        return {key: value for key, value in asdict(self).items() if key != "epoch" and not math.isnan(value)}

    def record(self) -> dict[str, float]:
        """The figures by name, as `of` takes them."""
        return {"epoch": self.epoch, **self.metrics()}


class Progress:
    """The history of a run and the weights of its best epoch; if none is chosen, of the last one."""

    def __init__(self, objective: Objective, chooses: bool) -> None:
        self.objective = objective
        self._chooses = chooses
        self._best = -1
        self.trained = 0
        self.epochs: list[Epoch] = []
        self.scores: list[float] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def best(self) -> Epoch:
        """The best epoch; there is one after the first measurement."""
        if not self.epochs:
            raise RuntimeError("the run has not measured an epoch yet")
        return self.epochs[self._best]

    def enter(self, epoch: Epoch, network: nn.Module) -> None:
        """Record a measured epoch, and copy the network's weights to the CPU if it is the best so far."""
        self._count(epoch)
        if epoch is self.best:
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}

    def restore(self, history: Iterable[Mapping[str, float]], weights: Mapping[str, Tensor]) -> None:
        """Restore these epochs and weights."""
        for figures in history:
            self._count(Epoch.of(figures))
        self.weights = dict(weights)

    def stopped(self, stopping: EarlyStopping | None) -> bool:
        """Whether early stopping ends the run."""
        return stopping is not None and optimization.waited(self.scores, stopping.least) >= stopping.patience

    def _count(self, epoch: Epoch) -> None:
        better = not self._chooses or not self.epochs or self._merit(epoch) > self._merit(self.best)
        self.epochs.append(epoch)
        self.trained = epoch.epoch
        if better:
            self._best = len(self.epochs) - 1
        if self._chooses:
            self.scores.append(self.objective.score(asdict(epoch)))

    def _merit(self, epoch: Epoch) -> tuple[float, float]:
        return self.objective.merit(asdict(epoch))
