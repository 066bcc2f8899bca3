import errno
import os
import resource
import shutil
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.databases import database, sqlite
from registry.databases.opening import connect, open_database
from tailorbird.errors import Unavailable
from tailorbird.settings import SQLITE
from tests.migrations import LATER, REVISION, install
from tests.models import add_model, models

NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "tailorbird.db"


def opening(path):
    return open_database(f"{SQLITE}{path}")


def filled(path):
    with closing(opening(path)) as opened, opened.atomic() as connection:
        add_model(connection)


def as_of_revision(path, revision):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


def revision_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


# --- opening


def test_a_new_database_is_made_with_its_folder(path):
    with closing(opening(path)) as opened:
        assert not opened.read_only and models(opened) == []
    assert [path.name for path in path.parent.iterdir()] == ["tailorbird.db"]


@pytest.mark.parametrize("name", ["with space.db", "50%.db", "what?mode=ro.db", "a#b.db", "ünï.db", "a:b@c.db"])
def test_a_path_may_hold_what_a_url_may_not(tmp_path, name):
    filled(tmp_path / name)
    assert (tmp_path / name).is_file()


def test_commits_are_flushed_and_foreign_keys_hold(path):
    with closing(opening(path)) as opened, opened.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_many_processes_may_open_a_new_database_at_once(tmp_path, race):
    for attempt in range(5):
        path = tmp_path / str(attempt) / "tailorbird.db"

        def opened(number, path=path):
            with closing(opening(path)) as mine:
                with mine.atomic() as connection:
                    add_model(connection, f"model{number}")
                return len(models(mine))

        came = race(opened, 4)
        assert sorted(came, key=str)[-1] == 4, came
        assert all(isinstance(outcome, int) for outcome in came), came


def test_a_new_database_that_another_process_makes_just_now_is_waited_for(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # a lock that SQLite's own timeout does not wait for when it turns to WAL
        timer = threading.Timer(0.3, other.rollback)
        timer.start()
        opening(path).close()
        timer.join()


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a poem\n" * 100, b"SQLite format 3\0" + b"\xff" * 4080]
)
def test_a_file_that_is_no_database_is_unavailable_and_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"home/tailorbird\.db cannot be used"):
        opening(path)
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_unavailable(path):
    path.mkdir(parents=True)
    with pytest.raises(Unavailable, match="unable to open"):
        opening(path)


def test_a_file_in_the_place_of_its_folder_is_unavailable(path):
    path.parent.write_text("")
    with pytest.raises(Unavailable, match=r"the folder .*/home of the database cannot be created"):
        opening(path)


def test_a_database_that_is_refused_is_not_held_open(path):
    filled(path)
    as_of_revision(path, LATER)
    with pytest.raises(Unavailable):
        opening(path)
    assert not [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink() and str(path) in str(one.readlink())]


# --- migrating


@pytest.fixture
def older(path, monkeypatch, tmp_path):
    """A database of this release under the code of a later one."""
    filled(path)
    install(monkeypatch, tmp_path / "later")
    return path


BACKUP = f"tailorbird.db.{REVISION}.backup"


def columns(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(models)")]


def test_an_older_schema_is_migrated_after_a_backup(older):
    with closing(opening(older)) as opened:
        assert models(opened) == ["fashion"]
    backup = older.with_name(BACKUP)
    assert revision_of(older) == LATER and "motto" in columns(older)
    assert revision_of(backup) == REVISION and "motto" not in columns(backup)
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT name FROM models").fetchall() == [("fashion",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_command_migrates_it_too(older):
    with closing(connect(f"{SQLITE}{older}")) as opened:
        assert opened.migrate() == REVISION
        assert opened.migrate() == LATER
    assert "motto" in columns(older)
    assert sorted(path.name for path in older.parent.iterdir()) == ["tailorbird.db", BACKUP]


def test_the_backup_holds_what_was_only_in_the_log(older):
    with closing(sqlite3.connect(older, isolation_level=None)) as other:
        other.execute("UPDATE models SET name = 'unmerged'")
        assert older.with_name("tailorbird.db-wal").stat().st_size > 0
        opening(older).close()
    with closing(sqlite3.connect(older.with_name(BACKUP))) as connection:
        assert connection.execute("SELECT name FROM models").fetchall() == [("unmerged",)]


def test_of_many_that_find_an_older_schema_one_migrates_it_and_its_backup_stays(older, race):
    came = race(lambda _: opening(older).close(), 4)
    assert came == [None] * 4
    assert columns(older).count("motto") == 1
    assert revision_of(older.with_name(BACKUP)) == REVISION


def test_a_migration_that_fails_leaves_the_database_and_its_backup(older, monkeypatch):
    def half(connection):
        connection.execute(sa.text("ALTER TABLE models ADD COLUMN motto TEXT"))
        connection.execute(sa.text("ALTER TABLE no_such ADD COLUMN motto TEXT"))

    monkeypatch.setattr(database, "_upgrade", half)
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        opening(older)
    assert revision_of(older) == REVISION and "motto" not in columns(older)
    assert sorted(path.name for path in older.parent.iterdir()) == ["tailorbird.db", BACKUP]


@pytest.mark.parametrize("call", ["mkdir", "replace", "fsync"])
def test_no_backup_no_migration(older, monkeypatch, call):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(Unavailable, match=r"tailorbird\.db\.\d+\.backup cannot be written: No space left on device"):
        opening(older)
    monkeypatch.undo()
    assert revision_of(older) == REVISION and "motto" not in columns(older)
    assert not [path for path in older.parent.iterdir() if path.is_dir()]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 9])
