"""True labels of predictions, one row for each receipt."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import sqlalchemy as sa

from registry import schema
from registry.core import Registry

CHUNK = 10_000  # SQLite accepts 32,766 variables in one statement

MOST_MARKS = 100_000
"""The most labels read in order of arrival; older ones are ignored."""

Outcome = Literal["accepted", "duplicate", "conflict"]


@dataclass(frozen=True)
class Feedback:
    """A label and the prediction that its receipt identifies; `receipt` is the receipt's id."""

    receipt: str
    model: str
    version: int
    predicted: str
    confidence_bin: str
    label: str
    predicted_at: str


def record(registry: Registry, labels: Sequence[Feedback]) -> list[Outcome]:
    """Commit labels in one transaction; for each, whether it is new, a repetition, or contradicts an earlier one."""
    table = schema.feedback
    outcomes: list[Outcome] = []
    received = schema.now()
    with registry.atomic("feedback") as connection:
        known: dict[str, str] = {}
        for start in range(0, len(labels), CHUNK):
            receipts = [label.receipt for label in labels[start : start + CHUNK]]
            query = sa.select(table.c.receipt, table.c.label).where(table.c.receipt.in_(receipts))
            known.update({row.receipt: row.label for row in connection.execute(query)})
        new = []
        for label in labels:
            if label.receipt not in known:
                new.append(asdict(label) | {"received": received})
                outcomes.append("accepted")
            else:
                outcomes.append("duplicate" if known[label.receipt] == label.label else "conflict")
            known.setdefault(label.receipt, label.label)
        if new:
            connection.execute(table.insert(), new)
    return outcomes


@dataclass(frozen=True)
class Cell:
    """The number of labels for predictions of one class and bin, and of those that agree."""

    predicted: str
    confidence_bin: str
    count: int
    correct: int


def cells(registry: Registry, model: str, version: int, *, since: str = "") -> list[Cell]:
    """The labels of a version by predicted class and confidence bin; `since` leaves out those received before it."""
    row = schema.feedback.c
    correct = sa.func.sum(sa.case((row.predicted == row.label, 1), else_=0))
    query = (
        sa.select(row.predicted, row.confidence_bin, sa.func.count(), correct)
        .where(row.model == model, row.version == version, row.received >= since)
        .group_by(row.predicted, row.confidence_bin)
    )
    with registry.asking() as connection:
        return [Cell(*row) for row in connection.execute(query)]


@dataclass(frozen=True)
class Mark:
    """One label in order of arrival: class and bin of the prediction, and whether it was wrong."""

    predicted: str
    confidence_bin: str
    wrong: bool


def marks(registry: Registry, model: str, version: int, *, since: str = "", limit: int = MOST_MARKS) -> list[Mark]:
    """The last labels of a version received since `since`, in order of arrival."""
    row = schema.feedback.c
    query = (
        sa.select(row.predicted, row.confidence_bin, row.predicted != row.label)
        .where(row.model == model, row.version == version, row.received >= since)
        .order_by(row.received.desc(), row.receipt.desc())
        .limit(limit)
    )
    with registry.asking() as connection:
        return [Mark(predicted, index, bool(wrong)) for predicted, index, wrong in connection.execute(query)][::-1]
