"""Optimisers, and the learning rate as a function of the step and of the measurements so far.

Only the optimiser has state, so a resumed run needs nothing else but its history.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.config import OptimizerConfig, ScheduleConfig
from training.models.pretrained import Backbone

FIRST, LAST = 25.0, 1e4
"""one_cycle starts at its peak over the first number, and ends at its start over the second (defaults of OneCycleLR).
"""


def optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser of a network's weights, fused where PyTorch offers that."""
    _spare_compiler()
    parameters = _groups(network, config)
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    match config.name:
        case "adam":
            return torch.optim.Adam(parameters, **shared, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, **shared, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, **shared, momentum=config.momentum)
        case "sgd":
            return torch.optim.SGD(parameters, **shared, momentum=config.momentum, nesterov=config.nesterov, fused=True)


def _spare_compiler() -> None:
    """Keep an optimiser from importing PyTorch's compiler, which takes a second in every process."""
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method:  # where it looks for a compiled version
            vars(method).setdefault("__dynamo_disable", method)


class Settled:
    """The step of an optimiser whose weights and gradients keep their place in memory.

    Adam's tensors are then looked up only once, which saves 40 us per step: as much as the layers of a small MLP take.
    """

    def __init__(self, of: torch.optim.Optimizer) -> None:
        self._optimizer = of
        adam = isinstance(of, torch.optim.Adam)
        self._tensors = [self._gathered(group["params"]) for group in of.param_groups] if adam else None

    def __call__(self) -> None:
        if self._tensors is None:
            self._optimizer.step()
            return
        for group, tensors in zip(self._optimizer.param_groups, self._tensors, strict=True):
            weights, gradients, means, squares, steps = tensors
            steps[0].add_(1)
            fused = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
            fused(
                weights, gradients, means, squares, [], steps, lr=group["lr"], beta1=group["betas"][0],
                beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False,
                maximize=False,
            )  # fmt: skip

    def _gathered(self, weights: list[nn.Parameter]) -> list[list[Tensor]]:
        kept = [self._optimizer.state[weight] for weight in weights]
        for weight, state in zip(weights, kept, strict=True):
            if not state:
                state |= {name: torch.zeros_like(weight, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")}
                state["step"] = torch.zeros((), device=weight.device)
        for state in kept:
            state["step"] = kept[0]["step"]  # which all have in common, and is counted up once
        names = ("exp_avg", "exp_avg_sq", "step")
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        return [[*weights], gradients, *([state[name] for state in kept] for name in names)]


def scale(group: Mapping[str, Any], epoch: int) -> float:
    """The factor on the learning rate of a group of weights.

    A backbone is frozen in the first epoch, until its head passes useful gradients (as in fastai's `fine_tune`).
    """
    return 0.0 if group["backbone"] and not epoch else float(group["scale"])


def _groups(network: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """All trainable weights, those of a backbone apart; a frozen backbone has none."""
    backbones = [module for module in network.modules() if isinstance(module, Backbone)]
    theirs = {id(weight) for backbone in backbones for weight in backbone.parameters()}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if id(w) not in theirs], "scale": 1.0, "backbone": False},
        {"params": [w for w in trained if id(w) in theirs], "scale": config.backbone_scale, "backbone": True},
    ]
    return [group for group in groups if group["params"]]


def lr(config: ScheduleConfig, peak: float, step: int, steps: int, scores: Sequence[float]) -> float:
    """The learning rate in `step` of `steps`, from 0; `scores` are the measurements so far, larger is better."""
    match config.name:
        case "constant":
            return peak
        case "one_cycle":
            return _one_cycle(peak, step, steps, config.warmup)
        case "cosine":
            return _cosine(peak, step, steps, config.warmup)
        case "plateau":
            return peak * config.factor ** _plateaus(scores, config.patience)


def waited(scores: Iterable[float], least: float = 0.0) -> int:
    """The number of measurements since the last one that improved by more than `least`."""
    best, waiting = -math.inf, 0
    for score in scores:
        best, waiting = (score, 0) if score > best + least else (best, waiting + 1)
    return waiting


def _plateaus(scores: Iterable[float], patience: int) -> int:
    """How often more than `patience` measurements in a row brought no improvement (counted as in ReduceLROnPlateau)."""
    best, waiting, plateaus = -math.inf, 0, 0
    for score in scores:
        best, waiting = (score, 0) if score > best else (best, waiting + 1)
        if waiting > patience:
            plateaus, waiting = plateaus + 1, 0
    return plateaus


def _one_cycle(peak: float, step: int, steps: int, warmup: float) -> float:
    top, first = warmup * steps - 1, peak / FIRST
    if step <= top:
        return _wave(first, peak, step / top if top else 1.0)
    return _wave(peak, first / LAST, (step - top) / (steps - 1 - top))


def _cosine(peak: float, step: int, steps: int, warmup: float) -> float:
    rising = warmup * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    return _wave(peak, 0.0, (step - rising) / (steps - rising))


def _wave(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