def test_a_first_opening_that_dies_at_any_point_leaves_a_database_that_opens(path, deaths, every):
    def first(step):
        shutil.rmtree(path.parent, ignore_errors=True)
        opening(path).close()

    def opens(_):
        with closing(opening(path)) as opened, opened.atomic() as connection:
            add_model(connection)

    assert deaths(first, opens, every) > 40 / every


# --- what is in the way


def test_a_second_writer_does_not_wait_for_ever(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(opening(path)) as opened, opened.atomic() as connection:
        add_model(connection)
        with pytest.raises(Unavailable, match="database is locked"), opened.atomic():
            pytest.fail("two writers at once")


def test_a_page_that_is_damaged_is_unavailable(path):
    filled(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(Unavailable, match=r"tailorbird\.db cannot be used: database disk image is malformed"):
        models(opening(path))


def test_a_full_disk_is_unavailable_and_what_was_there_stays(path, race):
    filled(path)

    def write(_):
        with closing(opening(path)) as opened:
            with opened.atomic() as connection:  # the log is there, and cannot grow
                add_model(connection, "before")
            log = path.with_name("tailorbird.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (log, log))
            try:
                with opened.atomic() as connection:
                    for n in range(1000):
                        add_model(connection, f"model{n}")
            except Unavailable as error:
                return str(error), models(opened)

    [(message, left)] = race(write, 1)
    assert message.startswith(f"the database {path} cannot be used: ")
    assert left == ["before", "fashion"]
    with closing(opening(path)) as opened:
        assert models(opened) == ["before", "fashion"]


# --- reading alone


@pytest.fixture
def read_only(monkeypatch):
    """Makes everything read-only from when it is called."""
    return lambda: monkeypatch.setattr(sqlite, "writable", lambda _: False)


def test_a_read_only_database_is_read_and_nothing_is_made_beside_it(path, read_only):
    filled(path)
    before = path.read_bytes()
    read_only()
    with closing(opening(path)) as opened:
        assert opened.read_only and models(opened) == ["fashion"]
        with pytest.raises(Unavailable, match=r"tailorbird\.db is read-only here"), opened.atomic():
            pytest.fail("written to")
        with pytest.raises(Unavailable, match=r"tailorbird\.db is read-only here"):
            opened.migrate()
        assert [path.name for path in path.parent.iterdir()] == ["tailorbird.db"]
    assert path.read_bytes() == before


def test_a_read_only_database_says_nothing_that_is_not_so_any_more(path, read_only):
    filled(path)
    with closing(opening(path)) as owner:
        read_only()
        with closing(opening(path)) as opened:
            assert models(opened) == ["fashion"]
            with owner.atomic() as connection:
                add_model(connection, "letters")
            with pytest.raises(Unavailable, match="holds writes that are not in it yet"):
                models(opened)
            owner.close()
            assert models(opened) == ["fashion", "letters"]


def test_a_read_only_folder_without_a_database_is_refused(path, read_only):
    read_only()
    with pytest.raises(Unavailable, match=r"there is no database at .*/home/tailorbird\.db"):
        opening(path)
    assert not path.parent.exists()


def test_a_read_only_database_beside_unmerged_writes_is_refused(path, read_only):
    with closing(opening(path)) as writer:
        with writer.atomic() as connection:
            add_model(connection)
        read_only()
        with pytest.raises(Unavailable, match=r"tailorbird\.db-wal holds writes that are not in it yet"):
            opening(path)
    path.with_name("tailorbird.db-wal").touch()  # empty, it holds nothing back
    with closing(opening(path)) as opened:
        assert models(opened) == ["fashion"]


@pytest.mark.parametrize(("revision", "how"), [("0000", "older"), (LATER, "newer")])
def test_a_read_only_database_of_another_schema_is_refused(path, read_only, revision, how):
    filled(path)
    as_of_revision(path, revision)
    read_only()
    with pytest.raises(Unavailable, match=f"has schema {revision}, {how} than the {REVISION} of this release"):
        opening(path)


def test_an_empty_read_only_file_is_refused(path, read_only):
    path.parent.mkdir()
    path.touch()
    read_only()
    with pytest.raises(Unavailable, match="has schema none, older than"):
        opening(path)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o644, 0o555), (0o444, 0o777), (0o444, 0o555)])
def test_permissions_decide_what_is_read_only(race, file_mode, folder_mode):
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "home" / "tailorbird.db"
        filled(path)
        Path(temporary).chmod(0o755)
        path.chmod(file_mode)
        path.parent.chmod(folder_mode)

        def open_as_nobody(_):
            os.setuid(NOBODY)
            with closing(opening(path)) as opened:
                return opened.read_only, models(opened)

        assert race(open_as_nobody, 1) == [(True, ["fashion"])]
