"""What to try next: a pure function of the spec and of what the ledger holds of its trials."""

from collections.abc import Callable, Iterable, Sequence

from registry.ledger import Suggestion, Trial
from training import config
from training.config import RunConfig
from tuning import groups, space, study
from tuning.field import Field
from tuning.spec import SweepSpec

UNENDED = ("pending", "running", "interrupted", "paused")
"""What a trial that may still be trained is."""

Misfit = Callable[[RunConfig], str | None]
"""Says why a config does not fit the constraints of its sweep, if it does not."""


def suggest(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    """The next wave, for when no trial is left to train; nothing where the search is over."""
    searched = [trial for trial in trials if trial.confirms is None]
    if len(searched) < spec.total:
        basis = _written([trial.number for trial in searched]) if spec.search == "tpe" and searched else None
        return _entered(spec, trials, _further(spec, searched), misfit, basis=basis)
    if spec.confirm and len(searched) == len(trials):
        return _confirming(spec, trials, misfit)
    return []


def left(trials: Iterable[Trial]) -> list[RunConfig]:
    """The configs of the trials that may still be trained; raises InvalidInput where one is of another release."""
    return [
        config.parse(RunConfig, trial.config, prefix=f"trial {trial.number}: ")
        for trial in trials
        if trial.status in UNENDED
    ]


def _further(spec: SweepSpec, trials: Sequence[Trial]) -> list[RunConfig]:
    if spec.search == "tpe" and trials:
        before = [RunConfig.model_validate(trial.config) for trial in trials]
        return spec.seeded(study.tpe(spec, trials), before)
    return spec.configs[len(trials) :]


def _confirming(spec: SweepSpec, trials: Sequence[Trial], misfit: Misfit) -> list[Suggestion]:
    """The best configs again, each with seeds that no trial has had."""
    top, seeds = (spec.confirm.top, spec.confirm.seeds) if spec.confirm else (0, 0)
    field = Field(spec, trials)
    finished = sorted(
        (standing for standing in field.standings.values() if standing.status == "finished"),
        key=lambda trial: (-max(trial.scores.values()), trial.number),
    )
    seed = 1 + max(trial.config["seed"] for trial in trials)
    chosen: dict[str, Trial] = {}
    for standing in finished:
        trial = trials[standing.number - 1]
        chosen.setdefault(space.written({**trial.config, "seed": 0}), trial)
    suggestions = []
    for trial in list(chosen.values())[:top]:
        configs = [RunConfig.model_validate({**trial.config, "seed": seed + more}) for more in range(seeds)]
        suggestions += _entered(spec, trials, configs, misfit, confirms=trial.number)
    numbers = groups.grouped([suggestion.config for suggestion in suggestions], spec.lanes, _next_group(trials))
    return [_regrouped(suggestion, number) for suggestion, number in zip(suggestions, numbers, strict=True)]


def _entered(
    spec: SweepSpec,
    trials: Sequence[Trial],
    configs: Iterable[RunConfig],
    misfit: Misfit,
    basis: str | None = None,
    confirms: int | None = None,
) -> list[Suggestion]:
    wave = 1 + max((trial.wave for trial in trials), default=0)
    configs = list(configs)
    rows = [config.model_dump(mode="json") for config in configs]
    numbers = groups.grouped(rows, spec.lanes, _next_group(trials))
    return [
        Suggestion(row, wave, group, basis, confirms, misfit(config))
        for row, group, config in zip(rows, numbers, configs, strict=True)
    ]


def _regrouped(suggestion: Suggestion, group: int) -> Suggestion:
    return Suggestion(**{**vars(suggestion), "group": group})


def _next_group(trials: Sequence[Trial]) -> int:
    return 1 + max((trial.group for trial in trials), default=0)


def _written(numbers: Sequence[int]) -> str:
    """Numbers in order as ranges, as in 1-8,10."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, bounds)) for bounds in ranges)
