"""The database: SQLite or PostgreSQL, with one way to write, `with database.atomic():`, and one to read."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from registry import schema
from tailorbird.errors import ReadOnly, Unavailable

MIGRATIONS = Path(__file__).parents[1] / "migrations"


class Database(ABC):
    """The interface of all databases; `name` is used in messages and has no password."""

    read_only = False

    def __init__(self, name: str, engine: sa.Engine) -> None:
        self.name = name
        self._engine = engine

    @contextmanager
    def atomic(self, *locks: str) -> Iterator[sa.Connection]:
        """A transaction that commits at the end, or is rolled back.

        Only one writer at a time holds a named lock. A name that ends in `?` takes the lock in shared mode, which
        excludes only writers that name it without.
        """
        if self.read_only:
            raise ReadOnly(f"the database {self.name} is read-only here")
        with self._as_unavailable(), self._engine.begin() as connection:
            self._begin(connection)
            self.lock(connection, *locks)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A snapshot: all reads see the same state, and neither block writers nor wait for them."""
        with self._as_unavailable(), self._engine.connect() as connection:
            yield self._snapshot(connection)

    @contextmanager
    def asking(self) -> Iterator[sa.Connection]:
        """For single statements: each is a snapshot by itself, without the cost of a transaction."""
        with self._as_unavailable(), self._engine.connect() as connection:
            yield self._alone(connection)

    def check(self) -> None:
        """Raise Unavailable if this release cannot use the schema, nor migrate it here."""
        with self.reading() as connection:
            revision = self._revision(connection)
        if _is_old(revision):
            self._outdated(revision)

    def migrate(self) -> str | None:
        """Migrate the schema; returns its previous revision, None if the database was empty.

        Raises Unavailable if the schema is too new for this release.
        """
        with self.atomic("schema") as connection:
            before = self._revision(connection)
            if _is_old(before):
                self._prepare_migration(connection, before)
                _upgrade(connection)
        return before

    def close(self) -> None:
        self._engine.dispose()

    @abstractmethod
    def lock(self, connection: sa.Connection, *locks: str) -> None:
        """Acquire the named locks within `atomic`, until the transaction ends."""

    @abstractmethod
    def _begin(self, connection: sa.Connection) -> None:
        """Begin a transaction that writes."""

    @abstractmethod
    def _snapshot(self, connection: sa.Connection) -> sa.Connection:
        """Begin a transaction whose reads all see the same state."""

    def _alone(self, connection: sa.Connection) -> sa.Connection:
        """The connection in autocommit mode."""
        return connection

    @abstractmethod
    def _outdated(self, revision: str | None) -> None:
        """Migrate an older schema, or raise Unavailable that says how to do that."""

    @abstractmethod
    def _prepare_migration(self, connection: sa.Connection, revision: str | None) -> None:
        """Runs before a migration, in its transaction; `revision` is the current one, or None."""

    @abstractmethod
    def _problem(self, cause: BaseException) -> str | None:
        """The message of a driver's error if the database cannot be used; None if the error is a bug of ours."""

    @contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            problem = self._problem(getattr(error, "orig", error))
            if problem is None:
                raise
            raise Unavailable(f"the database {self.name} cannot be used: {problem}") from None

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        if revision is not None and revision > schema.REVISION:
            known = schema.compatibility.c
            oldest = connection.scalar(sa.select(known.oldest).where(known.revision == revision))
            if oldest is None or oldest > schema.REVISION:
                raise Unavailable(
                    f"the database {self.name} has schema {revision}, newer than the {schema.REVISION} of this "
                    f"release, which does not support it: upgrade tailorbird"
                )
        return revision


def _is_old(revision: str | None) -> bool:
    return revision is None or revision < schema.REVISION


def encode(value: Any) -> str:
    """JSON of a column; NaN and infinity become null, since PostgreSQL rejects them."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
    oldest = max(script.module.oldest for script in ScriptDirectory.from_config(config).walk_revisions())
    connection.execute(schema.compatibility.insert().values(revision=schema.REVISION, oldest=oldest))
