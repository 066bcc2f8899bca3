"""PostgreSQL's roles: what a login may do that has one of them, by the ways that the code takes."""

import secrets
import shutil
import threading
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from registry import (
    aliases,
    feedback,
    garbage,
    history,
    holds,
    inputs,
    judgements,
    ledger,
    schema,
    verification,
    versions,
    webhooks,
)
from registry.core import Registry
from registry.databases.opening import connect, open_database
from registry.feedback import Feedback
from registry.inputs import Input
from registry.leases import Lease
from registry.ledger import Report
from registry.requests import Promotion, Rollback
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings
from tests import sweeps
from tests.waiting import wait_for

ROLES = ("migrator", "promoter", "serving", "sweep", "watch")
WEBHOOK = {"webhooks": ("https://127.0.0.1:1/secret",), "webhook_key": "0123456789abcdef"}
JUDGED = {"state": "drifted", "action": "alert", "reasons": [], "evidence": {}, "who": "watch"}
OPEN = {"who": "ada", "why": "a test"}


@pytest.fixture(scope="module")
def logins(postgres):
    """A login for each role, and one that has none."""
    return {role: postgres.login(f"IN ROLE tailorbird_{role}") for role in ROLES} | {"nobody": postgres.login()}


@pytest.fixture(scope="module")
def filled(postgres, tmp_path_factory, register):
    """Settings, as the owner of all, of a registry with four versions, moves, a sweep and a label."""
    url = postgres.database()
    settings = Settings(home=tmp_path_factory.mktemp("roles"), database_url=url, _env_file=None, **WEBHOOK)
    with Registry(settings) as registry:
        for accuracy in (0.9, 0.93, 0.96, 0.96):
            register(registry, accuracy=accuracy)
        for number in (1, 2):
            aliases.promote(registry, Promotion("fashion", number, **OPEN))
        sweeps.begin(registry, "fashion-1", {}, [{}], champion=2, who="ada")
        feedback.record(registry, [label("first")])
    return settings


@contextmanager
def as_roles(postgres, logins, filled, home):
    """Opens a copy of the database as the login of a role, with its store in a home."""
    url = postgres.database(template=filled.database.rpartition("/")[2])
    with ExitStack() as handles:

        def opening(role):
            own = url.replace("postgres@", f"{logins[role]}@")
            return handles.enter_context(Registry(Settings(home=home, database_url=own, _env_file=None, **WEBHOOK)))

        yield opening


@pytest.fixture
def opened(postgres, logins, filled, tmp_path):
    shutil.copytree(filled.home, tmp_path, dirs_exist_ok=True)
    with as_roles(postgres, logins, filled, tmp_path) as opening:
        yield opening


@pytest.fixture(scope="module")
def shared(postgres, logins, filled):
    """The same for tests that change nothing."""
    with as_roles(postgres, logins, filled, filled.home) as opening:
        yield opening


def label(receipt):
    return Feedback(receipt, "fashion", 1, "cat", "0.9", label="cat", predicted_at=schema.now())


def numbers():
    return secrets.token_hex(4)


