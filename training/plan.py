"""The plan of an epoch: everything that the seed and the schedule determine in advance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """One epoch of a run: its number, the seed of dropout and augmentation, the order of examples, and rates."""

    number: int
    seed: int
    order: Tensor
    rates: Sequence[float]

    def first(self, steps: int, examples: int) -> "Plan":
        """Its first `steps` steps, of `examples` examples each."""
        return replace(self, order=self.order[: steps * examples], rates=self.rates[:steps])
