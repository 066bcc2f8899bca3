"""The training loop: one run, epoch by epoch, over a data set in one array.

Batches are drawn by index from a shuffled order and normalised on the device, by the network itself; the optimiser is
fused. The same config on the same processor gives the same weights, bit for bit, also if the run was interrupted,
because an epoch depends only on the state after the previous one.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tailorbird.errors import Corrupt, InvalidInput, TailorbirdError
from training import (
    checkpoint,
    features,
    machine,
    models,
    objectives,
    optimization,
    precision,
    requirements,
)
from training import config as configs
from training.arrays import widened
from training.augmentation import augment
from training.config import AugmentConfig, LossConfig, Objective, RunConfig
from training.config.run import PROBED
from training.measurement import blamed, measure
from training.network import blank, fresh
from training.plan import Plan
from training.progress import Epoch, Progress
from training.resident import Data, Resident
from training.splits import Split, Splits
from training.state import State, part
from training.tally import Tally


class Diverged(TailorbirdError):
    """The loss is NaN or infinite."""


@dataclass(frozen=True)
class Snapshot:
    """A run between two steps: its state, the epochs measured so far, and the best weights so far."""

    run: "Run"
    tensors: Mapping[str, Tensor]
    measured: int
    best: Mapping[str, Tensor]

    @property
    def trained(self) -> int:
        """The measured epochs."""
        return self.run.epochs[self.measured - 1].epoch if self.measured else 0

    def pack(self) -> bytes:
        """Serialise to one file."""
        tensors = {**self.tensors, **{f"best/{name}": weight for name, weight in self.best.items()}}
        history = json.dumps([epoch.record() for epoch in self.run.epochs[: self.measured]])
        return checkpoint.pack(tensors, {"run": self.run.identity(), "epochs": history})


class Run:
    """One training of one model: iterate over it, then take the weights of its best epoch.

    It consists of the data on the device, the `state` that steps change, and the `progress` that measurements change.
    """

    def __init__(
        self,
        config: RunConfig,
        splits: Splits,
        objective: Objective | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
        data: Data | None = None,
        snapshot: bytes | None = None,
        compared: bool = False,
    ) -> None:
        """Initialise the weights, or resume from a packed snapshot.

        `on_batch` is called after each batch with its number of examples; `data` are the splits if they are on the
        device already; `compared` runs also measure a running mean of the weights until their learning rate has
        decayed. If the objective is a validation metric and there is no validation split, the best epoch is the last.
        Raises InvalidInput if the config does not fit, or the snapshot is of another run, and Corrupt if it is not a
        snapshot.
        """
        objective = objective or requirements.usual(splits)
        requirements.check(config, splits, objective)
        self.data = data or features.data(config, splits.without_verdicts())
        self.splits = splits = self.data.splits
        self.config, self.on_batch = precision.settled(config, splits), on_batch
        self.augment = AugmentConfig() if features.frozen(config) else config.augment
        chooses = not objective.metric.startswith("val_") or len(splits.validation) > 0
        self.progress = Progress(objective, chooses)
        network = fresh(config, splits, self.data) if snapshot is None else blank(config, splits)
        self.state = State(network.to(self._device), config, compared)
        self._loss = objectives.loss(config.loss, splits.kind)
        self._measured_loss = objectives.loss(LossConfig(name=config.loss.name), splits.kind)
        self.batch = self.examples if config.batch_size == "full" else config.batch_size
        self._steps = math.ceil(self.examples / self._group)  # of an epoch
        if snapshot is not None:
            self._restore(snapshot)
        self._unit = _unit(network)
        self._compiled = torch.compile(self.network, dynamic=False) if config.compile else self.network

    def __iter__(self) -> Iterator[Epoch]:
        while not self.done:
            yield self.step()

    @property
    def network(self) -> nn.Module:
        """The state that steps change; if it has a running mean of weights, that is measured and kept."""
        return self.state.network

    @property
    def examples(self) -> int:
        """The number of examples in an epoch."""
        return len(self.splits.train)

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or early stopping has ended the run."""
        return self.trained >= self.config.epochs or self.progress.stopped(self.config.early_stopping)

    @property
    def trained(self) -> int:
        """Epochs."""
        return self.progress.trained

    @property
    def epochs(self) -> list[Epoch]:
        """The measured epochs."""
        return self.progress.epochs

    @property
    def best(self) -> Epoch:
        """The best epoch, whose weights are kept; there is one after the first step."""
        return self.progress.best

    @property
    def best_state(self) -> dict[str, Tensor]:
        """The weights of the best epoch, on the CPU."""
        return self.progress.weights

    @property
    def coming(self) -> int:
        """Epochs until the next measurement."""
        return min(self.config.measure_every, self.config.epochs - self.trained)

    def step(self) -> Epoch:
        """Train up to the next measurement, measure, and keep the weights if they are the best so far."""
        started, before = time.perf_counter(), self.trained
        with machine.using(machine.threads(self.config)):
            lr = self._lr(before * self._steps)
            for number in range(self.coming):
                figures = self._train_epoch(self.plan(before + number))
            return self.conclude(started, lr, *figures)

    def probe(self) -> Epoch:
        """Train a part of the first epoch and measure it as epoch 0; the run cannot be used afterwards."""
        started = time.perf_counter()
        with machine.using(machine.threads(self.config)):
            plan = self.probed()
            return self.conclude(started, plan.rates[0], *self._train_epoch(plan), number=0)

    def probed(self) -> Plan:
        """The part of the first epoch that a probe trains."""
        return self.plan(0).first(max(1, self._steps // PROBED), self._group)

    def plan(self, number: int) -> Plan:
        """The plan of epoch `number`, counted from 0, by the run's random numbers and schedule."""
        seed = int(torch.randint(2**62, (), generator=self.state.random))
        order = torch.randperm(self.examples, generator=self.state.random).to(self._device)
        return Plan(number, seed, order, [self._lr(number * self._steps + step) for step in range(self._steps)])

    def update(self, plan: Plan, step: int) -> None:
        """One step of the optimiser, with the current gradients."""
        for parameters in self.state.optimizer.param_groups:
            parameters["lr"] = plan.rates[step] * optimization.scale(parameters, plan.number)
        self.state.update()

    def conclude(
        self, started: float, lr: float, train_loss: float, train_accuracy: float, number: int | None = None
    ) -> Epoch:
        """Measure what was trained, and record it, by default as the next epoch."""
        number = self.trained + self.coming if number is None else number
        val_loss, val_accuracy = self._measure(self.data.validation)
        mean = self._measured_mean() if number < self.config.epochs else (math.nan, math.nan)
        seconds = time.perf_counter() - started
        epoch = Epoch(number, train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds, *mean)
        self._check_finite(epoch)
        self.progress.enter(epoch, self.state.kept)
        return epoch

    def spoiled(self, plan: Plan, step: int) -> Diverged:
        """The error for a step, counted from 0, whose loss is NaN or infinite."""
        step_name = f"step {step + 1} of epoch {plan.number + 1}"
        return self._diverged(f"the loss is NaN or infinite in {step_name}", plan.rates[step])

    def score(self, split: Split) -> tuple[float, float]:
        """Mean loss, without label smoothing, and accuracy of the current weights on any split."""
        with machine.using(machine.threads(self.config)):
            return self._measure(Resident(split, self._device, self.data.train))

    def snapshot(self) -> "Snapshot":
        """All that is needed to resume the run; taken between steps, it may be packed during a step."""
        return Snapshot(self, self.state.tensors(), len(self.epochs), self.best_state)

    def identity(self) -> str:
        """What a resumed run must have in common: all that determines its weights, and the order of its examples.

        A constant rate does not depend on the number of epochs, so that such a run may be made longer.
        """
        config = self.config
        if config.schedule.name == "constant":
            config = config.model_copy(update={"epochs": RunConfig.model_fields["epochs"].default})
        total = hashlib.sha256(configs.digest(config).encode())
        for split in (self.splits.train, self.splits.validation):
            total.update(split.ids.tobytes() + split.targets.tobytes())
        return total.hexdigest()

    def _restore(self, snapshot: bytes) -> None:
        tensors, texts = checkpoint.unpack(snapshot)
        try:
            if texts["run"] != self.identity():
                raise InvalidInput("--resume", "the interrupted run had another config or other data; start a new run")
            self.state.restore(tensors)
            self.progress.restore(json.loads(texts["epochs"]), part(tensors, "best"))
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise Corrupt(f"the checkpoint does not fit its run: {error}") from None
        if self.coming and (self.coming < 0 or self.trained % self.config.measure_every):
            measured = f"the interrupted run was measured at epoch {self.trained}"
            raise InvalidInput("--resume", f"{measured}, which epochs and measure_every now leave out; start a new run")

    @property
    def _device(self) -> torch.device:
        return self.data.device

    @property
    def _group(self) -> int:
        """The number of examples in a step."""
        return self.batch * self.config.accumulate

    def _lr(self, step: int) -> float:
        config = self.config
        steps = config.epochs * self._steps
        return optimization.lr(config.schedule, config.optimizer.lr, step, steps, self.progress.scores)

    def _measure(self, split: Resident) -> tuple[float, float]:
        return measure(self.state.kept, split, self.splits.kind, self._measured_loss, self.config.model)

    def _measured_mean(self) -> tuple[float, float]:
        if self.state.running is None:
            return math.nan, math.nan
        network, split = self.state.running.network, self.data.validation
        return measure(network, split, self.splits.kind, self._measured_loss, self.config.model)

    def _train_epoch(self, plan: Plan) -> tuple[float, float]:
        """Mean loss and accuracy over the epoch."""
        places, targets = self.data.train.places[plan.order], self.data.train.targets[plan.order]
        tally = Tally(len(plan.rates), self._device)
        self.network.train()
        with machine.seeded(plan.seed, self._device):
            for step, group in enumerate(zip(places.split(self._group), targets.split(self._group), strict=True)):
                self._train_group(*group, plan, step, tally)
                if tally.ends(step) and (first := tally.spoiled()) is not None:
                    raise self.spoiled(plan, first)
        return tally.mean(self._group, len(plan.order))

    def _train_group(self, places: Tensor, targets: Tensor, plan: Plan, step: int, tally: Tally) -> None:
        """One step with the gradients of all batches of its group."""
        self.state.optimizer.zero_grad()
        try:
            for chosen, wanted in zip(places.split(self.batch), targets.split(self.batch), strict=True):
                self._backward(chosen, wanted, len(wanted) / len(targets), tally)
            self.update(plan, step)
        except RuntimeError as error:
            raise machine.of_memory(error, self.batch) from None

    def _backward(self, chosen: Tensor, targets: Tensor, share: float, tally: Tally) -> None:
        inputs = augment(self.data.train.inputs_at(chosen), self.augment)
        # the last batch has another size, for which it would be compiled again
        network = self._compiled if len(chosen) == self.batch else self.network
        half = torch.autocast(self._device.type, torch.bfloat16, enabled=self.config.precision == "bf16")
        with half, blamed(self.config.model):
            logits = widened(network(inputs))
        loss = self._loss(logits, targets)
        weight = share / self._unit
        (loss if weight == 1 else loss * weight).backward()
        tally.add(loss.detach(), objectives.right(self.splits.kind, logits.detach(), targets), share)
        self.on_batch(len(targets))

    def _check_finite(self, epoch: Epoch) -> None:
        weights = self.state.kept.state_dict().values()  # the last step may make them NaN after its loss was measured
        finite = all(bool(tensor.isfinite().all()) for tensor in weights)
        if not finite or (len(self.data.validation) and not math.isfinite(epoch.val_loss)):
            losses = f"(train {epoch.train_loss:g}, validation {epoch.val_loss:g})"
            when = f"step {self._steps}, the last of epoch {epoch.epoch}"
            lr = self._lr(epoch.epoch * self._steps - 1)
            raise self._diverged(f"weights or validation loss are NaN or infinite after {when} {losses}", lr)

    def _diverged(self, problem: str, lr: float) -> Diverged:
        kept = (
            f"the best weights before that are those of epoch {self.best.epoch}"
            if self.epochs
            else "no epoch ended with finite weights"
        )
        return Diverged(f"{problem}, at lr {lr:g}; lower optimizer.lr; {kept}")


def _unit(network: nn.Module) -> float:
    """The divisor of gradients: numbers to predict are scaled to a deviation of 1."""
    last = list(network.children())[-1]
    return last.deviation.item() ** 2 if isinstance(last, models.Denormalize) else 1.0
