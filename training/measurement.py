"""Loss and accuracy of a network in evaluation mode, on a split on its device."""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from training import code, machine, objectives
from training.config import CustomConfig, Kind, ModelConfig
from training.objectives import Loss
from training.resident import Resident


def measure(network: nn.Module, split: Resident, kind: Kind, loss: Loss, model: ModelConfig) -> tuple[float, float]:
    """Mean loss and accuracy, computed in parts as large as memory allows; NaN if the split is empty."""
    if not len(split):
        return math.nan, math.nan
    while True:
        try:
            return _measured(network, split, kind, loss, model)
        except RuntimeError as error:
            if split.together == 1 or not machine.is_memory(error):
                raise machine.of_memory(error, split.together) from None
        split.together //= 2


def blamed(model: ModelConfig) -> AbstractContextManager[None]:
    """Report errors of the user's own module within as theirs, unless memory ran out."""
    if not isinstance(model, CustomConfig):
        return nullcontext()
    return code.blamed(model.function, "model.function", unless=machine.is_memory)


def _measured(network: nn.Module, split: Resident, kind: Kind, loss: Loss, model: ModelConfig) -> tuple[float, float]:
    network.eval()
    total, right = 0.0, 0.0
    with torch.inference_mode():
        for chosen in torch.arange(len(split), device=split.places.device).split(split.together):
            with blamed(model):
                outputs = network(split.inputs_at(split.places[chosen]))
            targets = split.targets[chosen]
            total += loss(outputs, targets).item() * len(chosen)
            answers = objectives.right(kind, outputs, targets)
            right += math.nan if answers is None else answers.cpu().double().sum().item()
    return total / len(split), right / len(split)
