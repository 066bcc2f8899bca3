"""Running sums of an epoch: losses and correct predictions of its steps."""

import math

import torch
from torch import Tensor

LOOK_EVERY = 256
"""The largest number of steps that pass before a NaN or infinite loss is noticed."""


class Tally:
    """Losses and counts of right answers of an epoch's steps, kept on the device so that no step waits for them."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._losses = torch.zeros(steps, device=device)
        self._right: Tensor | None = None
        self._step, self._checked = 0, 0

    def add(self, loss: Tensor, right: Tensor | None, share: float) -> None:
        self._losses[self._step] += loss * share
        if right is not None:
            total = right.sum()
            self._right = total if self._right is None else self._right + total

    def ends(self, step: int) -> bool:
        """Whether the losses should be checked now."""
        self._step = step + 1
        return self._step - self._checked >= LOOK_EVERY or self._step == len(self._losses)

    def spoiled(self) -> int | None:
        """The first step since the last check whose loss is NaN or infinite."""
        finite = self._losses[self._checked : self._step].isfinite()
        first, self._checked = self._checked, self._step
        return None if finite.all() else first + int(finite.int().argmin())

    def mean(self, batch: int, count: int) -> tuple[float, float]:
        """Loss and accuracy over `count` examples; each step has the same number, the last has the rest."""
        losses = self._losses.cpu().double()  # mps has no doubles
        sizes = torch.full_like(losses, batch)
        sizes[-1] = count - batch * (len(losses) - 1)
        right = math.nan if self._right is None else self._right.item() / count
        return float((losses * sizes).sum()) / count, right
