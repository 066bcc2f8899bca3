"""The next configs to try: a pure function of the spec and the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from registry.ledger import Suggestion, Trial
from training import config
from training.config import RunConfig
from tuning import confirmation, groups, study
from tuning.spec import SweepSpec

UNENDED = ("pending", "running", "interrupted", "paused")
"""Statuses of trials that may still be trained."""

Misfit = Callable[[RunConfig], str | None]
"""Returns why a config does not fit the constraints of its sweep, or None."""


def suggest(
    spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit, sizes: Mapping[str, int] | None = None
) -> list[Suggestion]:
    """The next wave, once no trial is left to train; empty if the search is over.

    `sizes` are the known sizes of groups by the shape of their trials (`lane_table`).
    """
    wave = _wave(spec, trials, misfit)
    first = 1 + max((trial.group for trial in trials), default=0)
    numbers = groups.grouped([suggestion.config for suggestion in wave], spec.lanes, first, sizes)
    return [replace(suggestion, group=number) for suggestion, number in zip(wave, numbers, strict=True)]


def left(trials: Iterable[Trial]) -> list[RunConfig]:
    """The configs of the trials that may still be trained; raises InvalidInput if one is from another release."""
    return [
        config.parse(RunConfig, trial.config, prefix=f"trial {trial.number}: ")
        for trial in trials
        if trial.status in UNENDED
    ]


def _wave(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    searched = [trial for trial in trials if trial.confirms is None]
    if len(searched) < spec.total:
        basis = _written([trial.number for trial in searched]) if spec.search == "tpe" and searched else None
        return _entered(trials, _further(spec, searched), misfit, basis=basis)
    return _confirming(spec, trials, misfit)


def _further(spec: SweepSpec, trials: Sequence[Trial]) -> list[RunConfig]:
    if spec.search == "tpe" and trials:
        before = [RunConfig.model_validate(trial.config) for trial in trials]
        return spec.seeded(study.tpe(spec, trials), before)
    return spec.configs[len(trials) :]


def _confirming(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    """The best configs that no trial confirms yet, each with new seeds."""
    seeds = spec.confirm.seeds if spec.confirm else 0
    seed = 1 + max((trial.config["seed"] for trial in trials if trial.confirms is None), default=0)
    suggestions = []
    for leader in confirmation.leaders(spec, trials):
        if not leader.runs:
            changes = [{"seed": seed + more} for more in range(seeds)]
            configs = [RunConfig.model_validate({**leader.trial.config, **change}) for change in changes]
            suggestions += _entered(trials, configs, misfit, confirms=leader.trial.number)
    return suggestions


def _entered(
    trials: Sequence[Trial],
    configs: Iterable[RunConfig],
    misfit: Misfit,
    basis: str | None = None,
    confirms: int | None = None,
) -> list[Suggestion]:
    wave = 1 + max((trial.wave for trial in trials), default=0)
    return [
        Suggestion(config.model_dump(mode="json"), wave, basis=basis, confirms=confirms, problem=misfit(config))
        for config in configs
    ]


def _written(numbers: Sequence[int]) -> str:
    """Numbers in order as ranges, as in 1-8,10."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, bounds)) for bounds in ranges)
