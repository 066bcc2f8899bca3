"""The tables, the triggers that protect rows, and PostgreSQL's roles.

Until the first release this migration creates the current tables of `registry.schema`; the release will write them out
here, so that later changes of the schema are migrations of their own.
"""

import sqlalchemy as sa
from alembic import op

from registry import schema
from tailorbird.errors import Unavailable

revision = "0001"
down_revision = None
oldest = "0001"
"""Revision of the oldest release that can still use this schema, while pods of the new one start."""

APPEND_ONLY = ("versions", "deletions", "verdicts", "log", "moves", "holds", "judgements")

# What the members of each role may do; a login is given the roles that it needs: GRANT tailorbird_serving TO the_login.
READS = (
    "aliases, alembic_version, compatibility, deletions, feedback, holds, judgements, log, models, moves, tags, "
    "verdicts, versions"
)
LEDGER = "sweeps, groups, trials, reports, incidents"
MOVES = {
    "aliases": "INSERT, UPDATE (number)",
    "log, moves, verdicts": "INSERT",
    "outbox": "SELECT, INSERT, UPDATE (attempts, next_attempt, delivered, problem)",  # its URLs may hold a secret
    LEDGER: "SELECT",
    "SEQUENCE log_id_seq, outbox_id_seq, verdicts_id_seq": "USAGE",
}
ROLES = {
    "migrator": {},
    "serving": {"feedback": "INSERT", "inputs": "SELECT, INSERT, DELETE"},  # personal data: no other role reads it
    "sweep": {
        "models": "INSERT, UPDATE (last_number)",
        "log, versions": "INSERT",
        "SEQUENCE log_id_seq": "USAGE",
        LEDGER: "SELECT, INSERT",
        "sweeps, groups, trials": "UPDATE",
    },
    "promoter": {
        **MOVES,
        "deletions, holds": "INSERT",
        "tags": "INSERT, UPDATE, DELETE",
    },
    "watch": {**MOVES, "judgements": "INSERT"},
}


def upgrade() -> None:
    schema.metadata.create_all(op.get_bind(), checkfirst=False)
    if op.get_bind().dialect.name == "postgresql":
        _keep_rows_postgresql()
        _roles()
    else:
        _keep_rows_sqlite()


def _keep_rows_sqlite() -> None:
    for table in APPEND_ONLY:
        for change in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER keep_{table}_{change} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are only added'); END"
            )


def _keep_rows_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION keep_rows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER keep_{table} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} EXECUTE FUNCTION keep_rows()"
        )


def _roles() -> None:
    """Grant each role its rights; roles belong to the server, so another database may already have created them."""
    connection = op.get_bind()
    current = connection.scalar(sa.text("SELECT quote_ident(current_schema())"))
    _make_roles(connection)
    for name, allowed in ROLES.items():
        op.execute(f"GRANT USAGE ON SCHEMA {current} TO tailorbird_{name}")
        op.execute(f"GRANT SELECT ON {READS} TO tailorbird_{name}")
        for objects, actions in allowed.items():
            op.execute(f"GRANT {actions} ON {objects} TO tailorbird_{name}")
    # the next migration may be run by another login
    op.execute(f"GRANT CREATE ON SCHEMA {current} TO tailorbird_migrator")
    for table in f"{READS}, {LEDGER}, inputs, outbox".split(", "):
        op.execute(f"ALTER TABLE {table} OWNER TO tailorbird_migrator")
    op.execute("ALTER FUNCTION keep_rows OWNER TO tailorbird_migrator")


def _make_roles(connection: sa.Connection) -> None:
    known = set(connection.scalars(sa.text("SELECT rolname FROM pg_roles")))
    wanted = [f"CREATE ROLE tailorbird_{name}" for name in ROLES if f"tailorbird_{name}" not in known]
    me = "SELECT quote_ident(rolname), rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = CURRENT_USER"
    login, may = connection.execute(sa.text(me)).one()
    member = "SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = 'tailorbird_migrator'"
    if not connection.scalar(sa.text(member)):
        wanted.append(f"GRANT tailorbird_migrator TO {login}")
    if wanted and not may:
        raise Unavailable(
            f"{login} may not create roles; have an administrator run `{'; '.join(wanted)}`, then migrate"
        )
    # a migration of another database of this server may do the same now: our locks do not cover it
    for statement in wanted:
        op.execute(f"DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
