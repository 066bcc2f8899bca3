"""One check of a served model: read, judge, act, record what changed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from registry import judgements, schema, versions
from registry.core import Registry
from registry.names import Reference
from registry.version import Version
from tailorbird.drift import judgement as judging
from tailorbird.drift.judgement import Judgement, Known, Observed
from tailorbird.drift.policy import Policy
from tailorbird.watch import action, known
from tailorbird.watch.action import NOTHING, WHO, Action
from tailorbird.watch.counters import Counters, Source

STATUS = {"healthy": 0, "too little data": 11}
ACTED, BLIND = 10, 12
SINCE_START = "predictions are counted since the server started, not over the policy's window"


@dataclass(frozen=True)
class Look:
    """The result of a check of a version.

    `changed` says whether it differs from the last row of the history, `news` whether it or its notes differ,
    `since_start` whether predictions count from the start of the server instead of over the policy's window.
    """

    version: Version
    judgement: Judgement
    action: Action
    changed: bool
    news: bool
    since_start: bool

    @property
    def status(self) -> int:
        """The exit status of a watch that ends with this check."""
        return STATUS.get(self.judgement.state, ACTED)

    def reasons(self) -> list[str]:
        """The reasons of the state, the action and its notes, in sentences."""
        return [*self.judgement.reasons, *self.action.reasons, *self.judgement.notes, *[SINCE_START] * self.since_start]

    def record(self) -> dict[str, Any]:
        """The output of `--json`."""
        return {
            "model": self.version.model,
            "version": self.version.number,
            "state": self.judgement.state,
            "action": self.action.kind,
            "command": self.action.command,
            "reasons": self.reasons(),
            "evidence": self.judgement.evidence,
            "changed": self.changed,
        }


class Watch:
    """Checks the champion of `model`; without a source, only by labels."""

    def __init__(self, registry: Registry, source: Source | None, model: str, policy: Policy) -> None:
        self._registry = registry
        self._source = source
        self._model = model
        self._policy = policy
        self._known: tuple[int, Known] | None = None
        self._notes: tuple[str, ...] = ()

    def look(self, now: datetime | None = None) -> Look:
        """Judge and act; raises Unavailable, without a decision, if something cannot be read."""
        now = now or datetime.now(UTC)
        version = versions.resolve(self._registry, Reference(self._model))
        known = self._known_of(version)
        counters = self._counters(version, known)
        judgement = judging.judge(known, self._observed(version, known, counters, now), self._policy)
        acting = judgement.state in ("drifted", "suspected")
        done = action.take(self._registry, version, judgement, self._policy, now) if acting else NOTHING
        row = judgements.add(
            self._registry,
            version.model,
            version.number,
            state=judgement.state,
            action=done.kind,
            reasons=[*judgement.reasons, *done.reasons, *judgement.notes],
            evidence=judgement.evidence,
            who=WHO,
        )
        noted, self._notes = self._notes, judgement.notes
        changed = row is not None
        news = changed or noted != judgement.notes
        return Look(version, judgement, done, changed, news, counters.since_start)

    def _known_of(self, version: Version) -> Known:
        if self._known is None or self._known[0] != version.number:
            self._known = version.number, known.read(self._registry, version)
        return self._known[1]

    def _counters(self, version: Version, baseline: Known) -> Counters:
        if self._source is None:
            return Counters(np.zeros_like(baseline.count), None)
        return self._source.read(version.model, version.number, baseline.classes, self._policy.window)

    def _observed(self, version: Version, baseline: Known, counters: Counters, now: datetime) -> Observed:
        promoted = action.promoted(self._registry, version)
        since = max(promoted, schema.timestamp(now - timedelta(minutes=self._policy.label_window)))
        count, correct = known.labels(self._registry, version, baseline, since)
        evidence = known.evidence(self._registry, version, baseline, promoted)
        return Observed(counters.predictions, count, correct, evidence, counters.mix_steady)
