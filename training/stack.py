"""A stack: linear layers of one shape whose forward and backward passes are computed together, with gradients by hand:
MLPs, and heads on the features of a frozen backbone.

Each layer keeps the weights of all runs in one tensor, of which those of a run are a view, so everything else works as
in a single run: its optimiser, its means, its measurements and its snapshots. Order of batches, initial weights and
dropout follow the seed of each run.
"""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from training import machine, objectives
from training.block import LOSSES, Block, lanes_at_once
from training.config import AugmentConfig, LinearConfig, MlpConfig, ModelConfig, PretrainedConfig, RunConfig
from training.loop import Run
from training.models.layers import each
from training.plan import Plan
from training.progress import Epoch

FREE = ("seed", "optimizer", "schedule", "epochs", "ema", "early_stopping")
"""Keys of a run config in which the runs of a stack may differ."""


def key(run: Run) -> str | None:
    """A key that is equal for runs that can be stacked; None for a run that cannot."""
    config, model = run.config, run.config.model
    plain = run.augment == AugmentConfig() and not config.compile and config.accumulate == 1
    kind = run.splits.kind
    if not (plain and kind in LOSSES and config.loss.name in (None, objectives.LOSSES[kind][0])):
        return None
    if config.loss.label_smoothing or not _is_linear(model):
        return None
    shared = config.model_copy(update={name: RunConfig.model_fields[name].default for name in FREE})
    if isinstance(model, MlpConfig | PretrainedConfig):
        shared = shared.model_copy(update={"model": model.model_copy(update={"dropout": 0.0})})
    return f"{shared.model_dump_json()} {run.coming}"


def _is_linear(model: ModelConfig) -> bool:
    """Whether the trained part is linear layers with only ReLU and dropout between them."""
    match model:
        case LinearConfig():
            return True
        case MlpConfig():
            return not model.batch_norm and model.activation == "relu"
        case PretrainedConfig():
            return model.tune == "head" and (model.activation == "relu" or not model.depth)
        case _:
            return False


ROWS = 512
"""Examples that are read at a time: a block trains on them before the next one does, while its weights are cached."""


