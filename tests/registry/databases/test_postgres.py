"""What only PostgreSQL does: a server that goes and comes, logins and passwords, locks that are waited for."""

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from registry import garbage, packages, schema
from registry.core import Registry
from registry.databases import database as database_module
from registry.databases import postgres as module
from registry.databases.opening import connect, open_database
from tailorbird.errors import InvalidInput, TailorbirdError, Unavailable
from tailorbird.settings import POSTGRESQL, Settings
from tests.models import add_model, models
from tests.postgres import GUARDED, PASSWORD
from tests.waiting import BOUND_SECONDS, wait_for

SLOW = sa.text("SELECT pg_sleep(0.4)")


@pytest.fixture
def url(postgres):
    return postgres.database()


@pytest.fixture
def database(url):
    with closing(open_database(url)) as opened:
        yield opened


def setting(connection, name):
    return connection.scalar(sa.text(f"SHOW {name}"))


# --- the schema


@pytest.mark.parametrize("revision", [None, "0000"])
def test_an_older_schema_is_told_and_left_to_the_command(postgres, database, url, revision):
    if revision is None:
        url = postgres.empty()
    else:
        with database.atomic() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with pytest.raises(Unavailable) as refused:
        open_database(url)
    assert str(refused.value) == f"the database 127.0.0.1/{url.rpartition('/')[2]} " + (
        f"has schema {revision}, older than the {schema.REVISION} of this release: back it up, "
        "then run `tailorbird registry migrate`"
        if revision
        else "is empty: run `tailorbird registry migrate`"
    )
    with closing(connect(url)) as opened, opened.reading() as connection:
        assert sa.inspect(connection).has_table("models") == (revision is not None)


# --- the session


def test_a_session_waits_neither_for_a_lock_nor_for_its_client_without_end(database):
    for transaction in (database.atomic("a"), database.reading()):
        with transaction as connection:
            assert setting(connection, "lock_timeout") == "30s"
            assert setting(connection, "statement_timeout") == "2min"
            assert setting(connection, "idle_in_transaction_session_timeout") == "5min"
            assert setting(connection, "client_encoding") == "UTF8"
            assert setting(connection, "application_name") == "tailorbird"
            told = connection.connection.driver_connection.info.get_parameters()
            assert (told["connect_timeout"], told["keepalives_idle"]) == ("5", "30")


def test_a_migration_may_take_longer_than_other_statements(postgres, monkeypatch):
    monkeypatch.setattr(module, "SESSION", "SET statement_timeout = '200ms'")
    monkeypatch.setattr(database_module, "_upgrade", lambda connection: connection.execute(SLOW))
    with closing(connect(postgres.empty())) as opened:
        assert opened.migrate() is None
        with pytest.raises(Unavailable, match="statement timeout"), opened.asking() as connection:
            connection.execute(SLOW)


def test_what_the_url_says_comes_first(url):
    url += "?application_name=birds&connect_timeout=7"
    with closing(open_database(url)) as opened, opened.reading() as connection:
        assert setting(connection, "application_name") == "birds"
        assert connection.connection.driver_connection.info.get_parameters()["connect_timeout"] == "7"


def test_a_reader_cannot_write_and_its_connection_writes_afterwards(database):
    with pytest.raises(Unavailable, match="read-only transaction"), database.reading() as connection:
        add_model(connection)
    with database.atomic() as connection:
        assert setting(connection, "transaction_isolation") == "read committed"
        add_model(connection)
    assert models(database) == ["fashion"]


# --- locks


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(
        module, "SESSION", "SET lock_timeout = '100ms'; SET idle_in_transaction_session_timeout = '300ms'"
    )


def wait_for_end(connection):
    """Until the server speaks to a connection that has asked nothing, which is when it ends it."""
    assert select.select([connection.connection.driver_connection], [], [], BOUND_SECONDS)[0]


def test_a_lock_that_is_waited_for_too_long_is_told(url, impatient):
    with (
        closing(open_database(url)) as opened,
        opened.atomic("fashion"),
        pytest.raises(Unavailable) as caught,
        opened.atomic("fashion"),
    ):
        pytest.fail("two writers at once")
    assert str(caught.value).endswith(
        "cannot be used: timed out waiting for a lock (canceling statement due to lock timeout); try again"
    )


