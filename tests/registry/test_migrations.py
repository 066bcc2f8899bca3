"""Upgrades: a registry with something in every table, under the code of a made-up later release."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from registry import aliases, feedback, holds, inputs, judgements, schema, verification, versions
from registry.core import Registry
from registry.databases.opening import connect, open_database
from registry.feedback import Feedback
from registry.inputs import Input
from registry.ledger import Report
from registry.requests import Promotion, Rollback
from tailorbird.errors import Unavailable
from tests import sweeps
from tests.migrations import LATER, REVISION, install


@pytest.fixture
def filled(make_settings, register):
    """Settings of a registry that has been in use."""
    hooks = {"webhooks": ("http://127.0.0.1:9/",), "webhook_key": SecretStr("0123456789abcdef")}
    settings = make_settings().model_copy(update=hooks)
    with Registry(settings) as registry:
        for accuracy in (0.9, 0.95, 0.96):
            register(registry, accuracy=accuracy)
        for number in (1, 2):
            aliases.promote(registry, Promotion("fashion", number, why="better", who="ada"))
        versions.tag(registry, versions.resolve(registry, "fashion:1"), {"team": "vision"})
        versions.delete(registry, "fashion", 3, why="not needed", who="ada")
        holds.hold(registry, "fashion", held=True, why="a look", who="ada")
        judgements.add(
            registry, "fashion", 1, state="drifted", action="alert", reasons=["low"], evidence={"n": 9}, who="ada"
        )
        sweeps.begin(registry, "fashion-1", {"trials": 1}, [{"lr": 0.1}], champion=1, who="ada")
        sweeps.report(registry, "fashion-1", 1, Report(1, {"val_loss": float("nan"), "lr": 5e-324}))
        sweeps.set_trial(registry, "fashion-1", 1, "failed", "the loss is no number")
        feedback.record(registry, [Feedback("0" * 32, "fashion", 1, "cat", "0.9", "dog", schema.now())])
        inputs.keep(registry, [Input("0" * 32, "fashion", 1, b"\x00\xff")], most=10, days=1)
    return settings


@pytest.fixture
def later_release(monkeypatch, tmp_path):
    return lambda then="": install(monkeypatch, tmp_path / "later", then)


def rows(url):
    """What there is, by table, as the driver gives it."""
    with closing(connect(url)) as opened, opened.reading() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {
            table.name: [
                dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in tables.sorted_tables
        }


def test_an_upgrade_keeps_every_row_and_does_nothing_twice(filled, later_release):
    before = rows(filled.database)
    assert all(before.values()) and before.keys() - {"alembic_version"} == schema.metadata.tables.keys()
    later_release()
    with closing(connect(filled.database)) as opened:
        assert opened.migrate() == REVISION
        assert opened.migrate() == LATER
    after = rows(filled.database)
    assert after["compatibility"].pop() == {"revision": LATER, "oldest": LATER}
    assert after.pop("notes") == [] and after.pop("alembic_version") == [{"version_num": LATER}]
    assert [row.pop("motto") for row in after["models"]] == ["onwards"]
    del before["alembic_version"]
    assert repr(after) == repr(before)  # NaN is not equal to itself


def test_the_registry_goes_on_after_an_upgrade(filled, later_release, register):
    later_release()
    with closing(connect(filled.database)) as opened:
        opened.migrate()
    with Registry(filled) as registry:
        assert verification.verify(registry, versions.resolve(registry, "fashion")) == []
        assert register(registry).number == 4
        assert aliases.rollback(registry, Rollback("fashion", why="as it was", who="ada")).to_number == 1
        sweeps.report(registry, "fashion-1", 1, Report(2, {"val_loss": 0.25}))
        with pytest.raises(sa.exc.DBAPIError, match="rows of moves are only added"), registry.atomic() as connection:
            connection.execute(schema.moves.delete())


def test_opening_upgrades_sqlite_after_a_backup_and_tells_postgresql_how(filled, later_release):
    later_release()
    if filled.database.startswith("postgresql"):
        with pytest.raises(Unavailable, match="run `tailorbird registry migrate`"):
            open_database(filled.database)
        assert "notes" not in rows(filled.database)
    else:
        open_database(filled.database).close()
        path = Path(filled.home) / "tailorbird.db"
        with closing(sqlite3.connect(path.with_name(f"tailorbird.db.{REVISION}.backup"))) as backup:
            assert backup.execute("SELECT to_number FROM moves ORDER BY id").fetchall() == [(1,), (2,)]
            assert backup.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISION,)
        with closing(sqlite3.connect(path)) as upgraded:
            assert upgraded.execute("PRAGMA foreign_key_check").fetchall() == []
            assert upgraded.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_of_many_that_upgrade_at_once_one_does(filled, later_release, race):
    def upgrade(_):
        with closing(connect(filled.database)) as opened:
            return opened.migrate()

    later_release()
    assert sorted(race(upgrade, 4)) == [REVISION, *[LATER] * 3]


def test_an_upgrade_that_fails_leaves_everything_as_it_was(filled, later_release):
    before = rows(filled.database)
    later_release("raise KeyError")
    with closing(connect(filled.database)) as opened, pytest.raises(KeyError):
        opened.migrate()
    assert repr(rows(filled.database)) == repr(before)


@pytest.mark.parametrize("oldest", [REVISION, LATER])
def test_a_later_schema_is_for_the_releases_that_its_migration_names(filled, tmp_path, oldest):
    with pytest.MonkeyPatch.context() as later:
        install(later, tmp_path / "later", oldest=oldest)
        with closing(connect(filled.database)) as opened:
            opened.migrate()
    before = rows(filled.database)
    if oldest == REVISION:
        with Registry(filled) as registry:
            assert registry.database.migrate() == LATER
            assert aliases.rollback(registry, Rollback("fashion", why="as it was", who="ada")).to_number == 1
    else:
        message = f"has schema {LATER}, newer than the {REVISION} of this release, which does not support it"
        with pytest.raises(Unavailable, match=message):
            open_database(filled.database)
        assert repr(rows(filled.database)) == repr(before)
