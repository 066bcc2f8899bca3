"""A handle on the registry: its database and its blobs."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from registry.databases.database import open_database
from registry.storage.blobs import open_store

if TYPE_CHECKING:
    from tailorbird.settings import Settings

BLOBS = "blobs"
"""Lock of whoever deletes blobs; `blobs?` is held by those who write rows that name some.

The others are `model:NAME`, `sweep:ID`, `feedback` and `schema`.
"""


class Registry:
    """What `versions`, `aliases`, `ledger` and `feedback` work on."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.database = open_database(settings.database)
        self.blobs = open_store(settings.storage)

    def atomic(self, *locks: str) -> AbstractContextManager[sa.Connection]:
        """The one way to write to the database; see `Database.atomic`."""
        return self.database.atomic(*locks)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        return self.database.reading()

    def asking(self) -> AbstractContextManager[sa.Connection]:
        return self.database.asking()

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
