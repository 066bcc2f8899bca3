"""The tables.

From the first release on, a change here needs a new migration, and a new REVISION. Rows of `versions`, `verdicts`,
`log`, `moves`, `holds`, `judgements` and `deletions` are only added: triggers protect them.
"""

from datetime import UTC, datetime

import sqlalchemy as sa

REVISION = "0001"
"""The revision of the tables below; revisions are ordered as text."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

compatibility = sa.Table(  # one row per migration: releases whose own revision is `oldest` or later can still be used
    "compatibility",
    metadata,
    sa.Column("revision", sa.String(32), primary_key=True),
    sa.Column("oldest", sa.String(32), nullable=False),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("last_number", sa.Integer, nullable=False),  # only counts up, so that a number is never used twice
    sa.Column("created", sa.String(27), nullable=False),
)

log = sa.Table(
    "log",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # one order of all events of models, independent of clocks
    sa.Column("model", sa.ForeignKey("models.name"), nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.ForeignKey("log.id"), nullable=False, unique=True),
    sa.Column("model", sa.ForeignKey("models.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("manifest", sa.String(64), nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("lineage", sa.JSON, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("created", sa.String(27), nullable=False),
    sa.Column("signature", sa.String(88)),  # Ed25519 over model and manifest, in base64
)

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("id", sa.ForeignKey("log.id"), nullable=False),
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("deleted", sa.String(27), nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("alias", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("alias", sa.String(64), nullable=False),
    sa.Column("holder", sa.Integer),  # the version that held the alias, with which the candidate was compared
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("split", sa.String(64)),  # digest of the held-out images, to count how often they were used
    sa.Column("policy", sa.JSON, nullable=False),
    sa.Column("gates", sa.JSON, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("judged", sa.String(27), nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),
    sa.Index(None, "model", "number"),
    sa.Index(None, "split", "model", "number"),
)

moves = sa.Table(
    "moves",
    metadata,
    sa.Column("id", sa.ForeignKey("log.id"), primary_key=True, autoincrement=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("alias", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # promote or rollback
    sa.Column("from_number", sa.Integer),
    sa.Column("to_number", sa.Integer, nullable=False),
    sa.Column("verdict", sa.ForeignKey("verdicts.id"), nullable=False),
    sa.Column("forced", sa.Boolean, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("moved", sa.String(27), nullable=False),
    sa.ForeignKeyConstraint(["model", "to_number"], ["versions.model", "versions.number"]),
    sa.Index(None, "model", "id"),
    sa.Index(None, "model", "alias", "id"),
    sa.Index(None, "model", "alias", "to_number"),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", sa.ForeignKey("log.id"), primary_key=True, autoincrement=False),
    sa.Column("model", sa.ForeignKey("models.name"), nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("since", sa.String(27), nullable=False),
    sa.Index(None, "model", "id"),
)

judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("id", sa.ForeignKey("log.id"), primary_key=True, autoincrement=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("judged", sa.String(27), nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["versions.model", "versions.number"]),
    sa.Index(None, "model", "id"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("move", sa.ForeignKey("moves.id"), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created", sa.String(27), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt", sa.String(27)),  # null if it was delivered or given up
    sa.Column("delivered", sa.String(27)),
    sa.Column("problem", sa.Text),
    sa.Index(None, "next_attempt"),
)

sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("id", sa.String(96), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),  # in the order in which they were started
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("champion", sa.Integer),
    sa.Column("registered", sa.Integer),
    sa.Column("problem", sa.Text),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("created", sa.String(27), nullable=False),
    sa.Column("ended", sa.String(27)),
    # counts the processes that have held the lease; writes of older ones are refused
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(256)),  # of the lease: host and process
    sa.Column("expires", sa.String(27)),  # when another process may take over
    sa.Column("processor", sa.Text),  # that its figures were computed with
)

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    # counts the attempts of workers; writes of older ones are refused
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(64)),  # that trains the group now
    sa.Column("state", sa.String(64)),  # file from which the training of all its trials resumes
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("problem", sa.Text),
    sa.Column("wave", sa.Integer, nullable=False),  # trials of a wave were suggested together, and compete
    sa.Column("group", sa.Integer, nullable=False),  # trials of a group are trained together
    sa.Column("basis", sa.Text),  # the trials on which its suggestion is based, such as 1-8,10
    sa.Column("confirms", sa.Integer),  # the trial whose config it repeats with another seed
    sa.Column("thawed", sa.Boolean, nullable=False),  # continues whatever the scheduler says
    sa.Column("outranked", sa.Boolean, nullable=False),  # its weights are not kept: it can no longer be chosen
    sa.Column("answers", sa.String(64)),  # file with the validation examples that its best weights got right
    sa.ForeignKeyConstraint(["sweep", "group"], ["groups.sweep", "groups.number"]),
)

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("sweep", sa.String(96), primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("checkpoint", sa.String(64)),
    sa.Column("reported", sa.String(27), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # in order of arrival within the sweep
    sa.ForeignKeyConstraint(["sweep", "trial"], ["trials.sweep", "trials.number"]),
    sa.UniqueConstraint("sweep", "number"),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("sweep", sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # in order within the sweep
    sa.Column("kind", sa.String(16), nullable=False),  # resumed, extended or failed
    sa.Column("trial", sa.Integer),  # that failed
    sa.Column("why", sa.Text),  # its problem, or how the sweep had ended before
    sa.Column("who", sa.String(128)),
    sa.Column("happened", sa.String(27), nullable=False),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("receipt", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("predicted", sa.String(256), nullable=False),
    sa.Column("confidence_bin", sa.String(8), nullable=False),
    sa.Column("label", sa.String(256), nullable=False),
    sa.Column("predicted_at", sa.String(27), nullable=False),
    sa.Column("received", sa.String(27), nullable=False),
    sa.Index(None, "model", "version", "received"),
)

inputs = sa.Table(  # inputs that an endpoint kept, if it is set to; the bytes of one example
    "inputs",
    metadata,
    sa.Column("receipt", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("example", sa.LargeBinary, nullable=False),
    sa.Column("kept", sa.String(27), nullable=False),
    sa.Index(None, "model", "kept"),
)


def now() -> str:
    """The current time in the format of all tables: ISO 8601 in UTC with microseconds, which sorts as text."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
