"""The drill itself: traffic and labels step by step, with a check of the watch after each."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.core import Registry
from tailorbird.drift import transport
from tailorbird.drift.policy import Policy
from tailorbird.drill.endpoint import Endpoint
from tailorbird.drill.traffic import Traffic
from tailorbird.watch.counters import Counters
from tailorbird.watch.counters import Endpoint as Metrics
from tailorbird.watch.look import Look, Watch

SIZE = 100
"""Images per step, which stands for a minute."""
CLEAN, SPOILED = 12, 28
WINDOW = transport.ANSWERS // SIZE
POLICY = Policy(labels="roll_back", window=WINDOW, every=1, predictions=500).model_copy(update={"cool_down": WINDOW})
"""A step is shorter than a minute, and labels have real times, so they stay in the window."""
ALERTS = POLICY.model_copy(update={"labels": "alert"})
"""The policy for running endpoints: a drill never moves their aliases."""


@dataclass(frozen=True)
class Step:
    """The true accuracy in a step, and the watch's judgement up to then; shares are from 0 to 1."""

    minute: int
    spoiled: bool
    version: int
    accuracy: float
    state: str
    action: str
    estimates: dict[str, float | None]
    labelled: float | None
    low: float | None
    high: float | None

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """The step in readable form."""
        values = ((name, value) for name, value in self.estimates.items() if value is not None)
        estimates = ", ".join(f"{name} {value:.1%}" for name, value in values) or "none"
        labelled = "" if self.labelled is None else f"; labels {self.labelled:.1%} ({self.low:.1%} to {self.high:.1%})"
        what = f"{self.state}, {self.action}; version {self.version} is right in {self.accuracy:.0%}"
        return f"minute {self.minute}: {what}; estimates {estimates}{labelled}"


class Drill:
    """One drill: an endpoint with its registry, and its traffic."""

    def __init__(self, registry: Registry, endpoint: Endpoint, traffic: Traffic, model: str, policy: Policy) -> None:
        self._endpoint = endpoint
        self._traffic = traffic
        self._model = model
        self._classes = traffic.classes
        self._began, self._minute = datetime.now(UTC), -WINDOW
        self._metrics = Metrics(f"{endpoint.url}/metrics", endpoint.token, clock=lambda: 60.0 * self._minute)
        self._watch = Watch(registry, self, model, policy)
        self._recent: deque[NDArray[np.float64]] = deque(maxlen=WINDOW)
        self._mix = traffic.mix
        self._waiting: deque[tuple[int, list[tuple[str, str]]]] = deque()

    def steps(self) -> Iterator[Step]:
        """Send clean, then corrupted traffic, and check after each step."""
        self.read(self._model, self._endpoint.version(), self._classes, WINDOW)  # excludes earlier counts
        for self._minute in range(CLEAN + SPOILED):
            version, accuracy = self._send(self._minute >= CLEAN)
            look = self._watch.look(self._began + timedelta(minutes=self._minute))
            yield self._step(version, accuracy, look)
            if look.action.kind == "rolled back":
                self._endpoint.wait(1)

    def read(self, model: str, version: int, classes: Sequence[str], minutes: float) -> Counters:
        """The endpoint's counters, and its estimate of the last answers, which it would make within a real minute."""
        counters = self._metrics.read(model, version, classes, minutes)
        if len(self._recent) < WINDOW:
            return counters
        return replace(counters, mix_steady=transport.accuracy(np.concatenate(self._recent), self._mix))

    def _send(self, spoiled: bool) -> tuple[int, float]:
        """Send one batch, and the labels that are due; returns the version that answered, and its accuracy."""
        batch = self._traffic.batch(SIZE, spoiled)
        version, predictions = self._endpoint.predict(batch.inputs.tobytes())
        rows = [[row["probabilities"][name] for name in self._classes] for row in predictions]
        self._recent.append(np.array(rows))
        names = [self._classes[index] for index in batch.truth]
        chosen = self._traffic.labelled(np.array([row["confidence"] for row in predictions])).tolist()
        receipts = [row["receipt"] for row in predictions]
        labels = [pair for pair, wanted in zip(zip(receipts, names, strict=True), chosen, strict=True) if wanted]
        self._waiting.append((self._minute + self._traffic.delay, labels))
        while self._waiting and self._waiting[0][0] <= self._minute:
            self._endpoint.label(self._waiting.popleft()[1])
        return version, float(np.mean([row["label"] == name for row, name in zip(predictions, names, strict=True)]))

    def _step(self, version: int, accuracy: float, look: Look) -> Step:
        labelled = look.judgement.labelled
        return Step(
            minute=self._minute,
            spoiled=self._minute >= CLEAN,
            version=version,
            accuracy=accuracy,
            state=look.judgement.state,
            action=look.action.kind if look.changed else "none",
            estimates=dict(look.judgement.estimates),
            labelled=labelled.value if labelled else None,
            low=labelled.low if labelled else None,
            high=labelled.high if labelled else None,
        )
