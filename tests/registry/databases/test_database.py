"""What holds for both databases."""

import math
import os
import signal
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa

from registry import schema
from registry.databases.database import encode
from registry.databases.opening import connect, open_database
from tailorbird.errors import Unavailable
from tailorbird.settings import POSTGRESQL, SQLITE
from tests.models import add_model, models


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture
def empty(kind, tmp_path, request):
    """The URL of a database in which nothing is yet."""
    if kind == "sqlite":
        return f"{SQLITE}{tmp_path}/home/tailorbird.db"
    return request.getfixturevalue("postgres").empty()


@pytest.fixture
def url(kind, tmp_path, request):
    """The URL of a database with this release's tables."""
    if kind == "postgresql":
        return request.getfixturevalue("postgres").database()
    url = f"{SQLITE}{tmp_path}/home/tailorbird.db"
    open_database(url).close()
    return url


@pytest.fixture
def database(url):
    with closing(open_database(url)) as opened:
        yield opened


def set_revision(opened, revision):
    with opened.atomic() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def revision(opened):
    with opened.reading() as connection:
        return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


# --- opening and migrating


def test_what_was_written_is_there_when_it_is_opened_again(url):
    for name in ("fashion", "letters"):
        with closing(open_database(url)) as opened, opened.atomic() as connection:
            add_model(connection, name)
    with closing(open_database(url)) as opened, closing(open_database(url)) as beside:
        assert models(opened) == models(beside) == ["fashion", "letters"]
        assert not opened.read_only


def test_migrating_says_what_there_was_and_does_nothing_twice(empty):
    with closing(connect(empty)) as opened:
        assert opened.migrate() is None
        with opened.atomic() as connection:
            add_model(connection)
        assert opened.migrate() == opened.migrate() == schema.REVISION
        assert models(opened) == ["fashion"]


def test_of_many_that_migrate_at_once_one_does(empty, race):
    def migrate(_):
        with closing(connect(empty)) as opened:
            return opened.migrate()

    assert sorted(race(migrate, 4), key=str) == [schema.REVISION] * 3 + [None]


def test_a_newer_schema_is_refused_and_left_alone(database, url):
    set_revision(database, "9999")
    message = (
        f"^the database .* has schema 9999, newer than the {schema.REVISION} of this release, which does not support "
        f"it: upgrade tailorbird$"
    )
    with pytest.raises(Unavailable, match=message):
        open_database(url)
    with pytest.raises(Unavailable, match=message):
        database.migrate()
    assert revision(database) == "9999"


