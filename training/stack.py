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
from torch.nn import functional

from training import machine, objectives
from training.config import AugmentConfig, LinearConfig, MlpConfig, ModelConfig, PretrainedConfig, RunConfig
from training.loop import Run
from training.models.layers import each, mask
from training.plan import Plan
from training.progress import Epoch

FREE = ("seed", "optimizer", "schedule", "epochs", "ema", "early_stopping")
"""Keys of a run config in which the runs of a stack may differ."""


def key(run: Run) -> str | None:
    """A key that is equal for runs that can be stacked; None for a run that cannot."""
    config, model = run.config, run.config.model
    plain = run.augment == AugmentConfig() and not config.compile and config.accumulate == 1
    kind = run.splits.kind
    if not (plain and kind in _LOSSES and config.loss.name in (None, objectives.LOSSES[kind][0])):
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


class Stack:
    """Runs with one key, trained together until their next measurement."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)
        self._half = runs[0].config.precision == "bf16"
        self._normalize = next(iter(runs[0].network.children()))
        self._loss = _LOSSES[runs[0].splits.kind]
        parameters = [list(run.network.parameters()) for run in runs]
        self._weights = [
            torch.stack([parameter.detach() for parameter in layer]) for layer in zip(*parameters, strict=True)
        ]
        self._gradients = [torch.zeros_like(weight) for weight in self._weights]
        for index, own in enumerate(parameters):
            for parameter, weight, gradient in zip(own, self._weights, self._gradients, strict=True):
                parameter.data, parameter.grad = weight[index], gradient[index]
        for run in runs:
            run.state.rebind()

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
        """Seconds that so many steps take, without a measurement; the runs cannot be used afterwards.

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
        dropout = _Dropout(plans, [_rates(run.config.model) for run in self._runs])
        losses, right = [], torch.zeros(len(plans), device=orders.device)
        for step, chosen in enumerate(orders.split(batch, dim=1)):
            inputs = self._normalize(data.inputs_at(data.places[chosen.flatten()])).flatten(1)
            inputs = inputs.unflatten(0, chosen.shape).expand(len(plans), -1, -1)
            targets = data.targets[chosen].expand(len(plans), -1)
            loss, correct = self._backward(inputs, targets, dropout)
            losses.append(loss)
            right += correct
            for run, plan in zip(self._runs, plans, strict=True):
                run.update(plan, step)
        sizes = torch.tensor([chosen.shape[1] for chosen in orders.split(batch, dim=1)])
        shares = (right / orders.shape[1]).tolist()
        return [(loss, sizes, share) for loss, share in zip(torch.stack(losses, 1).cpu(), shares, strict=True)]

    def _backward(self, inputs: Tensor, targets: Tensor, dropout: "_Dropout") -> tuple[Tensor, Tensor]:
        """Mean losses [runs] and right answers [runs] of a batch; gradients are written to the weights' `grad`."""
        weights = [weight.bfloat16() for weight in self._weights] if self._half else self._weights
        inputs = dropout(0, inputs)
        layers = [inputs.bfloat16() if self._half else inputs]
        for position in range(0, len(weights) - 2, 2):
            linear = torch.baddbmm(weights[position + 1].unsqueeze(1), layers[-1], weights[position].mT)
            layers.append(dropout(position // 2 + 1, linear.relu_()))
        logits = torch.baddbmm(weights[-1].unsqueeze(1), layers[-1], weights[-2].mT).float()
        loss, right, back = self._loss(logits, targets)
        back = (back / targets.shape[1]).to(layers[0].dtype)
        for position in range(len(weights) - 2, -1, -2):
            if self._half:
                self._gradients[position].copy_(torch.bmm(back.mT, layers[position // 2]))
                self._gradients[position + 1].copy_(back.sum(1))
            else:
                torch.bmm(back.mT, layers[position // 2], out=self._gradients[position])
                torch.sum(back, 1, out=self._gradients[position + 1])
            if position:
                back = dropout.back(position // 2, torch.bmm(back, weights[position]))
                back = torch.ops.aten.threshold_backward(back, layers[position // 2], 0)
        return loss, right


def _cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean losses [runs] of logits [runs, batch, classes], right answers [runs], and gradients of the logits."""
    chances = torch.log_softmax(logits, 2)
    index = targets.unsqueeze(2)
    loss = -chances.gather(2, index).mean((1, 2))
    right = (logits.argmax(2) == targets).sum(1)
    return loss, right, chances.exp_().scatter_add_(2, index, torch.full_like(index, -1, dtype=torch.float32))


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for logits [runs, batch, 1] of the second of two classes."""
    positive, wanted = logits.squeeze(2), targets.float()
    loss = functional.binary_cross_entropy_with_logits(positive, wanted, reduction="none").mean(1)
    right = ((positive > 0) == (targets == 1)).sum(1)
    return loss, right, (positive.sigmoid() - wanted).unsqueeze(2)


_LOSSES = {"multiclass": _cross_entropy, "binary": _binary_cross_entropy}


class _Dropout:
    """Masks before each linear layer as each run would draw them alone; runs with one seed share the random numbers."""

    def __init__(self, plans: Sequence[Plan], rates: Sequence[tuple[float, ...]]) -> None:
        device = plans[0].order.device
        self._layers = [any(layer) for layer in zip(*rates, strict=True)]
        self._rates = torch.tensor(rates, device=device)[..., None, None]
        drawing = [(plan.seed, *map(bool, own)) for plan, own in zip(plans, rates, strict=True)]
        self._generators = {key: torch.Generator(device).manual_seed(key[0]) for key in drawing}
        self._shares = torch.tensor([list(self._generators).index(key) for key in drawing], device=device)
        self._masks: dict[int, Tensor] = {}

    def __call__(self, layer: int, values: Tensor) -> Tensor:
        """Values [runs, batch, width] after dropout."""
        if not self._layers[layer]:
            return values
        drawn = torch.ones(len(self._generators), *values.shape[1:], device=values.device)
        for own, (key, generator) in zip(drawn, self._generators.items(), strict=True):
            if key[1 + layer]:
                own.uniform_(generator=generator)
        drawn = drawn[self._shares] if len(drawn) > 1 else drawn
        self._masks[layer] = mask(drawn, self._rates[:, layer], values.dtype)
        return values * self._masks[layer]

    def back(self, layer: int, gradients: Tensor) -> Tensor:
        return gradients.mul_(self._masks[layer]) if layer in self._masks else gradients


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
