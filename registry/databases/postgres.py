"""A PostgreSQL database, for registries that several machines share."""

from typing import Any

import sqlalchemy as sa

from registry import schema
from registry.databases.database import Database, encode
from tailorbird.errors import InvalidInput, Unavailable, Unmigrated

# A host that is down, or a client that hangs while it holds a lock, must not block all others.
CONNECTION = {
    "application_name": "tailorbird",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
"""Defaults of libpq parameters that the URL does not set; times are in seconds."""
SESSION = """
    SET lock_timeout = '30s';
    SET statement_timeout = '120s';
    SET idle_in_transaction_session_timeout = '300s'
"""

LOCK_NOT_AVAILABLE = "55P03"
INSUFFICIENT_PRIVILEGE = "42501"
UNUSABLE = ("25006", "25P03", "XX")  # a standby, a transaction that was idle for too long, damage


class Postgres(Database):
    """SQLite has a single writer; here named advisory locks do the same."""

    def __init__(self, url: str) -> None:
        """Does not connect yet; raises InvalidInput if the URL is invalid, Unavailable without psycopg."""
        try:
            engine = _engine(url)
        except ImportError:  # psycopg itself or libpq is missing
            raise Unavailable("PostgreSQL needs psycopg: pip install 'tailorbird[postgres]'") from None
        sa.event.listen(engine, "connect", _prepare)
        known = engine.url
        super().__init__(f"{known.host or 'here'}/{known.database or known.username or ''}", engine)

    def _begin(self, connection: sa.Connection) -> None:
        """It begins with its first statement."""

    def lock(self, connection: sa.Connection, *locks: str) -> None:
        for lock in sorted(locks, key=_name):  # always in the same order, so that there are no deadlocks
            function = "pg_advisory_xact_lock_shared" if lock.endswith("?") else "pg_advisory_xact_lock"
            connection.exec_driver_sql(f"SELECT {function}(hashtextextended(%s, 0))", ("tailorbird " + _name(lock),))

    def _snapshot(self, connection: sa.Connection) -> sa.Connection:
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def _alone(self, connection: sa.Connection) -> sa.Connection:
        return connection.execution_options(isolation_level="AUTOCOMMIT")

    def _outdated(self, revision: str | None) -> None:
        if revision is None:
            raise Unmigrated(f"the database {self.name} is empty: run `tailorbird registry migrate`")
        raise Unmigrated(
            f"the database {self.name} has schema {revision}, older than the {schema.REVISION} of this "
            f"release: back it up, then run `tailorbird registry migrate`"
        )

    def _prepare_migration(self, connection: sa.Connection, _: str | None) -> None:
        """Rewriting a large table may take long, so statements have no timeout; lock waits still do."""
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))

    def _problem(self, cause: BaseException) -> str | None:
        import psycopg

        if not isinstance(cause, psycopg.Error):
            return None
        state, message = cause.sqlstate or "", cause.diag.message_primary or _one_line(str(cause))
        if state == LOCK_NOT_AVAILABLE:
            return f"timed out waiting for a lock ({message}); try again"
        if state == INSUFFICIENT_PRIVILEGE:
            return (
                f"{message} (the role tailorbird_sweep registers versions, tailorbird_promoter and tailorbird_watch "
                f"move aliases, tailorbird_serving records feedback, tailorbird_migrator migrates)"
            )
        return message if isinstance(cause, psycopg.OperationalError) or state.startswith(UNUSABLE) else None


def _engine(url: str) -> sa.Engine:
    """An engine that has not connected yet; messages never contain the URL, since it may have a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo, timeout_from_conninfo

    try:
        parsed = sa.make_url(url)
        make_conninfo(**dict.fromkeys(parsed.query, ""))  # libpq knows the valid options
        timeout_from_conninfo({name: str(value) for name, value in parsed.query.items()})
        engine = sa.create_engine(
            parsed,
            max_overflow=-1,
            pool_pre_ping=True,  # so that a restart of the server is not noticed
            json_serializer=encode,
            connect_args={name: value for name, value in CONNECTION.items() if name not in parsed.query},
        )
    except ProgrammingError as error:
        raise InvalidInput(
            "TAILORBIRD_DATABASE_URL", f"has invalid options after its ?: {_one_line(str(error))}"
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidInput(
            "TAILORBIRD_DATABASE_URL", "must look like postgresql+psycopg://USER@HOST:PORT/NAME"
        ) from None
    if "@" in f"{parsed.host}{parsed.database}":  # part of a password, which messages would show as the host
        raise InvalidInput("TAILORBIRD_DATABASE_URL", "has more than one @; write an @ in the password as %40")
    return engine


def _name(lock: str) -> str:
    return lock.removesuffix("?")


def _one_line(text: str) -> str:
    """libpq's message, which it repeats for each address that it tried."""
    lines = (line.strip().removeprefix("connection failed: ") for line in text.splitlines())
    return " ".join(dict.fromkeys(line for line in lines if line))


def _prepare(connection: Any, _: object) -> None:
    connection.execute(SESSION)
    connection.commit()