# What each way through the code does, and the roles that may go it.
WAYS = {
    "resolve": (lambda r, _: versions.resolve(r, "fashion@champion"), "migrator promoter serving sweep watch"),
    "page": (lambda r, _: versions.page(r), "migrator promoter serving sweep watch"),
    "verify": (
        lambda r, _: verification.verify(r, versions.resolve(r, "fashion:1")),
        "migrator promoter serving sweep watch",
    ),
    "tags": (lambda r, _: versions.tags(r, versions.resolve(r, "fashion:1")), "migrator promoter serving sweep watch"),
    "history": (lambda r, _: history.moves(r, "fashion"), "migrator promoter serving sweep watch"),
    "held": (lambda r, _: holds.current(r, "fashion"), "migrator promoter serving sweep watch"),
    "feedback": (lambda r, _: feedback.record(r, [label(numbers())]), "migrator serving"),
    "keep": (lambda r, _: inputs.keep(r, [Input(numbers(), "fashion", 1, b"")], 10, 1), "migrator serving"),
    "kept": (lambda r, _: list(inputs.labelled(r, "fashion")), "migrator serving"),
    "forget": (lambda r, _: inputs.forget(r, "fashion"), "migrator serving"),
    "register": (lambda r, register: register(r), "migrator sweep"),
    "first of a model": (lambda r, register: register(r, f"new-{numbers()}"), "migrator sweep"),
    "sweeps": (lambda r, _: ledger.sweeps(r), "migrator promoter sweep watch"),
    "trials": (lambda r, _: ledger.trials(r, "fashion-1"), "migrator promoter sweep watch"),
    "begin": (lambda r, _: sweeps.begin(r, numbers(), {}, [{}], champion=1, who="ada"), "migrator sweep"),
    "report": (lambda r, _: sweeps.report(r, "fashion-1", 1, Report(secrets.randbelow(10**9), {})), "migrator sweep"),
    "assign": (lambda r, _: ledger.assign(r, Lease("fashion-1", 1), 1, [1], "0.a"), "migrator sweep"),
    "end": (lambda r, _: sweeps.end(r, "fashion-1", "finished"), "migrator sweep"),
    "promote": (lambda r, _: aliases.promote(r, Promotion("fashion", 3, **OPEN)), "migrator promoter watch"),
    "first alias": (
        lambda r, _: aliases.promote(r, Promotion("fashion", 1, alias=f"new-{numbers()}", **OPEN)),
        "migrator promoter watch",
    ),
    "rollback": (lambda r, _: aliases.rollback(r, Rollback("fashion", **OPEN)), "migrator promoter watch"),
    "hold": (lambda r, _: holds.hold(r, "fashion", held=True, **OPEN), "migrator promoter"),
    "judge": (lambda r, _: judgements.add(r, "fashion", 1, **JUDGED), "migrator watch"),
    "judgements": (lambda r, _: judgements.page(r, "fashion"), "migrator promoter serving sweep watch"),
    "labels": (lambda r, _: feedback.cells(r, "fashion", 1), "migrator promoter serving sweep watch"),
    "delete": (lambda r, _: versions.delete(r, "fashion", versions.page(r)[0].number, **OPEN), "migrator promoter"),
    "tag": (lambda r, _: versions.tag(r, versions.resolve(r, "fashion:1"), {"a": "b", "c": ""}), "migrator promoter"),
    "deliver": (lambda r, _: webhooks.deliver(r), "migrator promoter watch"),
    "collect": (lambda r, _: garbage.collect(r, age=timedelta(0)), "migrator promoter sweep watch"),
    "migrate": (lambda r, _: r.database.migrate(), "migrator promoter serving sweep watch"),  # it is up to date
}


def everything(registry):
    """All rows of all tables."""
    with registry.reading() as connection:
        return [connection.execute(sa.select(table)).all() for table in schema.metadata.sorted_tables]


@pytest.mark.parametrize("way", WAYS)
def test_each_role_may_do_its_work_and_no_other(opened, register, way):
    act, allowed = WAYS[way]
    owner = opened("migrator")
    for role in sorted(set(ROLES) - set(allowed.split())):
        before = everything(owner)
        with pytest.raises(Unavailable, match="cannot be used: permission denied for table ") as caught:
            act(opened(role), register)
        assert "\n" not in str(caught.value)
        assert everything(owner) == before, f"{role} may not {way}, and changed something"
    for role in allowed.split():
        act(opened(role), register)
        if way in ("promote", "rollback"):
            undo(owner, way)


def undo(owner, way):
    if way == "promote":
        aliases.rollback(owner, Rollback("fashion", **OPEN))
    else:
        aliases.promote(owner, Promotion("fashion", 2, **OPEN))


def test_a_serving_login_cannot_move_an_alias_and_is_told_in_one_sentence(shared):
    with pytest.raises(Unavailable) as caught:
        aliases.promote(shared("serving"), Promotion("fashion", 3, **OPEN))
    [where] = [str(caught.value).split(" ")[2]]
    assert str(caught.value) == (
        f"the database {where} cannot be used: permission denied for table verdicts (the role tailorbird_sweep "
        f"registers versions, tailorbird_promoter and tailorbird_watch move aliases, tailorbird_serving records "
        f"feedback, tailorbird_migrator migrates)"
    )
    assert versions.resolve(shared("serving"), "fashion").number == 2


def test_a_login_without_a_role_sees_nothing(shared):
    with pytest.raises(Unavailable, match="permission denied for table alembic_version"):
        versions.page(shared("nobody"))