def test_two_that_wait_for_each_other_are_told(database):
    """Locks are taken in one order; rows need not be."""
    with database.atomic() as connection:
        add_model(connection, "a")
        add_model(connection, "b")
    barrier, came = threading.Barrier(2), []

    def write(names):
        try:
            with database.atomic() as connection:
                for name in names:
                    connection.execute(schema.models.update().filter_by(name=name).values(last_number=1))
                    if name == names[0]:
                        barrier.wait()
            came.append(None)
        except Unavailable as error:
            came.append(str(error))

    threads = [threading.Thread(target=write, args=[names]) for names in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [told] = [outcome for outcome in came if outcome]
    assert len(came) == 2 and told.endswith("cannot be used: deadlock detected")


@pytest.mark.parametrize("how", ["atomic", "reading"])
def test_a_transaction_that_was_idle_for_too_long_is_told_and_leaves_nothing(url, impatient, how):
    with closing(open_database(url)) as opened:
        message = "terminating connection due to idle-in-transaction timeout"
        with pytest.raises(Unavailable, match=message), getattr(opened, how)() as connection:
            if how == "atomic":
                add_model(connection)
            else:
                connection.execute(sa.text("SELECT 1"))
            wait_for_end(connection)
        assert models(opened) == []


def test_a_collection_may_read_manifests_for_longer_than_a_transaction_may_be_idle(
    url, impatient, tmp_path, register, monkeypatch
):
    with Registry(Settings(home=tmp_path, database_url=url, _env_file=None)) as registry:
        for weights in (b"one", b"two"):
            register(registry, weights=weights)
        read = packages.manifest

        def slowly(*arguments):
            time.sleep(0.4)
            return read(*arguments)

        monkeypatch.setattr(packages, "manifest", slowly)
        assert garbage.collect(registry, age=timedelta(0)).deleted == 0


# --- a server that is not there


@pytest.fixture
def restart(postgres):
    def stop_and_start():
        postgres.stop()
        postgres.start()

    return stop_and_start


def test_a_server_that_was_restarted_between_uses_is_not_noticed(database, restart):
    with database.atomic() as connection:
        add_model(connection)
    restart()
    assert models(database) == ["fashion"]
    restart()
    with database.atomic("fashion") as connection:
        add_model(connection, "letters")
    assert models(database) == ["fashion", "letters"]


def test_a_server_that_is_restarted_in_the_middle_is_told_and_leaves_nothing(database, restart):
    with pytest.raises(Unavailable, match="cannot be used: "), database.atomic("fashion") as connection:
        add_model(connection)
        restart()
        add_model(connection, "letters")
    assert models(database) == []
    with pytest.raises(Unavailable, match="cannot be used: "), database.atomic("fashion") as connection:
        add_model(connection)
        restart()  # before the commit
    with pytest.raises(Unavailable, match="cannot be used: "), database.reading() as connection:
        connection.execute(sa.text("SELECT 1"))
        restart()
        connection.execute(sa.text("SELECT 1"))
    with database.atomic("fashion") as connection:
        add_model(connection)
    assert models(database) == ["fashion"]


def test_a_server_that_is_stopped_is_told_and_is_found_again(postgres, database, url):
    postgres.stop()
    try:
        for use in (database.atomic, database.reading):
            with pytest.raises(Unavailable, match="Connection refused"), use():
                pytest.fail("there is no server")
        with pytest.raises(Unavailable, match="Connection refused"):
            open_database(url)
    finally:
        postgres.start()
    assert models(database) == []


def test_one_connection_that_is_ended_by_an_administrator(postgres, database):
    message = "terminating connection due to administrator command"
    with pytest.raises(Unavailable, match=message), database.atomic() as connection:
        add_model(connection)
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        wait_for_end(connection)
        connection.execute(sa.text("SELECT 1"))
    assert models(database) == []


def test_a_full_disk_is_told_and_what_was_there_stays(database):
    """As the server tells it; the disk of the tests is not filled."""
    with database.atomic() as connection:
        add_model(connection)
        connection.exec_driver_sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER full_disk AFTER INSERT ON models EXECUTE FUNCTION full_disk()")
    message = "cannot be used: could not extend file: No space left on device"
    with pytest.raises(Unavailable, match=message), database.atomic() as connection:
        add_model(connection, "letters")
    assert models(database) == ["fashion"]


def test_a_damaged_file_is_told(postgres, database):
    with database.atomic() as connection:
        add_model(connection)
    with database.reading() as connection:
        file = postgres.data / connection.scalar(sa.text("SELECT pg_relation_filepath('models')"))
    postgres.execute("CHECKPOINT")
    postgres.stop()
    try:
        file.write_bytes(b"\xff" * file.stat().st_size)
    finally:
        postgres.start()
    with pytest.raises(Unavailable, match="cannot be used: invalid page in block 0"):
        models(database)


# --- who comes in


@pytest.fixture(scope="module")
def guarded(postgres):
    postgres.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}' IN ROLE tailorbird_serving")
    return GUARDED


def with_password(url, user, password):
    return url.replace("postgres@", f"{user}:{quote(password, safe='')}@")


