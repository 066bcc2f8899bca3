"""`/feedback`: each label is validated, stored, and then counted."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry import schema, verification, versions
from registry.core import Registry
from registry.feedback import Feedback, Outcome
from registry.names import Reference
from serving import bodies
from serving.commits import Commits
from serving.metrics import Metrics, shown
from serving.pools import Pools
from serving.problems import Problem
from serving.receipts import BadReceipt, Receipt, Receipts
from tailorbird import bins
from tailorbird import classes as class_names
from tailorbird.errors import NotFound, Unavailable

LOOKUP_SECONDS = 5
MOST_LABELS = 1_000
"""The most labels of one request: judging them takes the event loop some 5 ms."""


@dataclass(frozen=True)
class Judged:
    """An accepted receipt with its label, and the classes that its version knows."""

    receipt: Receipt
    label: str
    classes: Sequence[str]

    @property
    def predicted(self) -> str:
        return self.classes[self.receipt.class_index]

    @property
    def confidence_bin(self) -> str:
        return bins.LABELS[self.receipt.confidence_bin]


class Labels:
    """Accepts labels for the predictions of one model, from all of its versions.

    `accepted` is called for each new label, after it is committed.
    """

    def __init__(
        self,
        registry: Registry,
        model: str,
        receipts: Receipts,
        metrics: Metrics,
        pools: Pools,
        accepted: Callable[[Judged], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._model = model
        self._receipts = receipts
        self._metrics = metrics
        self._lookups = pools.registry
        self._accepted = accepted
        self._commits = Commits(registry, pools.feedback)
        self._classes: dict[int, Sequence[str]] = {}

    def know(self, version: int, classes: Sequence[str]) -> None:
        """Remember the classes of a version, which saves a query to the registry."""
        self._classes[version] = classes

    async def take(self, labels: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The response for pairs of receipt and label; raises Unavailable if they cannot be stored."""
        judged: list[Judged] = []
        reasons: list[dict[str, Any]] = []
        for index, (receipt, label) in enumerate(labels):
            try:
                judged.append(await self._judge(receipt, label))
            except BadReceipt as error:
                reasons.append({"index": index, "reason": error.reason, "detail": str(error)})
        outcomes: list[Outcome] = []
        if judged:
            rows = [self._row(label) for label in judged]
            outcomes = await self._commits.record(rows, lambda outcomes: self._count(judged, outcomes))
        for reason in reasons:
            self._metrics.feedback_rejected.labels(reason["reason"]).inc()
        counts = Counter(outcomes)
        return {
            **{outcome: counts[outcome] for outcome in ("accepted", "duplicate", "conflict")},
            "rejected": len(reasons),
            "reasons": reasons,
        }

    async def _judge(self, text: str, label: str) -> Judged:
        receipt = self._receipts.read(text)
        classes = self._classes.get(receipt.version)
        if classes is None:
            classes = await self._lookup(receipt.version)
            self._classes[receipt.version] = classes
        name = class_names.normal(label)
        if name not in classes:
            raise BadReceipt("label", f"{bodies.shown(label)} is not a class of {self._model}:{receipt.version}")
        return Judged(receipt, name, classes)

    async def _lookup(self, number: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await self._lookups.run(lambda: self._classes_of(number))
        except TimeoutError:
            raise Unavailable(f"the registry did not answer within {LOOKUP_SECONDS} s") from None

    def _classes_of(self, number: int) -> Sequence[str]:
        try:
            version = versions.resolve(self._registry, Reference(self._model, number))
        except NotFound:
            raise BadReceipt("version", f"{self._model}:{number} is no longer in the registry") from None
        return verification.signature(self._registry, version).classes

    def _row(self, judged: Judged) -> Feedback:
        receipt = judged.receipt
        return Feedback(
            receipt=receipt.id,
            model=self._model,
            version=receipt.version,
            predicted=judged.predicted,
            confidence_bin=judged.confidence_bin,
            label=judged.label,
            predicted_at=schema.timestamp(datetime.fromtimestamp(receipt.time, UTC)),
        )

    def _count(self, judged: Sequence[Judged], outcomes: Sequence[Outcome]) -> None:
        for label, outcome in zip(judged, outcomes, strict=True):
            if outcome != "accepted":
                self._metrics.feedback_rejected.labels(outcome).inc()
                continue
            self._metrics.feedback.labels(
                self._model,
                label.receipt.version,
                shown(label.classes, label.receipt.class_index),
                label.confidence_bin,
                "correct" if label.predicted == label.label else "incorrect",
            ).inc()
            self._accepted(label)


def parse(body: bytes) -> list[tuple[str, str]]:
    """The pairs of `{"labels": [{"receipt", "label"}, …]}`; raises Problem 400 or 422."""
    labels = bodies.parse(body, "labels")
    if len(labels) > MOST_LABELS:
        raise Problem(422, f"labels is {bodies.shown(labels)}; accepted: {MOST_LABELS} in one request")
    return [_pair(label, f"labels[{index}]") for index, label in enumerate(labels)]


def _pair(value: Any, name: str) -> tuple[str, str]:
    receipt, label = bodies.members(value, name, "receipt", "label")
    for key, text in (("receipt", receipt), ("label", label)):
        if not isinstance(text, str):
            raise Problem(422, f"{name}.{key} is {bodies.shown(text)}; accepted: a string")
    return receipt, label
