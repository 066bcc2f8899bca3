"""True labels that came back for predictions, one row a receipt."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import sqlalchemy as sa

from registry import schema
from registry.core import Registry

CHUNK = 10_000  # SQLite takes 32,766 variables in one statement

Outcome = Literal["accepted", "duplicate", "conflict"]


@dataclass(frozen=True)
class Feedback:
    """A label and what its receipt says of the prediction; `receipt` is the receipt's id."""

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
            receipts = [one.receipt for one in labels[start : start + CHUNK]]
            query = sa.select(table.c.receipt, table.c.label).where(table.c.receipt.in_(receipts))
            known.update({row.receipt: row.label for row in connection.execute(query)})
        new = []
        for one in labels:
            if one.receipt not in known:
                new.append(asdict(one) | {"received": received})
                outcomes.append("accepted")
            else:
                outcomes.append("duplicate" if known[one.receipt] == one.label else "conflict")
            known.setdefault(one.receipt, one.label)
        if new:
            connection.execute(table.insert(), new)
    return outcomes
