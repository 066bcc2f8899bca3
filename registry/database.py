"""The SQLite database: opened, migrated, and written to in one way, `with database.atomic():`."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from registry.blobs import flush, make_folder
from registry.schema import REVISION
from tailorbird.errors import Unavailable
from tailorbird.settings import writable

BUSY_SECONDS = 30


class Database:
    """One SQLite file in WAL mode whose commits are flushed; immutable where its folder cannot be written."""

    def __init__(self, path: Path) -> None:
        """Open, or make, the database at `path`, and bring its schema up to date.

        Raises Unavailable where it cannot be opened, is newer than this release, or is read-only while it is older
        or a log of unmerged writes lies beside it.
        """
        self.path = path
        self.read_only = not (writable(path.parent) and writable(path))
        if self.read_only:
            self._refuse_unmerged_log()
        else:
            try:
                make_folder(path.parent)
            except OSError as error:
                raise Unavailable(
                    f"the folder {path.parent} of the database cannot be made: {error.strerror}"
                ) from None
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.QueuePool, max_overflow=-1)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def atomic(self) -> Iterator[sa.Connection]:
        """A transaction that takes the write lock at once; commits at the end, or leaves no trace."""
        if self.read_only:
            raise Unavailable(f"the database {self.path} is read-only here")
        with self._told(), self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A snapshot: all that is read is of one moment, no writer waits for it, and it waits for none."""
        with self._told(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
            cause = getattr(error, "orig", error)
            # full, locked for too long and gone are OperationalError, a damaged file is DatabaseError itself;
            # the others (a constraint, a misused parameter) are defects of ours and keep their traceback
            if type(cause) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise
            raise Unavailable(f"the database {self.path} cannot be used: {cause}") from None

    def _connect(self) -> sqlite3.Connection:
        mode = "mode=ro&immutable=1" if self.read_only else "mode=rwc"
        uri = f"{self.path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            if not self.read_only:
                _use_wal(connection)
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_unmerged_log(self) -> None:
        log = self.path.with_name(self.path.name + "-wal")
        if not os.access(self.path, os.R_OK):
            raise Unavailable(f"there is no database to read at {self.path}, and none can be made in this folder")
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
        if self.read_only:
            raise Unavailable(
                f"the database {self.path} has schema {revision or 'none'}, older than the {REVISION} of this release, "
                f"and is read-only: open it once where it can be written"
            )
        with self.atomic() as connection:
            revision = _revision(connection)
            if revision == REVISION:  # another process was first; a backup now would replace its backup
                return
            if revision is not None:
                self._back_up(revision)
            _upgrade(connection)

    def _back_up(self, revision: str) -> None:
        copy = self.path.with_name(f"{self.path.name}.{revision}.backup")
        try:
            with tempfile.TemporaryDirectory(prefix=".", dir=copy.parent) as folder:
                partial = Path(folder) / copy.name
                with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(partial)) as target:
                    source.backup(target)
                partial.replace(copy)
            flush(copy.parent)
        except OSError as error:
            raise Unavailable(f"{copy} cannot be written: {error.strerror}") from None


def _use_wal(connection: sqlite3.Connection) -> None:
    # on a new database that another process opens too, SQLite asks for this lock once, whatever the timeout
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


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