def test_a_login_with_its_password(url, guarded):
    with closing(open_database(with_password(url, guarded, PASSWORD))) as opened, opened.reading() as connection:
        assert connection.scalar(sa.text("SELECT CURRENT_USER")) == guarded


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda url: with_password(url, GUARDED, "a wrong one"),
            f'password authentication failed for user "{GUARDED}"',
        ),
        (lambda url: url.replace("postgres@", f"{GUARDED}@"), "no password supplied"),
        (lambda url: url.replace("postgres@", "nobody@"), 'role "nobody" does not exist'),
        (lambda url: url + "x", 'database "test_[0-9a-f]*x" does not exist'),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), "failed to resolve host"),
        (lambda url: url + "?sslmode=require", "server does not support SSL"),
        (lambda url: url + "?options=-cnest%3D1", 'unrecognized configuration parameter "nest"'),
    ],
)
def test_who_is_not_let_in_is_told_why_in_one_line(url, guarded, monkeypatch, change, told):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(Unavailable, match=told) as refused:
        open_database(change(url))
    assert "\n" not in str(refused.value) and str(refused.value).count(told) <= 1
    assert refused.value.__suppress_context__


SECRET = "hunter2"


@pytest.mark.parametrize(
    "rest",
    [
        f"ada:{SECRET}@127.0.0.1:1/birds",
        f"ada:{SECRET}@127.0.0.1:port/birds",
        f"ada:{SECRET}@127.0.0.1:99999/birds",
        f"ada:x@{SECRET}@127.0.0.1:1/birds",
        f"ada:x@y/{SECRET}@127.0.0.1/birds",
        f"ada:{SECRET}",
        f"ada:{SECRET}@[::1/birds",
        f"ada:{SECRET}@127.0.0.1:1/birds?nonsense=1",
        f"ada:{SECRET}@127.0.0.1:1/birds?port=many",
        f"ada:{SECRET}@127.0.0.1:1/birds?connect_timeout=long",
        f"ada:{SECRET}@127.0.0.1:1/birds?sslmode=perhaps",
        f"ada:{SECRET}@127.0.0.1:1/birds?plugin=none",
        f"ada@127.0.0.1:1/birds?password={SECRET}",
        f"ada@127.0.0.1:1/birds?password={SECRET}&nonsense=1",
        f"ada:{SECRET}%zz@127.0.0.1:1/birds",
    ],
)
def test_a_password_stands_in_no_message_and_no_log(rest, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TailorbirdError) as refused:
        open_database(POSTGRESQL + rest)
    shown = "".join(part for part in (str(refused.value), repr(refused.value), caplog.text))
    assert SECRET not in shown and "\n" not in str(refused.value)
    assert "TAILORBIRD_DATABASE_URL" in shown or "127.0.0.1/birds" in shown


def test_what_is_wrong_with_a_url_is_told_by_its_variable():
    for url, told in [
        (
            "postgresql+psycopg://ada@host/birds?nonsense=1",
            'has invalid options after its ?: invalid connection option "nonsense"',
        ),
        ("postgresql+psycopg://ada@host:x/birds", "must look like postgresql+psycopg://USER@HOST:PORT/NAME"),
        ("postgresql+psycopg://ada:x@y@host/birds", "has more than one @; write an @ in the password as %40"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            connect(url)
        assert (refused.value.field, refused.value.problem) == ("TAILORBIRD_DATABASE_URL", told)


def test_a_password_stands_in_no_repr_and_in_no_traceback_of_a_defect(url, guarded):
    with closing(open_database(with_password(url, guarded, PASSWORD))) as opened:
        with pytest.raises(sa.exc.ProgrammingError) as defect, opened.reading() as connection:
            connection.exec_driver_sql("SELEKT")
        texts = [repr(opened), opened.name, repr(vars(opened)), str(defect.value), repr(defect.value)]
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert not any(secret in text for text in texts)


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_c"])
def test_without_its_driver_or_the_library_of_that_one_sentence_says_what_to_install(monkeypatch, missing):
    monkeypatch.setenv("PSYCOPG_IMPL", "c")
    drivers = ("psycopg", "psycopg_binary", "psycopg_c")
    for name in [loaded for loaded in sys.modules if loaded.split(".")[0] in drivers]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(Unavailable, match=r"^PostgreSQL needs psycopg: pip install 'tailorbird\[postgres\]'$"):
        connect("postgresql+psycopg://ada@host/birds")


def gets_the_lock(opened):
    try:
        with opened.atomic("fashion") as connection:
            add_model(connection, "letters")
    except Unavailable:
        return False
    return True


def test_one_that_is_stopped_with_a_lock_in_its_hands_does_not_stop_the_others(url, impatient):
    """A process that hangs, as one does whose machine sleeps, loses its connection and with it the lock."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with open_database(url).atomic("fashion") as connection:
            add_model(connection)
            os.write(writer, b".")
            os.kill(os.getpid(), signal.SIGSTOP)
    os.read(reader, 1)
    try:
        with closing(open_database(url)) as opened:
            wait_for(lambda: gets_the_lock(opened))
            assert models(opened) == ["letters"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_importing_the_registry_does_not_load_the_driver():
    code = "import sys, registry.versions, registry.aliases; print({'psycopg', 'alembic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
