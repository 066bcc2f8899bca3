"""Kinds of targets: their outputs, losses, probabilities and correct answers.

One class of several (`multiclass`) has a logit for each class; one of two (`binary`) a single logit, for the second
class; `multilabel` a logit for each label by itself; `regression` the number.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tailorbird.errors import InvalidInput
from training.config import Kind, LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES = {
    "multiclass": ("cross_entropy", "log_softmax_nll", "softmax_log_nll", "bce"),
    "binary": ("bce",),
    "multilabel": ("bce",),
    "regression": ("mse",),
}
"""The losses of each kind of target, the default first."""


def outputs(kind: Kind, classes: Sequence[str]) -> int:
    """The number of outputs of a network per example."""
    return 1 if kind in ("binary", "regression") else len(classes)


def loss(config: LossConfig, kind: Kind) -> Loss:
    """The loss of outputs [N, outputs] and targets [N, ...]: a mean, in nats or in squared units of the target.

    Raises InvalidInput if the kind has no such loss.
    """
    name = config.name or LOSSES[kind][0]
    if name not in LOSSES[kind]:
        raise InvalidInput("loss.name", f"{name} is not a loss of {kind} targets; accepted: {', '.join(LOSSES[kind])}")
    if config.label_smoothing and name != "cross_entropy":
        raise InvalidInput("loss.label_smoothing", f"applies only to cross_entropy, not to {name}")
    match name:
        case "cross_entropy":
            smoothing = config.label_smoothing
            return lambda logits, targets: functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        case "log_softmax_nll":
            return lambda logits, targets: functional.nll_loss(functional.log_softmax(logits, 1), targets)
        case "softmax_log_nll":
            return lambda logits, targets: functional.nll_loss(functional.softmax(logits, 1).log(), targets)
        case "mse":
            return lambda numbers, targets: functional.mse_loss(numbers.squeeze(1), targets)
        case _:
            return lambda logits, targets: functional.binary_cross_entropy_with_logits(
                logits, _indicators(kind, logits, targets)
            )


def probabilities(kind: Kind, logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Probabilities [N, classes] of logits divided by the temperature; for regression the numbers [N, 1]."""
    match kind:
        case "multiclass":
            return torch.softmax(logits / temperature, dim=1)
        case "binary":
            positive = torch.sigmoid(logits / temperature)
            return torch.cat([1 - positive, positive], dim=1)
        case "multilabel":
            return torch.sigmoid(logits / temperature)
        case "regression":
            return logits


def right(kind: Kind, logits: Tensor, targets: Tensor) -> Tensor | None:
    """Whether the answer for each example is right, or the share of its labels that are; None for regression."""
    match kind:
        case "multiclass":
            return (logits.argmax(1) == targets).float()
        case "binary":
            return ((logits.squeeze(1) > 0) == (targets == 1)).float()
        case "multilabel":
            return ((logits > 0) == (targets == 1)).float().mean(1)
        case "regression":
            return None


def _indicators(kind: Kind, logits: Tensor, targets: Tensor) -> Tensor:
    """Targets for bce: 0 or 1 for every output."""
    match kind:
        case "multiclass":
            return functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
        case "binary":
            return targets.unsqueeze(1).to(logits.dtype)
        case _:
            return targets.to(logits.dtype)
