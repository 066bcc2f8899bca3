"""The confirmation of a search: its best configs, and the trials that repeat them with other seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.ledger import Trial
from tuning import outcome
from tuning.spec import SweepSpec, seedless


@dataclass(frozen=True)
class Leader:
    """One of the best configs: its best trial, and the numbers of those that confirm it, in the order of all trials."""

    trial: Trial
    runs: list[int]


def leaders(spec: SweepSpec, trials: Sequence[Trial]) -> list[Leader]:
    """The best configs of the finished trials that were searched, best first, as many as the spec confirms.

    Their order is that of the sweep's outcome: by the weights that would be registered. After an extension they may be
    others than before. Their configs are distinct, so that a config keeps its confirming trials when another trial of
    it becomes the best.
    """
    if spec.confirm is None:
        return []
    confirming: dict[str, list[int]] = {}
    for trial in trials:
        if trial.confirms is not None:
            confirming.setdefault(seedless(trial.config), []).append(trial.number)
    finished = [trial for trial in trials if trial.confirms is None and trial.status == "finished"]
    best: dict[str, Leader] = {}
    for candidate in outcome.rank(finished, spec.objective):
        config = seedless(candidate.trial.config)
        best.setdefault(config, Leader(candidate.trial, confirming.get(config, [])))
        if len(best) == spec.confirm.top:
            break
    return list(best.values())
