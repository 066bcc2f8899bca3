"""Opening the database that a URL names."""

from pathlib import Path

from registry.databases.database import Database
from tailorbird.settings import SQLITE


def connect(url: str) -> Database:
    """The database at `sqlite:///PATH` or `postgresql+psycopg://…`, whatever its schema."""
    if url.startswith(SQLITE):
        from registry.databases.sqlite import Sqlite

        return Sqlite(Path(url.removeprefix(SQLITE)))
    from registry.databases.postgres import Postgres

    return Postgres(url)


def open_database(url: str) -> Database:
    """The same with this release's schema: SQLite is migrated here, PostgreSQL by `tailorbird registry migrate`.

    Raises Unavailable if it cannot be opened, or has another schema.
    """
    database = connect(url)
    try:
        database.check()
    except BaseException:
        database.close()
        raise
    return database
