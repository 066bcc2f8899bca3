"""What to try next: a pure function of the spec and of what the ledger holds of its trials."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.ledger import Suggestion, Trial
from training.config import RunConfig
from tuning import groups, space
from tuning.field import Field
from tuning.space import Domain, Point
from tuning.spec import SweepSpec, lookup

if TYPE_CHECKING:
    import optuna

Misfit = Callable[[RunConfig], str | None]
"""Says why a config does not fit the constraints of its sweep, if it does not."""


def suggest(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    """The next wave, for when no trial is left to train; nothing where the search is over."""
    searched = [one for one in trials if one.confirms is None]
    if len(searched) < spec.total:
        basis = _written([one.number for one in searched]) if spec.search == "tpe" and searched else None
        return _entered(spec, trials, _further(spec, searched), misfit, basis=basis)
    if spec.confirm and len(searched) == len(trials):
        return _confirming(spec, trials, misfit)
    return []


def _further(spec: SweepSpec, trials: Sequence[Trial]) -> list[RunConfig]:
    if spec.search == "tpe" and trials:
        before = [RunConfig.model_validate(one.config) for one in trials]
        return spec.seeded(_tpe(spec, trials), before)
    return spec.configs[len(trials) :]


def _confirming(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    """The best configs again, each with seeds that no trial has had."""
    top, seeds = (spec.confirm.top, spec.confirm.seeds) if spec.confirm else (0, 0)
    field = Field(spec, trials)
    finished = sorted(
        (one for one in field.standings.values() if one.status == "finished"),
        key=lambda one: (-max(one.scores.values()), one.number),
    )
    seed = 1 + max(one.config["seed"] for one in trials)
    chosen: dict[str, Trial] = {}
    for standing in finished:
        trial = trials[standing.number - 1]
        chosen.setdefault(space.written({**trial.config, "seed": 0}), trial)
    suggestions = []
    for trial in list(chosen.values())[:top]:
        configs = [RunConfig.model_validate({**trial.config, "seed": seed + more}) for more in range(seeds)]
        suggestions += _entered(spec, trials, configs, misfit, confirms=trial.number)
    numbers = groups.grouped([one.config for one in suggestions], spec.lanes, _next_group(trials))
    return [_regrouped(one, number) for one, number in zip(suggestions, numbers, strict=True)]


def _entered(
    spec: SweepSpec,
    trials: Sequence[Trial],
    configs: Iterable[RunConfig],
    misfit: Misfit,
    basis: str | None = None,
    confirms: int | None = None,
) -> list[Suggestion]:
    wave = 1 + max((one.wave for one in trials), default=0)
    configs = list(configs)
    rows = [one.model_dump(mode="json") for one in configs]
    numbers = groups.grouped(rows, spec.lanes, _next_group(trials))
    return [
        Suggestion(row, wave, group, basis, confirms, misfit(config))
        for row, group, config in zip(rows, numbers, configs, strict=True)
    ]


def _regrouped(suggestion: Suggestion, group: int) -> Suggestion:
    return Suggestion(**{**vars(suggestion), "group": group})


def _next_group(trials: Sequence[Trial]) -> int:
    return 1 + max((one.group for one in trials), default=0)


def _written(numbers: Sequence[int]) -> str:
    """Numbers in order as ranges, as in 1-8,10."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, one)) for one in ranges)


def _tpe(spec: SweepSpec, trials: Sequence[Trial]) -> list[RunConfig]:
    """The next wave of the tree-structured Parzen estimator (Watanabe 2023), one fresh sampler for each point.

    Trials that were left behind at a rung count as complete, with a value below all that came further.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    domains = spec.space or {}
    study = optuna.create_study(direction="maximize")
    study.add_trials(_observed(spec, trials))
    first = len(trials) // spec.seeds
    configs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for number in range(first, min(first + spec.wave, spec.trials or 0)):
            study.sampler = optuna.samplers.TPESampler(
                seed=(spec.seed * 1_000_003 + number) % 2**32,
                multivariate=True,
                group=any(domain.when for domain in domains.values()),
                n_startup_trials=spec.wave,
            )
            configs.append(spec.at(_asked(study.ask(), domains), f"trial {number + 1}"))
    return configs


def _asked(trial: "optuna.Trial", domains: Mapping[str, Domain]) -> Point:
    point: Point = {}
    for key, domain in domains.items():
        if space.active(domain, point):
            value = trial._suggest(key, _distribution(domain))
            point[key] = domain.choice[int(value)] if domain.choice else value
    return point


def _observed(spec: SweepSpec, trials: Sequence[Trial]) -> "list[optuna.trial.FrozenTrial]":
    import optuna

    field, domains = Field(spec, trials), spec.space or {}
    accepted = {key: _accepted(spec, domains, key) for key, domain in domains.items() if domain.choice}
    observed = []
    for start in range(0, len(trials), spec.seeds):
        runs = trials[start : start + spec.seeds]
        point: Point = {}
        values: dict[str, Any] = {}
        for key, domain in domains.items():
            if space.active(domain, point):
                value = lookup(runs[0].config, key)
                place = accepted[key].index(space.written(value)) if domain.choice else None
                point[key] = value if place is None else (domain.choice or [])[place]
                values[key] = value if place is None else place
        observed.append(
            optuna.trial.create_trial(
                params=values,
                distributions={key: _distribution(domains[key]) for key in values},
                value=sum(field.merit(one.number) for one in runs) / len(runs),
            )
        )
    return observed


def _accepted(spec: SweepSpec, domains: Mapping[str, Domain], key: str) -> list[str]:
    """A key's choices as they stand in a config that was read."""
    when = domains[key].when or {}
    configs = [spec.at(space.firsts(domains, {**when, key: value}), key) for value in domains[key].choice or []]
    return [space.written(lookup(one.model_dump(mode="json"), key)) for one in configs]


def _distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if domain.choice:
        return CategoricalDistribution(range(len(domain.choice)))
    low, high = domain.bounds or (0, 1)
    if domain.listed:
        low, high = domain.listed[0], domain.listed[-1]
    if domain.whole:
        return IntDistribution(int(low), int(high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(low, high, log=domain.log, step=domain.step)
