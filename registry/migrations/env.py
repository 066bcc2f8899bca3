"""Run by Alembic on the connection from `registry.databases`, inside its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
