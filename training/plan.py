"""The plan of an epoch: everything that chance and schedule determine in advance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """One epoch of a run: how many were before it, the seed of its dropout and augmentation, the order of its examples,
    and the rate of each step."""

    number: int
    seed: int
    order: Tensor
    rates: Sequence[float]

    def first(self, steps: int, examples: int) -> "Plan":
        """As far as so many steps, of so many examples each."""
        return replace(self, order=self.order[: steps * examples], rates=self.rates[:steps])
