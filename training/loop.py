"""The loop: one run, epoch by epoch, over a data set that lies in one tensor.

Batches are drawn by index from a shuffled order and normalised on the device, by the network itself; the optimiser is
fused. The same config on the same processor gives the same weights, bit for bit.
"""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tailorbird.errors import InvalidInput, TailorbirdError
from training import models
from training.config import CnnConfig, Device, Objective, OptimizerConfig, RunConfig
from training.datasets import Images
from training.splits import Split, Splits

EVALUATION_BATCH = 2048


class Diverged(TailorbirdError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured. Losses are means of the cross entropy in nats, accuracies shares of 1.

    The train figures are running means over the epoch, with dropout on; the val figures are those of its end, and
    NaN where there is no validation split.
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
        """Prepare the weights; `on_batch` is told after each batch how many images it had.

        Where the objective is of validation and there is none, nothing is chosen: the best epoch is the last one.
        """
        self.config = config
        self.device = choose_device(config.device)
        self.objective = objective or Objective()
        self._chooses = not self.objective.metric.startswith("val_") or len(splits.validation) > 0
        self._on_batch = on_batch
        torch.manual_seed(config.seed)
        self.network = network(config, splits).to(self.device)
        self._optimizer = _optimizer(self.network, config.optimizer)
        self._train = _Resident(splits.train, self.device)
        self._validation = _Resident(splits.validation, self.device)
        steps = config.epochs * math.ceil(len(splits.train) / config.batch_size)
        self._schedule = _schedule(self._optimizer, config, steps)
        self._random = torch.Generator().manual_seed(config.seed)
        self.epochs: list[Epoch] = []
        self._best: Epoch | None = None
        self.best_state: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[Epoch]:
        while len(self.epochs) < self.config.epochs:
            yield self.step()

    @property
    def best(self) -> Epoch:
        """The epoch that was kept; there is one after the first step."""
        if self._best is None:
            raise RuntimeError("the run has not made a step yet")
        return self._best

    def step(self) -> Epoch:
        """Train for one more epoch, measure it, and keep its weights if it is the best so far."""
        start = time.perf_counter()
        lr = self._optimizer.param_groups[0]["lr"]
        train_loss, train_accuracy = self._train_epoch()
        val_loss, val_accuracy = measure(self.network, self._validation)
        seconds = time.perf_counter() - start
        made = Epoch(len(self.epochs) + 1, train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds)
        self._check_finite(made)
        self.epochs.append(made)
        if self._is_best(made):
            self._best = made
            self.best_state = {
                name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()
            }
        return made

    def _check_finite(self, made: Epoch) -> None:
        losses = (made.train_loss, made.val_loss) if len(self._validation.labels) else (made.train_loss,)
        weights = self.network.state_dict().values()  # the last batch can spoil them after its loss was measured
        if not (all(map(math.isfinite, losses)) and all(bool(tensor.isfinite().all()) for tensor in weights)):
            raise Diverged(
                f"the loss is no number any more in epoch {made.epoch} at lr {self.config.optimizer.lr:g} "
                f"(train {made.train_loss:g}, validation {made.val_loss:g}); lower optimizer.lr"
            )

    def _is_best(self, made: Epoch) -> bool:
        if self._best is None or not self._chooses:
            return True
        return self.objective.score(asdict(made)) > self.objective.score(asdict(self._best))

    def _train_epoch(self) -> tuple[float, float]:
        # threads and the seed of dropout are the whole process's: another run may have set them in between
        torch.set_num_threads(threads(self.config))
        torch.manual_seed(int(torch.randint(2**62, (), generator=self._random)))
        self.network.train()
        count = len(self._train.labels)
        order = torch.randperm(count, generator=self._random).to(self.device)
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for chosen in order.split(self.config.batch_size):
            labels = self._train.labels[chosen]
            logits = self.network(self._train.images.index_select(0, chosen))  # [chosen] would copy byte by byte
            loss = nn.functional.cross_entropy(logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._schedule.step()
            loss_sum += loss.detach() * len(chosen)
            correct += (logits.detach().argmax(1) == labels).sum()
            self._on_batch(len(chosen))
        return loss_sum.item() / count, correct.item() / count


class _Resident:
    """A split whose images and labels lie on the device for the whole run."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.images = as_tensor(split.images).to(device)
        self.labels = as_tensor(split.labels).to(device)


def network(config: RunConfig, splits: Splits) -> nn.Sequential:
    """The network of a config with fresh weights, normalising by the mean and deviation of the training images."""
    mean, deviation = _moments(splits.train.images)
    shape = splits.train.images.shape[1:]
    built = models.build(config.model, shape, len(splits.classes), mean, deviation)
    if isinstance(config.model, CnnConfig):
        built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stubs
    return built


def measure(network: nn.Module, split: _Resident) -> tuple[float, float]:
    """Mean cross entropy and accuracy on a split; NaN where it is empty."""
    count = len(split.labels)
    if not count:
        return math.nan, math.nan
    network.eval()
    loss, correct = 0.0, 0
    with torch.inference_mode():
        for images, labels in zip(
            split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True
        ):
            logits = network(images)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
    return loss / count, correct / count


def choose_device(wanted: Device) -> torch.device:
    """The device to train on; raises InvalidInput where the wanted one is not here."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in here.items() if there))
    if not here[wanted]:
        accepted = ", ".join(["auto", *(name for name, there in here.items() if there)])
        raise InvalidInput("device", f"{wanted} is not available here; accepted: {accepted}")
    return torch.device(wanted)


def threads(config: RunConfig) -> int:
    """CPU threads of a run: small matrix products get slower by more than one."""
    if config.threads:
        return config.threads
    return (os.cpu_count() or 1) if isinstance(config.model, CnnConfig) else 1


def as_tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor, not to be written to."""
    with warnings.catch_warnings():  # arrays from Ray's object store are read-only, and we only read them
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _moments(images: Images) -> tuple[list[float], list[float]]:
    pixels = as_tensor(images)
    channels = [pixels] if pixels.dim() == 3 else pixels.unbind(3)
    # sums of a histogram are exact, and never make a float copy of the data set
    values = torch.arange(256, dtype=torch.float64) / 255
    shares = [torch.bincount(channel.flatten(), minlength=256).double() / channel.numel() for channel in channels]
    means = [float(share @ values) for share in shares]
    variances = [float(share @ (values - mean) ** 2) for share, mean in zip(shares, means, strict=True)]
    return means, [max(math.sqrt(variance), 1e-6) for variance in variances]


def _optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    parameters = network.parameters()
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    match config.name:
        case "adam":
            return torch.optim.Adam(parameters, **shared)
        case "adamw":
            return torch.optim.AdamW(parameters, **shared)
        case "sgd":
            return torch.optim.SGD(parameters, momentum=config.momentum, **shared)


def _schedule(optimizer: torch.optim.Optimizer, config: RunConfig, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if config.schedule.name == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.optimizer.lr, steps, pct_start=config.schedule.warmup, cycle_momentum=False
        )
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1, total_iters=0)
