"""Optuna studies of trials, for suggesting the next points and for the importance of keys.

A study is built from the ledger's rows whenever it is needed: Optuna stores nothing.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from registry.ledger import Trial
from training.config import RunConfig
from tuning import space
from tuning.field import Field
from tuning.space import Domain, Point
from tuning.spec import SweepSpec, lookup

if TYPE_CHECKING:
    import optuna

LEAST = 20
"""The fewest trials for importances: PED-ANOVA requires five in the quantile."""
QUANTILE = 0.25


def tpe(spec: SweepSpec, trials: Sequence[Trial]) -> list[RunConfig]:
    """The next wave of the tree-structured Parzen estimator (Watanabe 2023), one fresh sampler for each point.

    Trials that stopped at a rung count as complete, with a value below all trials that got further.
    """
    domains, field = spec.space or {}, Field(spec, trials)
    first = len(trials) // spec.seeds
    configs = []
    with _study(spec, trials, lambda trial: field.merit(trial.number)) as study:
        for number in range(first, min(first + spec.wave, spec.trials or 0)):
            study.sampler = _sampler(spec, number)
            configs.append(spec.at(_asked(study.ask(), domains), f"trial {number + 1}"))
    return configs


def importance(spec: SweepSpec, trials: Sequence[Trial]) -> dict[str, float]:
    """The importance of each key for being in the best quarter at the first report, as shares of 1, the largest first.

    By PED-ANOVA (Watanabe et al. 2023). Empty if there are too few trials.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    metric = spec.objective.metric
    known = [
        trial for trial in trials if trial.confirms is None and trial.reports and metric in trial.reports[0].metrics
    ]
    first = min((trial.reports[0].epoch for trial in known), default=0)
    known = [trial for trial in known if trial.reports[0].epoch == first]
    if spec.space is None or spec.seeds > 1 or len(known) < LEAST:
        return {}
    with _study(spec, known, lambda trial: spec.objective.score(trial.reports[0].metrics)) as study:
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=QUANTILE))


def _sampler(spec: SweepSpec, number: int) -> "optuna.samplers.TPESampler":
    from optuna.samplers import TPESampler

    return TPESampler(
        seed=(spec.seed * 1_000_003 + number) % 2**32,
        multivariate=True,
        group=any(domain.when for domain in (spec.space or {}).values()),
        n_startup_trials=spec.wave,
    )


@contextmanager
def _study(spec: SweepSpec, trials: Sequence[Trial], value: Callable[[Trial], float]) -> Iterator["optuna.study.Study"]:
    """A study of these trials, to be maximised; the value of a point is the mean over its seeds."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize")
        study.add_trials(_observed(spec, trials, value))
        yield study


def _asked(trial: "optuna.Trial", domains: Mapping[str, Domain]) -> Point:
    point: Point = {}
    for key, domain in domains.items():
        if space.active(domain, point):
            value = trial._suggest(key, _distribution(domain))
            point[key] = domain.choice[int(value)] if domain.choice else domain.tidied(value)
    return point


def _observed(
    spec: SweepSpec, trials: Sequence[Trial], value: Callable[[Trial], float]
) -> "list[optuna.trial.FrozenTrial]":
    from optuna.trial import create_trial

    domains = spec.space or {}
    accepted = {key: _accepted(spec, domains, key) for key, domain in domains.items() if domain.choice}
    distributions = {key: _distribution(domain) for key, domain in domains.items()}
    observed = []
    for start in range(0, len(trials), spec.seeds):
        runs = trials[start : start + spec.seeds]
        params = _params(domains, accepted, runs[0].config)
        active = {key: distributions[key] for key in params}
        mean = sum(map(value, runs)) / len(runs)
        observed.append(create_trial(params=params, distributions=active, value=mean))
    return observed


def _params(
    domains: Mapping[str, Domain], accepted: Mapping[str, list[str]], config: Mapping[str, Any]
) -> dict[str, Any]:
    """A config's point of the space, choices by index."""
    point: Point = {}
    params: dict[str, Any] = {}
    for key, domain in domains.items():
        if space.active(domain, point):
            value = lookup(config, key)
            params[key] = accepted[key].index(space.written(value)) if domain.choice else value
            point[key] = domain.choice[params[key]] if domain.choice else value
    return params


def _accepted(spec: SweepSpec, domains: Mapping[str, Domain], key: str) -> list[str]:
    """A key's choices in the form that they have in a parsed config."""
    when = domains[key].when or {}
    configs = [spec.at(space.firsts(domains, {**when, key: value}), key) for value in domains[key].choice or []]
    return [space.written(lookup(config.model_dump(mode="json"), key)) for config in configs]


def _distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if domain.choice:
        return CategoricalDistribution(range(len(domain.choice)))
    low, high = domain.ends
    if domain.whole:
        return IntDistribution(int(low), int(high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(low, high, log=domain.log, step=domain.step)
