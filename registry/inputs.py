"""Inputs that an endpoint kept, if it is set to: examples by the id of their receipt, for a limited time."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from registry import names, schema
from registry.core import Registry

PAGE = 500


@dataclass(frozen=True)
class Input:
    """An example in the form of the model's input: row by row, in the signature's type."""

    receipt: str
    model: str
    version: int
    example: bytes


@dataclass(frozen=True)
class Labelled:
    """An input with its true label."""

    receipt: str
    version: int
    example: bytes
    label: str


def keep(registry: Registry, inputs: Sequence[Input], most: int, days: float) -> None:
    """Commit inputs of one model, and delete those older than `days` or beyond the newest `most`."""
    table, kept = schema.inputs, schema.now()
    with registry.atomic("inputs") as connection:
        connection.execute(table.insert(), [asdict(example) | {"kept": kept} for example in inputs])
        mine = table.c.model == inputs[0].model
        newest_beyond = connection.scalar(
            sa.select(table.c.kept).where(mine).order_by(table.c.kept.desc(), table.c.receipt).offset(most).limit(1)
        )
        connection.execute(table.delete().where(mine, table.c.kept <= max(_oldest(days), newest_beyond or "")))


def expire(registry: Registry, model: str, days: float) -> None:
    """Delete a model's inputs older than `days`."""
    table = schema.inputs
    with registry.atomic("inputs") as connection:
        connection.execute(table.delete().where(table.c.model == model, table.c.kept <= _oldest(days)))


def labelled(registry: Registry, model: str) -> Iterator[Labelled]:
    """The kept inputs of a model whose true label is known, by receipt."""
    table, labels = schema.inputs, schema.feedback
    columns = table.c.receipt, table.c.version, table.c.example, labels.c.label
    query = sa.select(*columns).join(labels, labels.c.receipt == table.c.receipt)
    query = query.where(table.c.model == names.check("model", model)).order_by(table.c.receipt)
    with registry.reading() as connection:
        for row in connection.execute(query.execution_options(yield_per=PAGE)):
            yield Labelled(*row)


def forget(registry: Registry, model: str) -> int:
    """Delete all kept inputs of a model; returns their number."""
    with registry.atomic("inputs") as connection:
        return connection.execute(schema.inputs.delete().filter_by(model=names.check("model", model))).rowcount


def _oldest(days: float) -> str:
    return schema.timestamp(datetime.now(UTC) - timedelta(days=days))
