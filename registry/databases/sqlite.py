"""The embedded database: one SQLite file in WAL mode."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from registry import schema
from registry.databases.database import Database, encode
from tailorbird.errors import Unavailable
from tailorbird.files import flush, make_folder, new_file
from tailorbird.settings import writable

BUSY_SECONDS = 30


class Sqlite(Database):
    """A file whose commits are flushed; migrated after a backup, and opened as immutable in a read-only folder."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raises Unavailable if a read-only one has a write-ahead log with unmerged writes."""
        self.path = path
        self.read_only = not (writable(path.parent) and writable(path))
        if self.read_only:
            self._refuse_unmerged_log()
        else:
            try:
                make_folder(path.parent)
            except OSError as error:
                raise Unavailable(
                    f"the folder {path.parent} of the database cannot be created: {error.strerror}"
                ) from None
        # a connection never re-reads an immutable file, although another machine may change it
        pool: dict[str, Any] = (
            {"poolclass": sa.NullPool} if self.read_only else {"poolclass": sa.QueuePool, "max_overflow": -1}
        )
        engine = sa.create_engine("sqlite://", creator=self._connect, json_serializer=encode, **pool)
        super().__init__(str(path), engine)

    def _connect(self) -> sqlite3.Connection:
        if self.read_only:
            self._refuse_unmerged_log()
        mode = "mode=ro&immutable=1" if self.read_only else "mode=rwc"
        uri = f"{self.path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            if not self.read_only:
                _use_wal(connection)
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA recursive_triggers = ON")  # else REPLACE bypasses the triggers that protect rows
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the write lock of the database, taken before the first read

    def lock(self, connection: sa.Connection, *locks: str) -> None:
        """Nothing to do: SQLite has a single writer."""

    def _snapshot(self, connection: sa.Connection) -> sa.Connection:
        connection.exec_driver_sql("BEGIN")
        return connection

    def _problem(self, cause: BaseException) -> str | None:
        # full, locked for too long and missing are OperationalError, a damaged file is DatabaseError itself; the others
        # (a constraint, a misused parameter) are bugs of ours, and so is SQL that SQLite does not understand
        known = type(cause) in (sqlite3.OperationalError, sqlite3.DatabaseError)
        defect = getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR
        return str(cause) if known and not defect else None

    def _refuse_unmerged_log(self) -> None:
        log = self.path.with_name(self.path.name + "-wal")
        if not os.access(self.path, os.R_OK):
            raise Unavailable(f"there is no database at {self.path}, and its folder is not writable")
        if log.exists() and log.stat().st_size > 0:
            raise Unavailable(
                f"the database {self.path} is read-only and {log.name} holds writes that are not in it yet: "
                f"stop the processes that write to it, or open it once where it is writable"
            )

    def _outdated(self, revision: str | None) -> None:
        if self.read_only:
            raise Unavailable(
                f"the database {self.path} has schema {revision or 'none'}, older than the {schema.REVISION} of this "
                f"release, and is read-only: open it once where it is writable"
            )
        self.migrate()

    def _prepare_migration(self, _: sa.Connection, revision: str | None) -> None:
        """Copy the database file; backups of PostgreSQL are left to its operator."""
        if revision is None:
            return
        copy = self.path.with_name(f"{self.path.name}.{revision}.backup")
        try:
            with new_file(copy) as partial:
                with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(partial)) as target:
                    source.backup(target)
                flush(partial)
        except OSError as error:
            raise Unavailable(f"{copy} cannot be written: {error.strerror}") from None


def _use_wal(connection: sqlite3.Connection) -> None:
    # if another process opens a new database too, SQLite tries this lock only once, whatever the timeout
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
