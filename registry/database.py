"""The SQLite database: opened, migrated, and written to in one way, `with database.atomic():`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from registry.schema import REVISION
from tailorbird.errors import Unavailable
from tailorbird.settings import writable

BUSY_SECONDS = 30


class Database:
    """One SQLite file in WAL mode whose commits are flushed; immutable where its folder cannot be written."""

    def __init__(self, path: Path) -> None:
        """Open, or make, the database at `path`, and bring its schema up to date.

        Raises Unavailable where it cannot be opened, is newer than this release, or is read-only while a log of
        unmerged writes lies beside it.
        """
        self.path = path
        self.read_only = not (writable(path.parent) and (not path.exists() or writable(path)))
        if self.read_only:
            self._refuse_unmerged_log()
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unavailable(
                    f"the folder {path.parent} of the database cannot be made: {error.strerror}"
                ) from None
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.QueuePool)
        sa.event.listen(self._engine, "begin", _begin_immediate)
        try:
            self._migrate()
        except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
            raise Unavailable(f"the database {path} cannot be used: {getattr(error, 'orig', error)}") from None

    @contextmanager
    def atomic(self) -> Iterator[sa.Connection]:
        """A transaction that takes the write lock at once; commits at the end, or leaves no trace."""
        if self.read_only:
            raise Unavailable(f"the database {self.path} is read-only here")
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for single reads; it takes no lock."""
        with self._told(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.OperationalError as error:  # disk full, locked for too long, gone
            raise Unavailable(f"the database {self.path} cannot be used: {error.orig}") from None

    def _connect(self) -> sqlite3.Connection:
        mode = "mode=ro&immutable=1" if self.read_only else "mode=rwc"
        uri = f"{self.path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        if not self.read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _refuse_unmerged_log(self) -> None:
        log = self.path.with_name(self.path.name + "-wal")
        if not self.path.exists():
            raise Unavailable(f"there is no database at {self.path}, and none can be made in a read-only folder")
        if log.exists() and log.stat().st_size > 0:
            raise Unavailable(
                f"the database {self.path} is read-only and {log.name} holds writes that are not in it yet: "
                f"close whatever writes to it, or open it once where it can be written"
            )

    def _migrate(self) -> None:
        with self.reading() as connection:
            revision = _revision(connection)
        if revision == REVISION:
            return
        if revision is not None and revision > REVISION:
            raise Unavailable(
                f"the database {self.path} has schema {revision}, newer than the {REVISION} of this release: "
                f"use a newer tailorbird"
            )
        if revision is not None:
            self._back_up(revision)
        with self.atomic() as connection:
            if _revision(connection) != REVISION:  # another process may have been first
                _upgrade(connection)

    def _back_up(self, revision: str) -> None:
        copy = self.path.with_name(f"{self.path.name}.{revision}.backup")
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
