"""The sweep spec: a YAML file that describes a search, fully validated before anything is started."""

import copy
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce
from operator import getitem
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from registry import names
from tailorbird.errors import InvalidInput
from training import config
from training.config import Config, DataConfig, Objective, RunConfig
from tuning import space
from tuning.parts import Confirm, Constraints, Limits, Listed, Metric, Promote, Resources
from tuning.scheduler import SchedulerName
from tuning.space import Domain

MOST_TRIALS = 100_000
WAVES, LEAST_WAVE = 4, 8
"""tpe suggests `1 / WAVES` of the trials at a time, but at least LEAST_WAVE, since trials of a wave are compared."""


class SweepSpec(Config):
    """A search over run configs: a `space` that is sampled or laid out, or explicit `runs`, each with some `seeds`."""

    name: str
    data: DataConfig
    run: dict[str, Any] = Field(default_factory=dict)
    space: Annotated[dict[str, Domain], Field(min_length=1)] | None = None
    runs: Annotated[list[Listed], Field(min_length=1)] | None = None
    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(1, description="runs of each config")
    reference: dict[Metric, float] | None = Field(None, description="figures that the best trial is shown beside")
    source: str | None = Field(None, description="where the figures of `reference` come from")
    trials: Annotated[int, Field(strict=True, ge=1, le=MOST_TRIALS)] | None = None
    search: Literal["random", "grid", "tpe"] = "random"
    scheduler: SchedulerName | None = Field(None, description="default: halving with space, none with runs")
    probe: bool = Field(
        False,
        description="whether halving compares trials whose rate is constant after a quarter of their first epoch too",
    )
    seed: int = Field(0, ge=0, strict=True)
    objective: Objective = Objective()
    promote: Promote | None = None
    resources: Resources = Resources()
    lanes: Annotated[int, Field(strict=True, ge=1, le=64)] = Field(8, description="trials that are trained as one")
    limits: Limits = Limits()
    constraints: Constraints = Constraints()
    confirm: Confirm | None = None

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, raw: Any) -> Any:
        return config.sized(raw, _families(raw)) if isinstance(raw, Mapping) else raw

    @model_validator(mode="after")
    def _consistent(self) -> "SweepSpec":
        if (self.space is None) == (self.runs is None):
            raise InvalidInput("space", "is required, or runs in its place, but not both")
        if self.space is not None and self.search != "grid" and self.trials is None:
            raise InvalidInput("trials", "is required: the number of points to try")
        if self.trials is not None and (self.runs is not None or self.search == "grid"):
            raise InvalidInput("trials", "applies only to random search and tpe; runs and grids list their trials")
        if self.promote and not self.data.holdout:
            raise InvalidInput("promote", "requires data.holdout above 0: candidates are evaluated on it")
        if self.confirm and not self.promote:
            raise InvalidInput("confirm", "applies only with promote; a study repeats each run by seeds")
        choosing = self.promote is not None or self.stopping != "none" or self.search == "tpe"
        if choosing and not self._measured:
            raise InvalidInput("objective.metric", f"{self.objective.metric} requires data.validation above 0")
        return self

    @property
    def stopping(self) -> SchedulerName:
        """The scheduler: by default halving, if there are several configs and a metric to choose by."""
        return self.scheduler or ("halving" if self.space is not None and self._measured else "none")

    @property
    def timed(self) -> list[str]:
        """The keys because of which another run may have another result, since it depends on timing."""
        limits = [f"limits.{name}" for name in ("minutes", "cpu_minutes") if getattr(self.limits, name)]
        return [*limits, "scheduler asha"] if self.stopping == "asha" else limits

    @property
    def _measured(self) -> bool:
        return not self.objective.metric.startswith("val_") or bool(self.data.validation)

    @cached_property
    def total(self) -> int:
        """The number of trials in all, without those that confirm others."""
        return self.seeds * (self.trials or len(self.runs or [*space.grid(self.space or {})]))

    @property
    def most_at_once(self) -> int:
        """The most trials that are trained at the same time: those that are searched, or those that confirm them."""
        return max(self.total, self.confirm.top * self.confirm.seeds if self.confirm else 0)

    @property
    def wave(self) -> int:
        """The number of points suggested at a time, whatever the number of workers."""
        return max(LEAST_WAVE, -(-(self.trials or 0) // WAVES)) if self.search == "tpe" else (self.trials or 0)

    @cached_property
    def configs(self) -> list[RunConfig]:
        """The run configs of trials that are known in advance, in order.

        Raises InvalidInput if one of them is not valid. With tpe they are those of the first wave.
        """
        return self.seeded(self._points())

    def seeded(self, points: Sequence[RunConfig], before: Iterable[RunConfig] = ()) -> list[RunConfig]:
        """Each config with each of its seeds; a config that was drawn before gets new seeds."""
        configs: list[RunConfig] = []
        times = Counter(seedless(config.model_dump(mode="json")) for config in before)
        for point in points:
            key = seedless(point.model_dump(mode="json"))
            first = point.seed + (times[key] if self.space else 0)
            times[key] += self.seeds
            configs += [point.model_copy(update={"seed": first + more}) for more in range(self.seeds)]
        return configs

    def at(self, point: Mapping[str, Any], where: str) -> RunConfig:
        """The run config at a point of the space; errors say `where` it comes from."""
        return _checked(_at(self._base, point), where)

    @property
    def leaves_precision(self) -> bool:
        """Whether the precision depends on the processor."""
        return bool(self.run.get("precision", "auto") == "auto")

    def plain(self) -> dict[str, Any]:
        """The form in which the ledger stores it."""
        return self.model_dump(mode="json", exclude_none=True)

    def listed(self, number: int) -> Listed:
        """The entry of a trial in `runs`; trials are numbered from 1."""
        return self.runs[(number - 1) // self.seeds] if self.runs else Listed()

    @property
    def _base(self) -> dict[str, Any]:
        # a trial has as many threads as CPUs, and no GPU unless it asks for one, and its config says so
        device = {"device": "cpu"} if self.resources.gpus == 0 else {}
        threads = max(1, int(self.resources.cpus))
        return {"data": self.data.model_dump(), "threads": threads, **device, **self.run}

    def _points(self) -> list[RunConfig]:
        if self.runs is not None:
            return [_checked(_merge(self._base, run.run), f"runs.{index}") for index, run in enumerate(self.runs)]
        domains = self.space or {}
        self._check_domains(self._base, domains)
        count = min(self.wave, self.trials or 0)
        points = space.grid(domains) if self.search == "grid" else space.samples(domains, count, self.seed)
        return [self.at(point, f"trial {number}") for number, point in enumerate(points, 1)]

    @cached_property
    def varied(self) -> dict[str, str]:
        """The dotted keys in which the trials differ, each with its shortest unique name."""
        keys = list(self.space or dict.fromkeys(key for listed in self.runs or [] for key in _leaves(listed.run)))
        paths = [key.removesuffix(".name") for key in keys]  # not informative by itself
        last = Counter(path.rpartition(".")[2] for path in paths)
        return {
            key: short if last[short := path.rpartition(".")[2]] == 1 else key
            for key, path in zip(keys, paths, strict=True)
        }

    def values(self, config: Mapping[str, Any]) -> list[Any]:
        """A run config's values at the keys that vary; None if it lacks a key."""
        return [lookup(config, key) for key in self.varied]

    @property
    def titles(self) -> list[str]:
        """Titles that distinguish trials: the name of the run, if all have one, or the keys that vary."""
        return ["run"] if self._named else list(self.varied.values())

    def shown(self, number: int, config: Mapping[str, Any]) -> list[Any]:
        """The values under the titles for a trial with this run config."""
        return [self.listed(number).name] if self._named else self.values(config)

    @property
    def watched(self) -> str:
        """The metric that is shown while trials run; without a validation split it is one of training."""
        return self.objective.metric if self._measured else "train_loss"

    @property
    def _named(self) -> bool:
        return self.runs is not None and all(run.name for run in self.runs)

    def _check_domains(self, base: Mapping[str, Any], domains: Mapping[str, Domain]) -> None:
        """Check every domain by itself, so that errors name the domain; other errors name `run`."""
        sizes = (domain.count or 0 for domain in domains.values())
        if self.search == "grid" and self.seeds * math.prod(sizes) > MOST_TRIALS:
            raise InvalidInput("space", f"a grid of more than {MOST_TRIALS:,} points, times seeds, is not accepted")
        for key, domain in domains.items():
            if lookup(self.run, key) is not None:
                raise InvalidInput(f"run.{key}", "is in space too; remove one of the two")
            if self.search == "grid" and domain.count is None:
                raise InvalidInput(f"space.{key}", "a grid needs values that can be counted: a choice, or a step")
            if key == "data" or key.startswith("data."):
                raise InvalidInput(f"space.{key}", "cannot be searched over: all trials of a sweep share their data")
            _check_when(key, domain, domains)
            firsts = _at(base, space.firsts(domains, domain.when or {}))
            for value in domain.extremes():
                _check_value(firsts, key, value)
        try:
            config.parse(RunConfig, _at(base, space.firsts(domains, {})))
        except InvalidInput as error:
            raise InvalidInput(f"run.{error.field}", error.problem) from None


def parse(raw: Mapping[str, Any]) -> SweepSpec:
    """Check a whole spec, including the config of every trial."""
    spec = config.parse(SweepSpec, raw)
    names.check("name", spec.name)
    if spec.promote:
        names.check("promote.model", spec.promote.model)
        names.check_alias("promote.alias", spec.promote.alias)
    if "data" in spec.run:
        raise InvalidInput("run.data", "belongs at the top level of the spec")
    points = spec.trials or len(spec.runs or ())
    if spec.seeds * points > MOST_TRIALS:
        raise InvalidInput("seeds", f"{spec.seeds} runs of {points:,} configs; accepted: {MOST_TRIALS:,} runs in all")
    _ = spec.configs
    return spec


def stored(raw: Mapping[str, Any]) -> SweepSpec:
    """A spec from the ledger, which stores its trials' configs too, so they are not built again.

    Keys of other releases, and what the ledger adds, are ignored.
    """
    known = copy.deepcopy(dict(raw))
    try:
        return SweepSpec.model_validate(known)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if problem["type"] == "extra_forbidden":
                *path, key = problem["loc"]
                section: Any = reduce(getitem, path, known)  # type: ignore[arg-type]
                del section[key]
    return config.parse(SweepSpec, known)


def _check_when(key: str, domain: Domain, domains: Mapping[str, Domain]) -> None:
    before = list(domains)[: list(domains).index(key)]
    for other, value in (domain.when or {}).items():
        if other not in before:
            raise InvalidInput(f"space.{key}.when", f"{other!r} must be an earlier key of space")
        condition = domains[other]
        if condition.count is not None and not condition.has(value):
            low, high = condition.ends
            accepted = condition.choice or f"{low} to {high}, in steps of {condition.step or 1:g}"
            raise InvalidInput(f"space.{key}.when.{other}", f"is never {value!r}; accepted: {accepted}")


def seedless(config: Mapping[str, Any]) -> str:
    """A run config without its seed, as a unique text."""
    return space.written({name: value for name, value in config.items() if name != "seed"})


def _families(raw: Mapping[str, Any]) -> list[Any]:
    """The model families that a raw spec names."""
    space, runs = raw.get("space"), raw.get("runs")
    choice = lookup(space.get("model.family"), "choice") if isinstance(space, Mapping) else None
    listed = [lookup(run, "model.family") for run in runs] if isinstance(runs, list) else []
    return [lookup(raw, "run.model.family"), *(choice if isinstance(choice, list) else []), *listed]


def lookup(config: Any, path: str) -> Any:
    """The value at a dotted path; None if there is none."""
    for key in path.split("."):
        config = config.get(key, {}) if isinstance(config, Mapping) else {}
    return None if config == {} else config


def _checked(raw: Mapping[str, Any], where: str) -> RunConfig:
    return config.parse(RunConfig, raw, prefix=f"{where}: ")


def _check_value(firsts: Mapping[str, Any], key: str, value: Any) -> None:
    try:
        config.parse(RunConfig, config.assign(firsts, key, value))
    except InvalidInput as error:
        if error.field == key or error.field.startswith(f"{key}.") or key.startswith(f"{error.field}."):
            raise InvalidInput(f"space.{key}", f"{error.problem}") from None


def _at(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in point.items():
        result = config.assign(result, key, value)
    return result


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _leaves(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for key, value in config.items():
        paths += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return paths
