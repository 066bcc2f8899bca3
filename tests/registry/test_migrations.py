"""Upgrades of what earlier releases left: `released/REVISION.KIND.sql` is a dump of such a database with data.

A dump is made once, by the code of its release, and not changed afterwards.
"""

import io
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from registry import aliases, feedback, garbage, history, ledger, packages, schema, versions
from registry.core import Registry
from registry.databases import database
from registry.databases.database import connect, open_database
from registry.feedback import Feedback
from registry.ledger import Report
from tailorbird.errors import NotFound, Unavailable
from tailorbird.settings import SQLITE, Settings

RELEASED = Path(__file__).parent / "released"
REVISIONS = sorted({path.name.partition(".")[0] for path in RELEASED.iterdir()})
WEIGHTS = {("fashion", 1): (0.5, b"one"), ("fashion", 2): (0.6, b"two"), ("fashion", 3): (0.2, b"three")}
WEIGHTS |= {("letters", 1): (0.9, b"l"), ("unused", 1): (0.9, b"u")}


def test_every_earlier_schema_has_its_dumps():
    earlier = [f"{number:04}" for number in range(1, int(schema.REVISION))]
    assert earlier == REVISIONS
    assert sorted(path.name for path in RELEASED.iterdir()) == [
        f"{revision}.{kind}.sql" for revision in earlier for kind in ("postgresql", "sqlite")
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture(params=REVISIONS)
def revision(request):
    return request.param


@pytest.fixture
def url(kind, revision, request, tmp_path):
    """The URL of a database as a release left it."""
    dump = (RELEASED / f"{revision}.{kind}.sql").read_text()
    if kind == "sqlite":
        (tmp_path / "home").mkdir()
        with closing(sqlite3.connect(tmp_path / "home" / "tailorbird.db")) as connection:
            connection.executescript(dump)
        return f"{SQLITE}{tmp_path}/home/tailorbird.db"
    server = request.getfixturevalue("postgres")
    made = server.empty()
    server.execute(dump, made.rpartition("/")[2])
    return made


@pytest.fixture
def before(url):
    """What was there, by table, as the driver gives it."""
    return rows(url)


@pytest.fixture
def upgraded(url, before, tmp_path):
    with closing(connect(url)) as opened:
        opened.migrate()
    with Registry(Settings(home=tmp_path / "home", database_url=url, _env_file=None)) as registry:
        yield registry


def rows(url):
    with closing(connect(url)) as opened, opened.reading() as connection:
        found = sa.MetaData()
        found.reflect(connection)
        return {
            table.name: [
                dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in found.sorted_tables
        }


def released_package(accuracy, weights):
    """The files of a version in the dumps; the first release kept no labels in `heldout.npy`."""
    signature = {"kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["cat", "dog"]}
    baseline = {"accuracy": accuracy, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8, "samples": 50}}
    records = np.zeros(100, [("id", "u1", (16,)), ("probabilities", "<f4", (2,))])
    records["id"][:, 0] = np.arange(100)
    records["probabilities"] = [0.75, 0.25]
    heldout = io.BytesIO()
    np.save(heldout, records, allow_pickle=False)
    return {
        **dict.fromkeys(packages.REQUIRED, b"the same in every package"),
        "model.onnx": b"a model with " + weights,
        "checkpoint.safetensors": weights,
        "signature.json": json.dumps(signature).encode(),
        "baseline.json": json.dumps(baseline).encode(),
        "heldout.npy": heldout.getvalue(),
    }


@pytest.fixture
def stored(upgraded):
    """The upgraded registry with the files of its versions, which no dump of a database holds."""
    for version in versions.every(upgraded):
        about = {key: getattr(version, key) for key in ("model", "created", "evidence", "lineage")}
        files = released_package(*WEIGHTS[version.model, version.number])
        assert packages.put(upgraded.blobs, files, about) == version.manifest
    return upgraded


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


# --- everything is kept


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_every_row_is_there_as_it_was(upgraded, before, url):
    after = rows(url)
    assert after.pop("alembic_version") == [{"version_num": schema.REVISION}]
    del before["alembic_version"]
    assert repr(after) == repr(before) and all(after.values())  # NaN is not equal to itself


FIRST = pytest.mark.parametrize("revision", ["0001"])


@FIRST
def test_every_row_of_the_first_release_is_there_as_it_was(upgraded, before, url):
    after = rows(url)
    assert after.pop("alembic_version") == [{"version_num": schema.REVISION}]
    assert [without(row, "signature") for row in after["versions"]] == before["versions"]
    assert {row["signature"] for row in after["versions"]} == {None}
    for table in ("models", "aliases", "sweeps", "trials", "feedback"):
        assert after[table] == before[table] and before[table]
    assert repr(after["reports"]) == repr(before["reports"])  # NaN is not equal to itself
    assert all(after[table] == [] for table in ("deletions", "tags", "holds", "outbox"))


@FIRST
def test_the_history_tells_the_same_story(upgraded, before):
    for model in ("fashion", "letters"):
        old = [row for row in reversed(before["moves"]) if row["model"] == model]
        new = history.moves(upgraded, model)
        assert [without(move.record(), "gates", "kind") for move in new] == [without(row, "verdict") for row in old]
        assert [move.reasons for move in new] == [row["verdict"]["reasons"] for row in old]
        assert {move.kind for move in new} == {"promote"}
    forced = next(move for move in history.moves(upgraded, "fashion") if move.forced)
    assert len(forced.reasons) == 2 and forced.why == "I know: what I do\nand why"
    with pytest.raises(NotFound):
        history.moves(upgraded, "nothing")
    assert history.moves(upgraded, "unused") == []


@FIRST
def test_verdicts_say_what_the_rows_of_moves_said(upgraded, before, url):
    verdicts = {row["id"]: row for row in rows(url)["verdicts"]}
    moves = rows(url)["moves"]
    assert len(verdicts) == len(moves) == len(before["moves"])
    for move, old in zip(moves, before["moves"], strict=True):
        verdict = verdicts[move["verdict"]]
        told = (
            verdict["model"],
            verdict["number"],
            verdict["alias"],
            verdict["holder"],
            verdict["who"],
            verdict["judged"],
        )
        assert told == tuple(old[name] for name in ("model", "to_number", "alias", "from_number", "who", "moved"))
        assert verdict["passed"] == old["verdict"]["passed"]


def test_a_metric_that_was_no_number_is_still_none(upgraded):
    """The first release wrote NaN into SQLite as Python does; its rows stay, and are read."""
    [*_, report] = ledger.trials(upgraded, "fashion-1")[2].reports
    assert math.isnan(report.metrics["val_loss"]) and not math.isfinite(report.metrics["train_loss"])
    assert report.metrics["lr"] == 5e-324


def test_the_upgraded_tables_are_those_of_a_new_database(upgraded, kind, tmp_path, request):
    fresh = f"{SQLITE}{tmp_path}/fresh.db" if kind == "sqlite" else request.getfixturevalue("postgres").database()
    shapes = []
    for url in (fresh, upgraded.settings.database):
        with closing(open_database(url)) as opened, opened.reading() as connection:
            if kind == "sqlite":
                found = connection.execute(sa.text("SELECT type, name, sql FROM sqlite_master ORDER BY name")).all()
            else:
                found = [
                    connection.execute(sa.text(statement)).all()
                    for statement in (
                        "SELECT relname, relkind, relacl::text, pg_get_userbyid(relowner) FROM pg_class "
                        "WHERE relnamespace = 'public'::regnamespace ORDER BY relname",
                        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                        "WHERE connamespace = 'public'::regnamespace ORDER BY conname",
                        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname",
                    )
                ]
            shapes.append(found)
    assert shapes[0] == shapes[1]


# --- and life goes on


def test_versions_of_before_verify(stored):
    assert [str(version) for version in versions.every(stored, "fashion")] == ["fashion:3", "fashion:2", "fashion:1"]
    for version in versions.every(stored):
        assert versions.verify(stored, version) == []
    assert versions.resolve(stored, "fashion").number == 2
    assert versions.resolve(stored, "fashion@challenger").number == 2
    assert garbage.collect(stored, age=-garbage.AGE).deleted == 0


def test_aliases_move_on_and_back(stored, register, before):
    with stored.reading() as connection:
        assert [*history.earlier(connection, "fashion", "champion")] == [3, 1]
    back = aliases.rollback(stored, "fashion", to=1, why="as it was", who="ada")
    assert (back.kind, back.from_number, back.to_number) == ("rollback", 2, 1)
    assert back.id > max(row["id"] for row in before["moves"])
    assert register(stored, accuracy=0.95).number == 4
    moved = aliases.promote(stored, "fashion", 4, why="newer", who="ada", expected=1, force=True)
    assert moved.id == back.id + 1
    assert [move.to_number for move in history.moves(stored, "fashion")][:3] == [4, 1, 2]
    assert register(stored, "letters").number == 2 and register(stored, "new").number == 1


def test_what_could_be_rolled_back_to_is_kept(stored):
    with pytest.raises(Exception, match="could be rolled back to it"):
        versions.delete(stored, "fashion", 3, why="bad", who="ada")
    versions.delete(stored, "unused", 1, why="unused", who="ada")
    with pytest.raises(NotFound):
        versions.resolve(stored, "unused:1")


def test_sweeps_and_feedback_go_on(upgraded):
    assert [sweep.status for sweep in ledger.sweeps(upgraded)] == ["running", "failed", "finished"]
    ledger.report(upgraded, "letters-3", 2, Report(1, {"val_loss": 0.25}))
    ledger.end(upgraded, "letters-3", "finished")
    assert [trial.status for trial in ledger.trials(upgraded, "letters-3")] == ["interrupted", "pending"]
    known = Feedback(f"{1:032x}", "fashion", 2, "cat", "0.9", label="dog", predicted_at=schema.now())
    assert feedback.record(upgraded, [known]) == ["duplicate"]


# --- how it is done


def test_opening_upgrades_sqlite_and_tells_postgresql_how(url, kind, revision, tmp_path):
    if kind == "postgresql":
        with pytest.raises(Unavailable, match="`tailorbird registry migrate` brings it up to date"):
            open_database(url)
    else:
        open_database(url).close()
        backup = tmp_path / "home" / f"tailorbird.db.{revision}.backup"
        assert [row["id"] for row in rows(f"{SQLITE}{backup}")["moves"]] == [1, 2, 3, 4, 5, 6]
        with closing(sqlite3.connect(tmp_path / "home" / "tailorbird.db")) as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_of_many_that_upgrade_at_once_one_does(url, revision, race):
    def upgrade(_):
        with closing(connect(url)) as opened:
            return opened.migrate()

    came = race(upgrade, 4)
    assert sorted(came, key=str) == [revision, *[schema.REVISION] * 3]
    assert len(rows(url)["moves"]) == 6


def test_an_upgrade_that_fails_leaves_everything_as_it_was(url, before, monkeypatch):
    upgrade = database._upgrade

    def fail(connection):
        upgrade(connection)
        raise KeyError

    monkeypatch.setattr(database, "_upgrade", fail)
    with closing(connect(url)) as opened, pytest.raises(KeyError):
        opened.migrate()
    assert repr(rows(url)) == repr(before)
