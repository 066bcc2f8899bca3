"""A made-up release after this one, with a migration of its own."""

import shutil
from pathlib import Path

from registry import schema
from registry.databases import database

REVISION = schema.REVISION
LATER = "9999"
MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = {LATER!r}
down_revision = {REVISION!r}
oldest = OLDEST


def upgrade():
    op.add_column("models", sa.Column("motto", sa.Text))
    op.execute("UPDATE models SET motto = 'onwards'")
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))
"""


def install(monkeypatch, folder: Path, then: str = "", oldest: str = LATER) -> None:
    """Make the code of this process that of the later release, whose migration ends with the statement `then`."""
    shutil.copytree(database.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v9999_later.py").write_text(f"{MIGRATION.replace('OLDEST', repr(oldest))}    {then}\n")
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    monkeypatch.setattr(schema, "REVISION", LATER)
