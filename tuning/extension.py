"""Extensions of an ended sweep: more trials, more epochs, a paused trial, or the failed ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from registry import extensions, leases, ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Sweep, Trial
from tailorbird.errors import InvalidInput, NotFound
from training import config
from training.config import EarlyStopping, Objective, RunConfig
from tuning import spec as specs
from tuning.field import Field
from tuning.scheduler import Answer
from tuning.spec import SweepSpec

STARTED = "started"
"""Key of an extended spec in the ledger, which no spec file has: the spec that the sweep was started with."""


def add_trials(registry: Registry, sweep: str, count: int, seconds: float, who: str) -> None:
    """Add `count` points to a sweep; raises InvalidInput if its spec lists its trials."""
    known = ledger.sweep(registry, sweep)
    spec = specs.stored(known.spec)
    if spec.trials is None:
        raise InvalidInput("--trials", "applies only to random search and tpe; runs and grids list their trials")
    changed = _extended(known.spec, trials=spec.trials + count)
    lease = _take(registry, known, seconds, who)
    extensions.rewrite(registry, lease, changed)
    ledger.end(registry, lease, "interrupted")


def lengthen(registry: Registry, sweep: str, count: int, seconds: float, who: str) -> None:
    """Add `count` epochs to the trials of a finished sweep.

    Raises InvalidInput if a sweep of that length would have had other figures so far.
    """
    known, trials = ledger.sweep(registry, sweep), ledger.trials(registry, sweep)
    spec = specs.stored(known.spec)
    _check_horizon(known, spec, trials)
    changed = _extended(known.spec, **_more_epochs(known.spec, count))
    configs = {trial.number: {**trial.config, "epochs": trial.config["epochs"] + count} for trial in trials}
    config.parse(RunConfig, max(configs.values(), key=lambda run: run["epochs"]), prefix="--epochs: ")
    field = Field(spec, [replace(trial, config=configs[trial.number]) for trial in trials])
    statuses = {
        trial.number: _STATUS[field.answer(trial.number)]
        for trial in trials
        if trial.status == "finished" and not _stopped_early(trial, spec.objective)
    }
    for number, status in statuses.items():
        field.standings[number].status = status
    lost = statuses.keys() & set(field.behind())
    restarted = [trial.number for trial in trials if trial.outranked and trial.number in statuses.keys() - lost]
    lease = _take(registry, known, seconds, who)
    extensions.lengthen(registry, lease, changed, configs, statuses, restarted)
    ledger.end(registry, lease, "interrupted")


def forms(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A spec of the ledger as it was before its extensions, and as it is with them."""
    plain = {key: value for key, value in spec.items() if key != STARTED}
    return [spec[STARTED], plain] if STARTED in spec else [plain]


def thaw(registry: Registry, sweep: str, number: int, seconds: float, who: str) -> None:
    """Let a paused or stopped trial train to its end."""
    known = ledger.sweep(registry, sweep)
    trials = {trial.number: trial for trial in ledger.trials(registry, sweep)}
    if number not in trials:
        raise NotFound("--thaw", f"{sweep} has no trial {number}; accepted: 1 to {len(trials)}")
    if (status := trials[number].status) not in ("paused", "stopped"):
        raise InvalidInput("--thaw", f"trial {number} is {status}; accepted: one that is paused or stopped")
    lease = _take(registry, known, seconds, who)
    extensions.thaw(registry, lease, number)
    ledger.end(registry, lease, "interrupted")


def retry(registry: Registry, sweep: str, seconds: float, who: str) -> int:
    """Let the failed trials resume from their stored state; returns their number."""
    known, trials = ledger.sweep(registry, sweep), ledger.trials(registry, sweep)
    failed = [trial.number for trial in trials if trial.status == "failed"]
    if not failed:
        raise InvalidInput("--failed", f"no trial of {sweep} has failed")
    lease = _take(registry, known, seconds, who)
    extensions.retry(registry, lease, failed)
    ledger.end(registry, lease, "interrupted")
    return len(failed)


def _take(registry: Registry, known: Sweep, seconds: float, who: str) -> Lease:
    """Take over a sweep to extend it, if no other process has extended it since it was read."""
    return leases.take(registry, known.id, seconds, who, "extended", expect=known.holding)


def _extended(spec: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A checked spec for the ledger with these changes."""
    changed = {**spec, **changes, STARTED: forms(spec)[0]}
    specs.stored(changed)
    return changed


def _more_epochs(spec: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The keys of a spec that set epochs, increased by `count`."""
    default = RunConfig.model_fields["epochs"].default
    changes: dict[str, Any] = {"run": {**spec["run"], "epochs": spec["run"].get("epochs", default) + count}}
    if "runs" in spec:
        changes["runs"] = [{**run, "epochs": run["epochs"] + count} if "epochs" in run else run for run in spec["runs"]]
    return changes


def _check_horizon(known: Sweep, spec: SweepSpec, trials: Sequence[Trial]) -> None:
    """Refuse a sweep whose results so far depend on the total number of epochs."""
    if known.standing != "finished":
        raise InvalidInput("--epochs", f"{known.id} is {known.standing}; accepted: a sweep that is finished")
    if "epochs" in (spec.space or {}):
        raise InvalidInput("--epochs", "applies only where epochs is not a key of space")
    for trial in trials:
        epochs, every = trial.config["epochs"], trial.config["measure_every"]
        if (name := trial.config["schedule"]["name"]) != "constant":
            raise InvalidInput(
                "--epochs",
                f"requires a constant learning rate; schedule.name of trial {trial.number} is {name}",
            )
        if epochs % every:
            raise InvalidInput(
                "--epochs",
                f"requires epochs divisible by measure_every; trial {trial.number} has {epochs} and {every}",
            )
        if spec.probe and epochs == 1:
            raise InvalidInput("--epochs", "requires 2 epochs or more with probe; the sweep has 1")


def _stopped_early(trial: Trial, objective: Objective) -> bool:
    """Whether early stopping, and not the number of epochs, has ended a trial."""
    from training.progress import Progress  # imports torch

    if (stopping := trial.config["early_stopping"]) is None:
        return False
    progress = Progress(objective, chooses=objective.metric in trial.reports[-1].metrics)
    history = [{"epoch": report.epoch, **report.metrics} for report in trial.reports if report.epoch]
    progress.restore(history, {})
    return progress.stopped(EarlyStopping.model_validate(stopping))


_STATUS: dict[Answer, str] = {"go on": "interrupted", "pause": "paused", "stop": "stopped"}
"""The status of a finished trial that trains longer, by the decision after its last epoch."""
