import re
import secrets
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from registry import aliases, holds, judgements, schema, versions
from registry.databases import database
from registry.requests import Promotion

KEPT = ("versions", "deletions", "verdicts", "log", "moves", "holds", "judgements")


def described(connection):
    """Everything that a database says of its tables, names of constraints included."""
    result = sa.inspect(connection)
    return {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in result.get_columns(table)],
            "primary key": result.get_pk_constraint(table),
            "foreign keys": sorted(result.get_foreign_keys(table), key=str),
            "indexes": sorted(result.get_indexes(table), key=str),
            "unique": result.get_unique_constraints(table),
        }
        for table in result.get_table_names()
        if table != "alembic_version"
    }


def made_from_the_code(connection):
    """The same of tables that are made without migrations, beside those of the registry."""
    if connection.dialect.name == "sqlite":
        with sa.create_engine("sqlite://").begin() as other:
            schema.metadata.create_all(other)
            return described(other)
    name = f"made_{secrets.token_hex(6)}"
    connection.execute(sa.schema.CreateSchema(name))
    connection.execute(sa.text(f"SET LOCAL search_path = {name}"))
    schema.metadata.create_all(connection)
    return described(connection)


def test_the_migrations_make_the_tables_that_the_code_has(registry):
    with registry.atomic() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata) == []
        migrated = described(connection)
        assert migrated == made_from_the_code(connection)
        assert migrated.keys() == schema.metadata.tables.keys()


@pytest.fixture
def filled(registry, register):
    """A registry with a row in every table that is only added to."""
    for accuracy in (0.9, 0.95):
        register(registry, accuracy=accuracy)
    aliases.promote(registry, Promotion("fashion", 1, why="first", who="ada"))
    versions.delete(registry, "fashion", 2, why="not needed", who="ada")
    holds.hold(registry, "fashion", held=True, why="a look", who="ada")
    judgements.add(registry, "fashion", 1, state="drifted", action="none", reasons=[], evidence={}, who="ada")
    return registry


def contents(registry, table):
    with registry.reading() as connection:
        return connection.execute(sa.select(schema.metadata.tables[table])).all()


@pytest.mark.parametrize("change", ["UPDATE {} SET model = 'eve'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_rows_that_are_only_added_cannot_be_changed(filled, change):
    with filled.reading() as connection:
        if connection.dialect.name == "sqlite" and change.startswith("TRUNCATE"):
            return  # which SQLite does not have
    for table in KEPT:
        before = contents(filled, table)
        assert before
        with pytest.raises(sa.exc.DBAPIError, match=r"rows of [a-z]+ are only added"), filled.atomic() as connection:
            connection.execute(sa.text(change.format(table)))
        assert contents(filled, table) == before


def test_the_newest_migration_is_the_one_that_the_code_expects(registry):
    script = ScriptDirectory(str(Path(database.__file__).parents[1] / "migrations"))
    assert script.get_heads() == [schema.REVISION]
    with registry.reading() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == schema.REVISION


def test_the_text_order_of_times_is_their_order():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    texts = [schema.timestamp(moment + timedelta(microseconds=n)) for n in (0, 1, 10, 999_999, 1_000_000)]
    assert texts == sorted(texts)
    assert texts[0] == "2026-01-02T03:04:05.000000Z"
    assert schema.timestamp(moment.astimezone(timezone(timedelta(hours=5)))) == texts[0]


def test_now_is_now_and_fits_its_column():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", schema.now())
    assert len(schema.now()) == schema.versions.c.created.type.length
    assert schema.timestamp(datetime.now(UTC) - timedelta(minutes=1)) < schema.now()
