"""The search space: a domain for each dotted key of a RunConfig, sampled or laid out as a grid."""

import itertools
import json
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
    """`trials` points of the space; of choices alone none again before all were drawn. One seed gives the same."""
    source, drawn, most = random.Random(seed), set[str](), _points(space)
    for _ in range(trials):
        point = _point(space, source)
        while most and _written(point) in drawn:
            point = _point(space, source)
        drawn.add(_written(point))
        if len(drawn) == most:
            drawn.clear()
        yield point


def _point(space: Mapping[str, Domain], source: random.Random) -> dict[str, Any]:
    return {key: domain.sample(source) for key, domain in space.items()}


def _points(space: Mapping[str, Domain]) -> int | None:
    """How many there are; None where a domain has no end of values."""
    choices = [one.choice for one in space.values()]
    return None if None in choices else math.prod(len(set(map(_written, one or []))) for one in choices)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def grid(space: Mapping[str, Domain]) -> Iterator[dict[str, Any]]:
    """Every combination of choices, the last key moving fastest."""
    for values in itertools.product(*(domain.choice or [] for domain in space.values())):
        yield dict(zip(space, values, strict=True))
