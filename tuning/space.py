"""The search space: a domain for each dotted key of a RunConfig, sampled or laid out as a grid."""

import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from training.config import Config

Number = Annotated[float, Field(allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Point = dict[str, Any]

MOST_COUNTED = 10_000
"""In larger spaces, points may be drawn twice."""
ABSENT = object()
KINDS = ("choice", "uniform", "loguniform", "integer", "loginteger")


class Domain(Config):
    """The values of one key, in exactly one form; with `when`, only where other keys have these values."""

    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    uniform: tuple[Number, Number] | None = None
    loguniform: tuple[Number, Number] | None = None
    integer: tuple[Whole, Whole] | None = None
    loginteger: tuple[Whole, Whole] | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    when: Annotated[dict[str, Any], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Domain":
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"must have exactly one of {', '.join(KINDS)}")
        if self.bounds and self.bounds[0] >= self.bounds[1]:
            raise ValueError(f"must be [low, high] with low < high, not {list(self.bounds)}")
        if self.log and self.bounds and self.bounds[0] <= 0:
            raise ValueError(
                f"{'loginteger' if self.loginteger else 'loguniform'} must have a low above 0, not {self.bounds[0]:g}"
            )
        self._check_step()
        return self

    def _check_step(self) -> None:
        if self.step is None:
            return
        if self.bounds is None or self.log:
            raise ValueError("step applies only to uniform and integer")
        if self.integer and self.step != round(self.step):
            raise ValueError(f"step of integer must be a whole number, not {self.step:g}")
        if not self._steps:
            raise ValueError(f"step must be at most {self.bounds[1] - self.bounds[0]:g}, not {self.step:g}")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of a range; None for a choice."""
        return self.uniform or self.loguniform or self.integer or self.loginteger

    @property
    def log(self) -> bool:
        """Whether it is sampled on a logarithmic scale."""
        return self.loguniform is not None or self.loginteger is not None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.integer is not None or self.loginteger is not None

    @property
    def count(self) -> int | None:
        """The number of values; None if they are not counted."""
        if self.choice:
            return len(self.choice)
        return self._steps + 1 if self._stepped else None

    @property
    def listed(self) -> list[Any]:
        """All values of a domain whose values are counted, which may be very many."""
        return self.choice or [self._at(position) for position in range(self._steps + 1)]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value of a range."""
        low, high = self.bounds or (0, 1)
        return (self._at(0), self._at(self._steps)) if self._stepped else (low, high)

    def has(self, value: Any) -> bool:
        """Whether a domain whose values are counted has this one."""
        if self.choice:
            return value in self.choice
        low, high = self.ends
        if not isinstance(value, int | float) or not low <= value <= high:
            return False
        return self._at(round((value - low) / (self.step or 1))) == value

    def extremes(self) -> list[Any]:
        """Values to validate: if a config accepts these, it accepts all of them. Every choice, or both ends."""
        return self.choice or list(self.bounds or ())

    def sample(self, random: random.Random) -> Any:
        if self.choice:
            return random.choice(self.choice)
        if self._stepped:
            return self._at(random.randint(0, self._steps))
        low, high = self.bounds or (1, 1)
        if not self.log:
            return random.uniform(low, high)
        if self.whole:  # so that every number is equally likely after rounding
            drawn = math.exp(random.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(int(high), max(int(low), round(drawn)))
        return min(high, max(low, math.exp(random.uniform(math.log(low), math.log(high)))))

    @property
    def _stepped(self) -> bool:
        return self.step is not None or self.integer is not None

    @property
    def _steps(self) -> int:
        low, high = self.bounds or (0, 0)
        return math.floor((high - low) / (self.step or 1) * (1 + 1e-12))

    def _at(self, index: int) -> float | int:
        low, _ = self.bounds or (0, 0)
        return self.tidied(low + index * (self.step or 1))

    def tidied(self, value: float) -> float | int:
        """A value of a range as people write it: an int, or with steps 0.3 for 0.30000000000000004."""
        if self.whole:
            return round(value)
        return value if self.step is None else float(f"{value:.12g}")


def samples(space: Mapping[str, Domain], trials: int, seed: int) -> Iterator[Point]:
    """`trials` points of the space, determined by the seed; in a finite space none repeats before all were drawn."""
    source, drawn, most = random.Random(seed), set[str](), _count(space)
    for _ in range(trials):
        point = _point(space, source)
        while most and written(point) in drawn:
            point = _point(space, source)
        drawn.add(written(point))
        yield point
        if len(drawn) == most:
            drawn.clear()


def grid(space: Mapping[str, Domain], point: Point | None = None) -> Iterator[Point]:
    """Every combination of values, the last key moving fastest."""
    point = point or {}
    key = next((key for key in list(space)[len(point) :]), None)
    if key is None:
        yield {name: value for name, value in point.items() if value is not ABSENT}
        return
    domain = space[key]
    for value in domain.listed if active(domain, point) else [ABSENT]:
        yield from grid(space, {**point, key: value})


def firsts(space: Mapping[str, Domain], fixed: Mapping[str, Any]) -> Point:
    """A point of the first values of all domains, except for fixed keys."""
    point: Point = {}
    for key, domain in space.items():
        if active(domain, point):
            point[key] = fixed.get(key, domain.extremes()[0])
    return point


def active(domain: Domain, point: Mapping[str, Any]) -> bool:
    """Whether a key applies, given the values of earlier keys."""
    return all(point.get(key) == value for key, value in (domain.when or {}).items())


def written(value: Any) -> str:
    """A point, or a value of one, as a unique text."""
    return json.dumps(value, sort_keys=True, default=str)


def _point(space: Mapping[str, Domain], source: random.Random) -> Point:
    point: Point = {}
    for key, domain in space.items():
        if active(domain, point):
            point[key] = domain.sample(source)
    return point


def _count(space: Mapping[str, Domain]) -> int | None:
    """The number of points; None if a domain is not counted, or there are too many to list."""
    counts = [domain.count for domain in space.values()]
    if None in counts or math.prod(count or 0 for count in counts) > MOST_COUNTED:
        return None
    return len({written(point) for point in grid(space)})
