"""Rows of models, with which tests of databases try what is written, and what is there."""

import sqlalchemy as sa

from registry import schema
from registry.databases.database import Database


def add_model(connection: sa.Connection, name: str = "fashion") -> None:
    connection.execute(schema.models.insert().values(name=name, last_number=0, created=schema.now()))


def models(opened: Database) -> list[str]:
    with opened.reading() as connection:
        return sorted(connection.scalars(sa.select(schema.models.c.name)))
