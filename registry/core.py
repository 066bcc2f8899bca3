"""A handle on the registry: its database and its blobs."""

from contextlib import AbstractContextManager

import sqlalchemy as sa

from registry.blobs import BlobStore
from registry.database import Database
from tailorbird.settings import Settings


class Registry:
    """What `versions`, `aliases`, `ledger` and `feedback` work on."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings.database)
        self.blobs = BlobStore(settings.storage)

    def atomic(self) -> AbstractContextManager[sa.Connection]:
        """The one way to write to the database."""
        return self.database.atomic()

    def reading(self) -> AbstractContextManager[sa.Connection]:
        return self.database.reading()

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