def test_a_migration_that_fails_or_dies_leaves_nothing(empty, monkeypatch, race):
    from registry.databases import database as module

    upgrade = module._upgrade

    def fail(connection):
        upgrade(connection)
        raise KeyError

    def die(connection):
        upgrade(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    with closing(connect(empty)) as opened:
        monkeypatch.setattr(module, "_upgrade", fail)
        with pytest.raises(KeyError):
            opened.migrate()
    monkeypatch.setattr(module, "_upgrade", die)
    child = os.fork()
    if child == 0:
        connect(empty).migrate()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    monkeypatch.undo()
    with closing(connect(empty)) as opened:
        assert opened.migrate() is None


# --- writing and reading


def test_an_error_inside_leaves_no_trace(database):
    with pytest.raises(KeyError), database.atomic("fashion") as connection:
        add_model(connection)
        raise KeyError
    assert models(database) == []


def test_a_statement_that_fails_takes_all_of_its_transaction_with_it(database):
    with pytest.raises(sa.exc.IntegrityError), database.atomic() as connection:
        add_model(connection)
        add_model(connection, "letters")
        add_model(connection)
    assert models(database) == []


def test_a_reader_waits_for_no_writer_and_sees_what_was_committed(database):
    with database.atomic("fashion") as connection:
        add_model(connection)
        started = time.monotonic()
        assert models(database) == []
        assert time.monotonic() - started < 20
    assert models(database) == ["fashion"]


def test_a_writer_waits_for_no_reader_and_the_reader_keeps_its_moment(database):
    with database.reading() as reader:
        count = sa.select(sa.func.count()).select_from(schema.models)
        assert reader.scalar(count) == 0
        with database.atomic() as connection:
            add_model(connection)
        assert reader.scalar(count) == 0
        assert models(database) == ["fashion"]


def test_more_readers_at_once_than_a_pool_holds(database):
    readers = [database.reading() for _ in range(40)]
    connections = [reader.__enter__() for reader in readers]
    assert {connection.scalar(sa.text("SELECT 1")) for connection in connections} == {1}
    for reader in readers:
        reader.__exit__(None, None, None)


def test_a_defect_of_ours_is_not_called_unavailable(database):
    with pytest.raises(sa.exc.IntegrityError), database.atomic() as connection:
        connection.execute(schema.aliases.insert().values(model="nothing", alias="champion", number=1))
    for statement in ("SELECT nothing FROM models", "SELEKT"):
        with pytest.raises(sa.exc.DBAPIError) as defect, database.reading() as connection:
            connection.exec_driver_sql(statement)
        assert defect.traceback[-1].path.suffix == ".py" and not isinstance(defect.value, Unavailable)
    with pytest.raises(ZeroDivisionError), database.atomic():
        1 / 0  # noqa: B018


def test_a_client_that_is_killed_inside_leaves_no_trace_and_no_lock(url):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with open_database(url).atomic("fashion") as connection:
            add_model(connection)
            os.write(writer, b".")
            time.sleep(60)
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    started = time.monotonic()
    with closing(open_database(url)) as opened:
        with opened.atomic("fashion") as connection:
            add_model(connection, "letters")
        assert models(opened) == ["letters"]
    assert time.monotonic() - started < 20


# --- locks


def enters(database, lock, seconds=0.3):
    """Whether another writer with this lock comes in while the test is inside."""
    came = threading.Event()

    def write():
        with database.atomic(*lock):
            came.set()

    other = threading.Thread(target=write)
    other.start()
    entered = came.wait(seconds)
    return entered, other


@pytest.mark.parametrize(
    ("mine", "theirs", "together"),
    [
        (["a"], ["a"], False),
        (["a"], ["b"], True),
        (["a"], [], True),
        (["a", "x?"], ["b", "x?"], True),
        (["a", "x?"], ["x"], False),
        (["x"], ["a", "x?"], False),
        (["a?"], ["a?"], True),
        (["a", "b"], ["c", "b"], False),
    ],
)
def test_writers_wait_for_those_who_name_the_same_lock(database, kind, mine, theirs, together):
    with database.atomic(*mine):
        entered, other = enters(database, theirs, 3 if together and kind == "postgresql" else 0.3)
    assert entered == (together and kind == "postgresql")  # SQLite has one writer, whatever its lock is called
    other.join(10)
    assert not other.is_alive()


def test_writers_that_name_locks_in_any_order_never_wait_for_each_other_in_a_ring(url, race):
    orders = [["x?", "x0"], ["x0", "x"], ["x", "x0", "a"], ["a", "x?"]]

    def write(number):
        with closing(open_database(url)) as opened:
            for _ in range(25):
                with opened.atomic(*orders[number]) as connection:
                    add_model(connection, f"{number}-{time.monotonic_ns()}")
        return number

    assert sorted(race(write, 4), key=str) == [0, 1, 2, 3]
    with closing(open_database(url)) as opened:
        assert len(models(opened)) == 100


def test_no_update_is_lost(url, race):
    with closing(open_database(url)) as opened, opened.atomic() as connection:
        add_model(connection)

    def count(_):
        with closing(open_database(url)) as opened:
            for _ in range(25):
                with opened.atomic("fashion") as connection:
                    last = connection.scalar(sa.select(schema.models.c.last_number))
                    connection.execute(schema.models.update().values(last_number=last + 1))

    assert race(count, 4) == [None] * 4
    with closing(open_database(url)) as opened, opened.reading() as connection:
        assert connection.scalar(sa.select(schema.models.c.last_number)) == 100


# --- values


def test_json_comes_back_as_it_was_but_for_what_is_no_number(database):
    spec = {
        "text": "ä 字 \U0001f600 \x00 ' \" % :name",
        "least": 5e-324,
        "sum": 0.1 + 0.2,
        "long": 2**70,
        "none": None,
        "list": [1, [True, {}]],
    }
    odd = {"nan": math.nan, "list": [math.inf, (-math.inf, 1.5)]}
    with database.atomic() as connection:
        row = {"id": "s", "number": 1, "status": "running", "token": 1, "who": "ada", "created": schema.now()}
        connection.execute(schema.sweeps.insert().values(**row, spec={**spec, "odd": odd}))
    with database.reading() as connection:
        result = connection.scalar(sa.select(schema.sweeps.c.spec))
    assert result == {**spec, "odd": {"nan": None, "list": [None, [None, 1.5]]}}


def test_encode_leaves_what_it_is_given_as_it_is():
    changes = {"a": [math.nan, {"b": math.inf}]}
    assert encode(changes) == '{"a": [null, {"b": null}]}'
    assert math.isnan(changes["a"][0]) and changes["a"][1] == {"b": math.inf}
    with pytest.raises(TypeError):
        encode(object())


def test_what_a_url_names_is_what_is_opened(kind, url):
    with closing(open_database(url)) as opened:
        assert type(opened).__module__ == (f"registry.databases.{'sqlite' if kind == 'sqlite' else 'postgres'}")
        assert url.startswith(SQLITE if kind == "sqlite" else POSTGRESQL)
        assert opened.name == (url.removeprefix(SQLITE) if kind == "sqlite" else f"127.0.0.1/{url.rpartition('/')[2]}")
