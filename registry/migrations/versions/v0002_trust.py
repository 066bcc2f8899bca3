"""Verdicts of their own, deletions, tags, holds, the outbox; rows that cannot be changed; PostgreSQL's roles."""

import sqlalchemy as sa
from alembic import op

from tailorbird.errors import Unavailable

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("versions", "deletions", "verdicts", "moves", "holds")

# What the members of each role may do; a login is given the roles that it needs: GRANT tailorbird_serving TO the_login.
READS = "aliases, alembic_version, deletions, feedback, holds, models, moves, tags, verdicts, versions"
LEDGER = "sweeps, trials, reports"
MOVES = {
    "aliases": "INSERT, UPDATE (number)",
    "moves, verdicts": "INSERT",
    "outbox": "SELECT, INSERT, UPDATE (attempts, next_attempt, delivered, problem)",  # its URLs may hold a secret
    LEDGER: "SELECT",
    "SEQUENCE moves_id_seq, outbox_id_seq, verdicts_id_seq": "USAGE",
}
ROLES = {
    "migrator": {},
    "serving": {"feedback": "INSERT"},
    "sweep": {
        "models": "INSERT, UPDATE (last_number)",
        "versions": "INSERT",
        LEDGER: "SELECT, INSERT",
        "sweeps, trials": "UPDATE",
    },
    "promoter": {
        **MOVES,
        "deletions, holds": "INSERT",
        "SEQUENCE holds_id_seq": "USAGE",
        "tags": "INSERT, UPDATE, DELETE",
    },
    "watch": MOVES,
}


def upgrade() -> None:
    _versions()
    _verdicts()
    _around()
    if op.get_bind().dialect.name == "postgresql":
        _keep_rows_postgresql()
        _roles()
    else:
        _keep_rows_sqlite()


def _versions() -> None:
    op.add_column("versions", sa.Column("signature", sa.String(88)))
    op.create_index("ix_versions_created_model_number", "versions", ["created", "model", "number"])
    op.create_table(
        "deletions",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("deleted", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name="pk_deletions"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_deletions_model_number"
        ),
    )
    op.create_table(
        "tags",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", "number", "key", name="pk_tags"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_tags_model_number"
        ),
    )


def _verdicts() -> None:
    """Give verdicts, which stood in the rows of moves, a table of their own."""
    verdicts = op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("holder", sa.Integer),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("split", sa.String(64)),
        sa.Column("policy", sa.JSON, nullable=False),
        sa.Column("gates", sa.JSON, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("judged", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdicts"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_verdicts_model_number"
        ),
    )
    op.create_index("ix_verdicts_model_number", "verdicts", ["model", "number"])
    op.create_index("ix_verdicts_split", "verdicts", ["split"])

    connection = op.get_bind()
    before = sa.Table("moves", sa.MetaData(), autoload_with=connection)
    rows = connection.execute(sa.select(before).order_by(before.c.id)).mappings().all()
    op.drop_index("ix_moves_model_id", "moves")
    op.drop_table("moves")
    moves = op.create_table(
        "moves",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("from_number", sa.Integer),
        sa.Column("to_number", sa.Integer, nullable=False),
        sa.Column("verdict", sa.Integer, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("moved", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moves"),
        sa.ForeignKeyConstraint(["verdict"], ["verdicts.id"], name="fk_moves_verdict"),
        sa.ForeignKeyConstraint(
            ["model", "to_number"], ["versions.model", "versions.number"], name="fk_moves_model_to_number"
        ),
    )
    op.create_index("ix_moves_model_id", "moves", ["model", "id"])
    for row in rows:
        verdict = {
            "model": row["model"],
            "number": row["to_number"],
            "alias": row["alias"],
            "holder": row["from_number"],
            "passed": row["verdict"]["passed"],
            "policy": {},
            "gates": [_gate(reason) for reason in row["verdict"]["reasons"]],
            "who": row["who"],
            "judged": row["moved"],
        }
        number = connection.execute(verdicts.insert().values(**verdict).returning(verdicts.c.id)).scalar_one()
        connection.execute(moves.insert().values(**{**row, "kind": "promote", "verdict": number}))
    if rows and connection.dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('moves', 'id'), (SELECT max(id) FROM moves))")


def _gate(reason: str) -> dict[str, object]:
    return {"name": "unnamed", "passed": False, "message": reason, "measured": {}, "allowed": {}}


def _around() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_holds_model"),
    )
    op.create_index("ix_holds_model_id", "holds", ["model", "id"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("move", sa.Integer, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt", sa.String(27)),
        sa.Column("delivered", sa.String(27)),
        sa.Column("problem", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.ForeignKeyConstraint(["move"], ["moves.id"], name="fk_outbox_move"),
    )
    op.create_index("ix_outbox_next_attempt", "outbox", ["next_attempt"])


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
    """Give each role what it needs; roles belong to the server, so that another database may have made them before."""
    connection = op.get_bind()
    here = connection.scalar(sa.text("SELECT quote_ident(current_schema())"))
    _make_roles(connection)
    for name, allowed in ROLES.items():
        op.execute(f"GRANT USAGE ON SCHEMA {here} TO tailorbird_{name}")
        op.execute(f"GRANT SELECT ON {READS} TO tailorbird_{name}")
        for objects, actions in allowed.items():
            op.execute(f"GRANT {actions} ON {objects} TO tailorbird_{name}")
    # who migrates next time need not be who did now
    op.execute(f"GRANT CREATE ON SCHEMA {here} TO tailorbird_migrator")
    for table in f"{READS}, {LEDGER}, outbox".split(", "):
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
        raise Unavailable(f"{login} may not make roles; have an administrator run `{'; '.join(wanted)}`, then migrate")
    for statement in wanted:  # another database of this server may do the same just now: no lock of ours keeps it out
        op.execute(f"DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
