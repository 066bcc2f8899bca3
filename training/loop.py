"""The loop: one run, epoch by epoch, over a data set that lies in one array.

Batches are drawn by index from a shuffled order and normalised on the device, by the network itself; the optimiser is
fused. The same config on the same processor gives the same weights, bit for bit, also where the run was interrupted:
an epoch follows from the state after the one before.
"""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tailorbird.errors import InvalidInput, TailorbirdError
from training import code, machine, models, normalization, objectives, optimization
from training.arrays import widened
from training.augmentation import augment
from training.config import AugmentConfig, CustomConfig, LossConfig, Objective, RunConfig
from training.resident import Resident
from training.splits import Split, Splits
from training.tally import Tally

COMPILER = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
"""What torch.compile calls."""


class Diverged(TailorbirdError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Epoch:
    """What was measured after an epoch. Losses are means of the run's loss, accuracies shares of 1.

    The train figures are running means over the epoch, with dropout and augmentation on; the val figures are those of
    its end. NaN stands for what there is not: a validation split, or accuracy where numbers are predicted.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float

    def metrics(self) -> dict[str, float]:
        """The figures without the epoch's number, and without those that were not measured."""
        return {key: value for key, value in asdict(self).items() if key != "epoch" and not math.isnan(value)}


class Run:
    """One training of one model: iterate over it, then take the network of its best epoch."""

    def __init__(
        self,
        config: RunConfig,
        splits: Splits,
        objective: Objective | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare the weights; `on_batch` is told after each batch how many examples it had.

        Where the objective is of validation and there is none, nothing is chosen: the best epoch is the last one.
        """
        self.objective = objective or usual(splits)
        check(config, splits, self.objective)
        self.config = config
        self.kind = splits.kind
        numeric = len(splits.train.shape) == 1 or splits.kind == "regression"
        self.device = machine.choose_device(config.device, doubles=numeric)
        self._chooses = not self.objective.metric.startswith("val_") or len(splits.validation) > 0
        self.on_batch = on_batch
        self._loss = objectives.loss(config.loss, splits.kind)
        self._measured_loss = objectives.loss(LossConfig(name=config.loss.name), splits.kind)
        torch.manual_seed(config.seed)
        self.network = network(config, splits).to(self.device)
        self.averaged = _averaged(self.network, config.ema)
        last = self.network[-1]  # where numbers are predicted, gradients are those of what has a deviation of 1
        self._unit = last.deviation.item() ** 2 if isinstance(last, models.Denormalize) else 1.0
        self._compiled = torch.compile(self.network, dynamic=False) if config.compile else self.network
        self.optimizer = optimization.optimizer(self.network, config.optimizer)
        self._train = Resident(splits.train, self.device)
        self._validation = Resident(splits.validation, self.device, self._train)
        self._batch = len(splits.train) if config.batch_size == "full" else config.batch_size
        self._steps = math.ceil(len(splits.train) / (self._batch * config.accumulate))  # of an epoch
        self.random = torch.Generator().manual_seed(config.seed)
        self.trained = 0
        self.epochs: list[Epoch] = []
        self._scores: list[float] = []
        self._best = -1
        self.best_state: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[Epoch]:
        while not self.done:
            yield self.step()

    @property
    def examples(self) -> int:
        """How many an epoch sees."""
        return len(self._train)

    @property
    def done(self) -> bool:
        """Whether every epoch is trained, or early stopping saw no better one for long enough."""
        stopping = self.config.early_stopping
        if stopping and optimization.waited(self._scores, stopping.least) >= stopping.patience:
            return True
        return self.trained >= self.config.epochs

    @property
    def best(self) -> Epoch:
        """The epoch that was kept; there is one after the first step."""
        if not self.epochs:
            raise RuntimeError("the run has not made a step yet")
        return self.epochs[self._best]

    def step(self) -> Epoch:
        """Train until the next measurement, measure, and keep the weights if they are the best so far."""
        start = time.perf_counter()
        lr = self._lr(self.trained * self._steps)
        for _ in range(min(self.config.measure_every, self.config.epochs - self.trained)):
            train_loss, train_accuracy = self._train_epoch()
            self.trained += 1
        val_loss, val_accuracy = self.measure(self._validation)
        made = Epoch(self.trained, train_loss, train_accuracy, val_loss, val_accuracy, lr, time.perf_counter() - start)
        self._check_finite(made)
        self.enter(made)
        if made is self.best:
            self.best_state = {name: tensor.detach().cpu().clone() for name, tensor in self.kept.state_dict().items()}
        return made

    def enter(self, made: Epoch) -> None:
        """Count a measured epoch, which is the best one where it beats those before or nothing is chosen."""
        self.epochs.append(made)
        self.trained = made.epoch
        if not self._chooses:
            self._best = len(self.epochs) - 1
            return
        score = self.objective.score(asdict(made))
        if score > max(self._scores, default=-math.inf):
            self._best = len(self.epochs) - 1
        self._scores.append(score)

    @property
    def kept(self) -> nn.Module:
        """The network that is measured and kept: the running mean of the weights, where there is one."""
        kept: nn.Module = self.averaged.module if self.averaged else self.network
        return kept

    def finish(self) -> nn.Module:
        """The network with the weights of the best epoch; the run cannot go on after it."""
        self.kept.load_state_dict(self.best_state)
        return self.kept

    def score(self, split: Split) -> tuple[float, float]:
        """Mean loss and accuracy on any split, by the weights as they are."""
        return self.measure(Resident(split, self.device, self._train))

    def measure(self, split: Resident) -> tuple[float, float]:
        """Mean loss, without label smoothing, and accuracy on a split; NaN where it is empty."""
        if not len(split):
            return math.nan, math.nan
        while True:
            try:
                return self._measured(split)
            except RuntimeError as error:
                if split.together == 1 or not machine.is_memory(error):
                    raise machine.of_memory(error, split.together) from None
            split.together //= 2

    def _measured(self, split: Resident) -> tuple[float, float]:
        self.kept.eval()
        loss, right = 0.0, 0.0
        with torch.inference_mode():
            for chosen in torch.arange(len(split), device=self.device).split(split.together):
                with self._blamed():
                    logits = self.kept(split.inputs_at(split.places[chosen]))
                targets = split.targets[chosen]
                loss += self._measured_loss(logits, targets).item() * len(chosen)
                answers = objectives.right(self.kind, logits, targets)
                right += math.nan if answers is None else answers.cpu().double().sum().item()
        return loss / len(split), right / len(split)

    def _lr(self, step: int) -> float:
        config = self.config
        return optimization.lr(config.schedule, config.optimizer.lr, step, config.epochs * self._steps, self._scores)

    def _train_epoch(self) -> tuple[float, float]:
        # threads and the seed of dropout are the whole process's: another run may have set them in between
        torch.set_num_threads(machine.threads(self.config))
        torch.manual_seed(int(torch.randint(2**62, (), generator=self.random)))
        self.network.train()
        count = len(self._train)
        order = torch.randperm(count, generator=self.random).to(self.device)
        places, targets = self._train.places[order], self._train.targets[order]
        rates = [self._lr(self.trained * self._steps + step) for step in range(self._steps)]
        tally = Tally(self._steps, self.device)
        group = self._batch * self.config.accumulate
        for step, (there, wanted) in enumerate(zip(places.split(group), targets.split(group), strict=True)):
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = rates[step]
            self.optimizer.zero_grad()
            try:
                for chosen, batch in zip(there.split(self._batch), wanted.split(self._batch), strict=True):
                    self._backward(chosen, batch, len(batch) / len(wanted), tally)
                self.optimizer.step()
            except RuntimeError as error:
                raise machine.of_memory(error, self._batch) from None
            if self.averaged:
                self.averaged.update_parameters(self.network)
            if tally.ends(step):
                self._check_losses(tally, rates)
        return tally.mean(self._batch * self.config.accumulate, count)

    def _backward(self, chosen: Tensor, targets: Tensor, share: float, tally: Tally) -> None:
        inputs = augment(self._train.inputs_at(chosen), self.config.augment)
        # the rest of an epoch is of another size, and would be compiled again
        network = self._compiled if len(chosen) == self._batch else self.network
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")
        with half, self._blamed():
            logits = widened(network(inputs))
        loss = self._loss(logits, targets)
        weight = share / self._unit
        (loss if weight == 1 else loss * weight).backward()
        tally.add(loss.detach(), objectives.right(self.kind, logits.detach(), targets), share)
        self.on_batch(len(targets))

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Tell what a module of the user's own raises as theirs, but for memory that runs out."""
        try:
            yield
        except Exception as error:
            own = self.config.model
            if not isinstance(own, CustomConfig) or (isinstance(error, RuntimeError) and machine.is_memory(error)):
                raise
            with code.blamed(own.function, "model.function"):
                raise

    def _check_losses(self, tally: Tally, rates: list[float]) -> None:
        if (step := tally.spoiled()) is None:
            return
        raise self._diverged(f"loss is no number any more in step {step + 1} of epoch {self.trained + 1}", rates[step])

    def _check_finite(self, made: Epoch) -> None:
        weights = self.kept.state_dict().values()  # the last step can spoil them after its loss was measured
        sound = all(bool(tensor.isfinite().all()) for tensor in weights)
        if not sound or (len(self._validation) and not math.isfinite(made.val_loss)):
            losses = f"(train {made.train_loss:g}, validation {made.val_loss:g})"
            when = f"step {self._steps}, the last of epoch {made.epoch}"
            raise self._diverged(
                f"weights are of no use any more after {when} {losses}", self._lr(self.trained * self._steps - 1)
            )

    def _diverged(self, what: str, lr: float) -> Diverged:
        good = f"the best weights before are those of epoch {self.best.epoch}" if self.epochs else "no epoch was good"
        return Diverged(f"the {what}, at lr {lr:g}; lower optimizer.lr; {good}")


def check(config: RunConfig, splits: Splits, objective: Objective) -> None:
    """Raise InvalidInput where a run does not fit its data, or waits for what is never measured."""
    if absent := splits.absent(splits.train):
        raise InvalidInput(
            "data", f"leaves nothing of {', '.join(absent)} to train on: give more examples of it, or hold out fewer"
        )
    models.check(config.model, splits.train.shape)
    objectives.loss(config.loss, splits.kind)
    if config.compile and not shutil.which(COMPILER):
        raise InvalidInput("compile", f"needs the C++ compiler {COMPILER}, which is not here; install it, or set CXX")
    if config.augment != AugmentConfig() and len(splits.train.shape) == 1:
        raise InvalidInput("augment", "is of images, and these are rows of a table; leave it out")
    if config.augment.crop >= (side := min(splits.train.shape[:2])):
        raise InvalidInput("augment.crop", f"must be less than the {side} pixels of a side, not {config.augment.crop}")
    if splits.kind == "regression" and objective.metric.endswith("accuracy"):
        raise InvalidInput("objective.metric", f"{objective.metric} is not measured of numbers; accepted: val_loss")
    waits = {"early_stopping": config.early_stopping, "schedule.name": config.schedule.name == "plateau"}
    if objective.metric.startswith("val_") and not len(splits.validation):
        for key in (key for key, waiting in waits.items() if waiting):
            raise InvalidInput(key, "waits for validation to get better, and data.validation is 0")


def network(config: RunConfig, splits: Splits) -> nn.Sequential:
    """The network of a config with fresh weights, normalising by figures of the training examples."""
    mean, deviation = normalization.moments(config, splits.train)
    outputs = objectives.outputs(splits.kind, splits.classes)
    last = models.Denormalize(*normalization.of_targets(splits.train)) if splits.kind == "regression" else None
    try:
        built = models.build(config.model, splits.train.shape, outputs, models.Normalize(mean, deviation), last)
    except RuntimeError as error:
        raise machine.of_memory(error, 1) from None
    if models.convolves(config.model):
        built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stubs
    return built


def usual(splits: Splits) -> Objective:
    """By what the best epoch is chosen where nothing else is asked for."""
    if splits.kind == "regression":
        return Objective(metric="val_loss", mode="min")
    return Objective()


def _averaged(network: nn.Module, decay: float | None) -> Any:
    if decay is None:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
