"""A handle on the registry: its database and its blobs."""

from contextlib import AbstractContextManager
from threading import Lock

import sqlalchemy as sa

from registry.databases.database import Database
from registry.databases.opening import open_database
from registry.storage.opening import open_store
from tailorbird.settings import Settings

BLOBS = "blobs"
"""The lock for deleting blobs; `blobs?` is its shared form, for writing rows that name blobs. The other locks are
`model:NAME`, `sweep:ID`, `sweeps`, `feedback`, `inputs` and `schema`.
"""
BATCH = 1_000
"""Rows or blobs in one statement: few enough that no PostgreSQL transaction is idle for minutes."""


class Registry:
    """The handle that `versions`, `aliases`, `ledger` and `feedback` work on; connects lazily."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.blobs = open_store(settings.storage)
        self._database: Database | None = None
        self._lock = Lock()

    @property
    def database(self) -> Database:
        """Opened at first use; raises Unavailable if that fails, and is retried at the next use."""
        if self._database is None:
            # the lock is not held while waiting for a server that is down
            opened = open_database(self.settings.database)
            with self._lock:
                if self._database is None:
                    self._database = opened
            if opened is not self._database:
                opened.close()
        return self._database

    def atomic(self, *locks: str) -> AbstractContextManager[sa.Connection]:
        """The one way to write to the database; see `Database.atomic`."""
        return self.database.atomic(*locks)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        return self.database.reading()

    def asking(self) -> AbstractContextManager[sa.Connection]:
        return self.database.asking()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
