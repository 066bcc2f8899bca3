"""A block: as many runs of a stack as are computed by one operation at a time, forward and, by hand, backward."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.loop import Run

BELOW = -1e-30
"""Between 0 and the greatest difference below 0 of two numbers in [0, 1)."""
CACHED = 2 * 2**20
"""Bytes of weights of a block on a processor: with gradients and Adam's means they stay in its caches for some steps,
which saves a fifth of the time of 784-512-256-10 (eight lanes, Xeon with 2 MB of L2 cache a core)."""


def lanes_at_once(run: Run, most: int) -> int:
    """Of how many runs like this one a block is."""
    if run.data.device.type != "cpu":
        return most
    size = max(1, CACHED // sum(weight.nbytes for weight in run.network.parameters()))
    return -(-most // -(-most // size))  # equally many in each


class Dropout:
    """Dropout of each run before one layer, by its rates [runs]; the values that it changes are written in place."""

    def __init__(self, rates: Tensor, kind: torch.dtype) -> None:
        """`kind` is that of the values."""
        self._rates = rates[:, None, None]
        self._scales = torch.ones_like(self._rates, dtype=kind).div_(1 - self._rates)

    def forward(self, values: Tensor, drawn: Tensor) -> Tensor:
        """Keep values [runs, batch, width] whose numbers [runs or 1, batch, width] in [0, 1) are not below the rate."""
        over = (drawn - self._rates).to(values.dtype)
        torch.ops.aten.threshold_backward.grad_input(values, over, BELOW, grad_input=values)
        return values.mul_(self._scales)

    def back(self, gradients: Tensor) -> Tensor:
        """Gradients of what was kept; those of the others are still to be left out."""
        return gradients.mul_(self._scales)


class Block:
    """Runs whose weights lie in one tensor for each layer, of which those of a run are a view.

    Gradients are written to memory that all blocks of a stack share.
    """

    def __init__(self, runs: Sequence[Run], rates: Sequence[tuple[float, ...]], gradients: Sequence[Tensor]) -> None:
        """`rates` are those of the dropout before each layer."""
        self._half = runs[0].config.precision == "bf16"
        self._loss = LOSSES[runs[0].splits.kind]
        parameters = [list(run.network.parameters()) for run in runs]
        self._weights = [
            torch.stack([parameter.detach() for parameter in layer]) for layer in zip(*parameters, strict=True)
        ]
        self._gradients = [gradient[: len(runs)] for gradient in gradients]
        for place, own in enumerate(parameters):
            for parameter, weight, gradient in zip(own, self._weights, self._gradients, strict=True):
                parameter.data, parameter.grad = weight[place], gradient[place]
        for run in runs:
            run.state.rebind()
        device = self._weights[0].device
        hidden = torch.bfloat16 if self._half else torch.float32
        self._dropouts = [
            Dropout(torch.tensor(layer, device=device), hidden if position else torch.float32)
            for position, layer in enumerate(zip(*rates, strict=True))
        ]

    @property
    def widths(self) -> list[int]:
        """Of the inputs of each layer."""
        return [weight.shape[2] for weight in self._weights[::2]]

    def backward(self, inputs: Tensor, targets: Tensor, drawn: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Mean losses [runs] and right answers [runs] of a batch; gradients are written to the weights' `grad`.

        `inputs` [runs or 1, batch, width] and `targets` [runs or 1, batch] may be the same for all runs, as the numbers
        that are `drawn` for the dropout before each layer.
        """
        count = len(self._weights[0])
        inputs, targets = inputs.expand(count, -1, -1), targets.expand(count, -1)
        weights = [weight.bfloat16() for weight in self._weights] if self._half else self._weights
        inputs = inputs if drawn[0] is None else self._dropouts[0].forward(inputs.clone(), drawn[0])
        layers = [inputs.bfloat16() if self._half else inputs]
        for position in range(0, len(weights) - 2, 2):
            values = torch.baddbmm(weights[position + 1].unsqueeze(1), layers[-1], weights[position].mT).relu_()
            numbers = drawn[position // 2 + 1]
            layers.append(values if numbers is None else self._dropouts[position // 2 + 1].forward(values, numbers))
        logits = torch.baddbmm(weights[-1].unsqueeze(1), layers[-1], weights[-2].mT).float()
        loss, right, back = self._loss(logits, targets)
        back = (back / targets.shape[1]).to(layers[0].dtype)
        for position in range(len(weights) - 2, -1, -2):
            below = layers[position // 2]
            if self._half:
                self._gradients[position].copy_(torch.bmm(back.mT, below))
                self._gradients[position + 1].copy_(back.sum(1))
            else:
                torch.bmm(back.mT, below, out=self._gradients[position])
                torch.sum(back, 1, out=self._gradients[position + 1])
            if position:
                back = torch.bmm(back, weights[position])
                back = back if drawn[position // 2] is None else self._dropouts[position // 2].back(back)
                # nothing where ReLU or dropout let nothing through
                torch.ops.aten.threshold_backward.grad_input(back, below, 0, grad_input=back)
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


LOSSES = {"multiclass": _cross_entropy, "binary": _binary_cross_entropy}
