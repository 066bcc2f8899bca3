"""Run by Alembic on the connection that `registry.database` hands it, inside that connection's transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