# What SQL of its own could a role's credentials be used for, if they fell into other hands?
STATEMENTS = {
    "UPDATE aliases SET number = 1": "promoter watch",
    "UPDATE aliases SET model = model": "",
    "INSERT INTO aliases VALUES ('fashion', 'other', 1)": "promoter watch",
    "DELETE FROM aliases": "",
    "INSERT INTO versions SELECT (SELECT max(id) FROM moves), model, 9, manifest, evidence, lineage, who, created "
    "FROM versions LIMIT 1": "sweep",
    "UPDATE versions SET manifest = ''": "",
    "DELETE FROM versions": "",
    "UPDATE models SET last_number = last_number": "sweep",
    "UPDATE models SET name = name": "",
    "DELETE FROM models": "",
    "DELETE FROM feedback": "",
    "UPDATE feedback SET label = predicted": "",
    "UPDATE inputs SET version = version": "",
    "DELETE FROM reports": "",
    "UPDATE reports SET metrics = metrics": "",
    "DELETE FROM sweeps": "",
    "SELECT url FROM outbox": "promoter watch",
    "UPDATE outbox SET url = 'https://example.com'": "",
    "DELETE FROM outbox": "",
    "UPDATE moves SET who = 'eve'": "",
    "DELETE FROM moves": "",
    "TRUNCATE moves CASCADE": "",
    "DELETE FROM verdicts": "",
    "UPDATE alembic_version SET version_num = '0001'": "",
    "UPDATE compatibility SET oldest = '9999'": "",
    "SELECT setval('log_id_seq', 1)": "",
    "CREATE TABLE mine (a int)": "",
    "DROP TABLE moves": "",
    "ALTER TABLE moves DISABLE TRIGGER ALL": "",
    "DROP FUNCTION keep_rows CASCADE": "",
    "SET ROLE tailorbird_migrator": "",
    "CREATE ROLE eve": "",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_credentials_of_a_role_can_do_little_else(shared, statement):
    came = set()
    for role in ("promoter", "serving", "sweep", "watch"):
        try:
            with shared(role).database._engine.begin() as connection:
                connection.execute(sa.text(statement))
                came.add(role)
                connection.rollback()
        except sa.exc.ProgrammingError as error:
            assert error.orig.sqlstate == "42501", error
    assert came == set(STATEMENTS[statement].split())


# --- who migrates


def rolled_out(postgres, owner):
    """The URL, as its owner, of a new database without tables."""
    url = postgres.empty()
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO {owner}")
    return url.replace("postgres@", f"{owner}@")


@pytest.fixture
def other_server():
    """A server on which nobody has migrated yet: roles belong to a server, not to a database."""
    from tests.postgres import TEMPLATE, server

    with server() as started:
        started.execute(f"DROP DATABASE {TEMPLATE}")
        for role in ROLES:
            started.execute(f"DROP ROLE tailorbird_{role}")
        yield started


def test_a_login_that_may_make_roles_migrates_a_server_of_its_own(other_server):
    login = other_server.login("CREATEROLE")
    for url in (rolled_out(other_server, login), rolled_out(other_server, login)):
        with closing(connect(url)) as database:
            assert database.migrate() is None
        open_database(url).close()


def test_a_login_that_may_not_make_roles_is_told_who_may(other_server):
    login = other_server.login()
    url = rolled_out(other_server, login)
    with closing(connect(url)) as database:
        with pytest.raises(Unavailable) as caught:
            database.migrate()
        commands = str(caught.value).split("`")[1]
        message = f"{login} may not create roles; have an administrator run `{commands}`, then migrate"
        assert str(caught.value) == message
        with database.reading() as connection:
            assert sa.inspect(connection).get_table_names() == []
        other_server.execute(commands)
        assert database.migrate() is None
    open_database(url).close()


def test_two_databases_of_one_server_may_be_migrated_at_once(other_server):
    """The one makes a role that the other has found missing, and commits while the other waits for its name."""
    came = []

    def migrate():
        with closing(connect(other_server.empty())) as database:
            came.append(database.migrate())

    with closing(psycopg.connect(host="127.0.0.1", port=other_server.port, user="postgres")) as first:
        for role in ROLES:
            first.execute(f"CREATE ROLE tailorbird_{role}")
        second = threading.Thread(target=migrate)
        second.start()
        with closing(psycopg.connect(host="127.0.0.1", port=other_server.port, user="postgres")) as looking:
            looking.autocommit = True
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            wait_for(lambda: looking.execute(waiting).fetchone() != (0,))
        first.commit()
        second.join()
    assert came == [None]


def test_a_database_in_which_the_login_may_make_no_tables_is_told(postgres):
    login = postgres.login("IN ROLE tailorbird_migrator")
    url = postgres.empty().replace("postgres@", f"{login}@")
    message = "permission denied for schema public"
    with closing(connect(url)) as database, pytest.raises(Unavailable, match=message):
        database.migrate()


def test_another_member_of_the_migrators_changes_tables_next_time(postgres, logins):
    first = postgres.login("IN ROLE tailorbird_migrator")
    url = rolled_out(postgres, first)
    with closing(connect(url)) as database:
        database.migrate()
    with closing(connect(url.replace(first, logins["migrator"]))) as database, database.atomic("schema") as connection:
        connection.execute(sa.text("ALTER TABLE moves ADD COLUMN motto text"))
        connection.execute(sa.text("ALTER FUNCTION keep_rows COST 10"))
        connection.execute(sa.text("CREATE TABLE later (a int)"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
