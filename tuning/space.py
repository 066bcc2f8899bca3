"""The search space: a domain for each dotted key of a RunConfig, sampled or laid out as a grid."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from training.config import Config

Number = Annotated[float, Field(allow_inf_nan=False)]


class Domain(Config):
    """The values of one key; exactly one of the three is given."""

    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    uniform: tuple[Number, Number] | None = None
    loguniform: tuple[Number, Number] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Domain":
        if [self.choice, self.uniform, self.loguniform].count(None) != 2:
            raise ValueError("must have exactly one of choice, uniform, loguniform")
        bounds = self.uniform or self.loguniform
        if bounds and bounds[0] >= bounds[1]:
            raise ValueError(f"must be [low, high] with low < high, not {list(bounds)}")
        if self.loguniform and self.loguniform[0] <= 0:
            raise ValueError(f"loguniform must begin above 0, not at {self.loguniform[0]:g}")
        return self

    def extremes(self) -> list[Any]:
        """Values that are accepted by a config only if all are: every choice, or both ends."""
        return self.choice or list(self.uniform or self.loguniform or ())

    def sample(self, random: random.Random) -> Any:
        if self.choice:
            return random.choice(self.choice)
        if self.uniform:
            return random.uniform(*self.uniform)
        low, high = self.loguniform or (1, 1)
        return min(high, max(low, math.exp(random.uniform(math.log(low), math.log(high)))))


def samples(space: Mapping[str, Domain], trials: int, seed: int) -> Iterator[dict[str, Any]]:
    """`trials` independent points of the space; the same seed gives the same points."""
    source = random.Random(seed)
    for _ in range(trials):
        yield {key: domain.sample(source) for key, domain in space.items()}


def grid(space: Mapping[str, Domain]) -> Iterator[dict[str, Any]]:
    """Every combination of choices, the last key moving fastest."""
    for values in itertools.product(*(domain.choice or [] for domain in space.values())):
        yield dict(zip(space, values, strict=True))