class Stack:
    """Runs with one key, trained together until their next measurement."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)
        self._normalize = next(iter(runs[0].network.children()))
        size = lanes_at_once(runs[0], len(runs))
        self._places = [slice(start, start + size) for start in range(0, len(runs), size)]
        gradients = [weight.new_zeros(size, *weight.shape) for weight in runs[0].network.parameters()]
        self._rates = [_rates(run.config.model) for run in runs]
        self._blocks = [Block(self._runs[lanes], self._rates[lanes], gradients) for lanes in self._places]

    def holds(self, runs: Sequence[Run]) -> bool:
        """Whether it consists of these runs."""
        return len(runs) == len(self._runs) and all(run is other for run, other in zip(runs, self._runs, strict=True))

    def step(self) -> list[Epoch | Exception]:
        """For each run the measured epoch, or the error that ended it alone."""
        started = time.perf_counter()
        before, coming = [run.trained for run in self._runs], self._runs[0].coming
        with machine.using(machine.threads(self._runs[0].config)):
            first = plans = [run.plan(trained) for run, trained in zip(self._runs, before, strict=True)]
            figures = self._epoch(plans)
            for more in range(1, coming):
                plans = [run.plan(trained + more) for run, trained in zip(self._runs, before, strict=True)]
                figures = self._epoch(plans)
            seconds = (time.perf_counter() - started) / len(self._runs)
            return [
                _concluded(run, plan, seconds, begun.rates[0], *reached)
                for run, plan, begun, reached in zip(self._runs, plans, first, figures, strict=True)
            ]

    def probe(self) -> list[Epoch | Exception]:
        """As `Run.probe`, for each run."""
        started = time.perf_counter()
        with machine.using(machine.threads(self._runs[0].config)):
            plans = [run.probed() for run in self._runs]
            figures = self._epoch(plans)
            seconds = (time.perf_counter() - started) / len(self._runs)
            return [
                _concluded(run, plan, seconds, plan.rates[0], *reached, number=0)
                for run, plan, reached in zip(self._runs, plans, figures, strict=True)
            ]

    def pace(self, steps: int) -> float:
        """Seconds that `steps` steps take, without a measurement; the runs cannot be used afterwards.

        With a single thread they are CPU seconds, which other processes do not affect.
        """
        threads = machine.threads(self._runs[0].config)
        clock = time.thread_time if threads == 1 else time.perf_counter
        with machine.using(threads):
            plans = [run.plan(0).first(steps, run.batch) for run in self._runs]
            started = clock()
            self._epoch(plans)
            return clock() - started

    @torch.no_grad()
    def _epoch(self, plans: Sequence[Plan]) -> list[tuple[Tensor, Tensor, float]]:
        """For each run the losses of the epoch's steps, the examples in each, and the share of right answers."""
        data, batch = self._runs[0].data.train, self._runs[0].batch
        orders = torch.stack([plan.order for plan in plans])
        if all(torch.equal(order, orders[0]) for order in orders[1:]):
            orders = orders[:1]
        dropout = _Dropout(plans, self._rates, self._blocks[0].widths)
        losses: list[list[Tensor]] = [[] for _ in self._blocks]
        right = torch.zeros(len(plans), device=orders.device)
        stretch = max(1, ROWS // batch)
        for first, chosen in enumerate(orders.split(stretch * batch, dim=1)):
            inputs = self._normalize(data.inputs_at(data.places[chosen.flatten()])).flatten(1)
            seen = inputs.unflatten(0, chosen.shape).split(batch, 1), data.targets[chosen].split(batch, 1)
            batches = [(*batch_of, dropout.drawn(batch_of[0].shape[1])) for batch_of in zip(*seen, strict=True)]
            for lanes, block, kept in zip(self._places, self._blocks, losses, strict=True):
                own = slice(None) if len(orders) == 1 else lanes
                for step, (examples, targets, drawn) in enumerate(batches, first * stretch):
                    loss, correct = block.backward(examples[own], targets[own], dropout.own(drawn, lanes))
                    kept.append(loss)
                    right[lanes] += correct
                    for run, plan in zip(self._runs[lanes], plans[lanes], strict=True):
                        run.update(plan, step)
        sizes = torch.tensor([chosen.shape[1] for chosen in orders.split(batch, dim=1)])
        shares = (right / orders.shape[1]).tolist()
        reached = torch.cat([torch.stack(kept, 1) for kept in losses]).cpu()
        return [(loss, sizes, share) for loss, share in zip(reached, shares, strict=True)]


class _Dropout:
    """Numbers for the dropout before each linear layer, as each run would draw them alone; a seed's are shared."""

    def __init__(self, plans: Sequence[Plan], rates: Sequence[tuple[float, ...]], widths: Sequence[int]) -> None:
        layers = zip(*rates, strict=True)
        self._widths = [width if any(layer) else 0 for width, layer in zip(widths, layers, strict=True)]
        self._device = plans[0].order.device
        drawing = [(plan.seed, *map(bool, own)) for plan, own in zip(plans, rates, strict=True)]
        self._generators = {key: torch.Generator(self._device).manual_seed(key[0]) for key in drawing}
        self._shares = torch.tensor([list(self._generators).index(key) for key in drawing], device=self._device)

    def drawn(self, examples: int) -> list[Tensor | None]:
        """The next numbers of each seed [seeds, examples, width] for each layer that has dropout before it."""
        return [self._numbers(layer, examples, width) if width else None for layer, width in enumerate(self._widths)]

    def own(self, drawn: Sequence[Tensor | None], lanes: slice) -> list[Tensor | None]:
        """Those of these lanes [lanes or 1, examples, width]."""
        if len(self._generators) == 1:
            return [*drawn]
        return [None if numbers is None else numbers[self._shares[lanes]] for numbers in drawn]

    def _numbers(self, layer: int, examples: int, width: int) -> Tensor:
        numbers = torch.ones(len(self._generators), examples, width, device=self._device)
        for own, (key, generator) in zip(numbers, self._generators.items(), strict=True):
            if key[1 + layer]:
                own.uniform_(generator=generator)
        return numbers


def _rates(model: ModelConfig) -> tuple[float, ...]:
    """The rate of dropout before each linear layer."""
    match model:
        case MlpConfig():
            return (0.0, *each(model.dropout, model.depth))
        case PretrainedConfig():
            return (model.dropout,) * (model.depth + 1)
        case _:
            return (0.0,)


def _concluded(
    run: Run,
    plan: Plan,
    seconds: float,
    lr: float,
    losses: Tensor,
    sizes: Tensor,
    right: float,
    number: int | None = None,
) -> Epoch | Exception:
    finite = losses.isfinite()
    try:
        if not finite.all():
            raise run.spoiled(plan, int(finite.int().argmin()))
        loss = float((losses.double() * sizes).sum() / sizes.sum())
        return run.conclude(time.perf_counter() - seconds, lr, loss, right, number)
    except Exception as error:
        return error
