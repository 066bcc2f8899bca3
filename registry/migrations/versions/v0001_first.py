"""Versions, aliases and their moves; sweeps, trials and reports; feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
    )
    op.create_table(
        "versions",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("manifest", sa.String(64), nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_versions_model"),
    )
    op.create_table(
        "aliases",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_aliases"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_aliases_model_number"
        ),
    )
    op.create_table(
        "moves",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("from_number", sa.Integer),
        sa.Column("to_number", sa.Integer, nullable=False),
        sa.Column("verdict", sa.JSON, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("moved", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moves"),
        sa.ForeignKeyConstraint(
            ["model", "to_number"], ["versions.model", "versions.number"], name="fk_moves_model_to_number"
        ),
    )
    op.create_index("ix_moves_model_id", "moves", ["model", "id"])
    op.create_table(
        "sweeps",
        sa.Column("id", sa.String(96), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("champion", sa.Integer),
        sa.Column("registered", sa.Integer),
        sa.Column("problem", sa.Text),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("ended", sa.String(27)),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
    )
    op.create_index("ix_sweeps_created", "sweeps", ["created"])
    op.create_table(
        "trials",
        sa.Column("sweep", sa.String(96), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("problem", sa.Text),
        sa.PrimaryKeyConstraint("sweep", "number", name="pk_trials"),
        sa.ForeignKeyConstraint(["sweep"], ["sweeps.id"], name="fk_trials_sweep"),
    )
    op.create_table(
        "reports",
        sa.Column("sweep", sa.String(96), nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("checkpoint", sa.String(64)),
        sa.Column("reported", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "trial", "epoch", name="pk_reports"),
        sa.ForeignKeyConstraint(["sweep", "trial"], ["trials.sweep", "trials.number"], name="fk_reports_sweep_trial"),
    )
    op.create_table(
        "feedback",
        sa.Column("receipt", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("predicted", sa.String(256), nullable=False),
        sa.Column("confidence_bin", sa.String(8), nullable=False),
        sa.Column("label", sa.String(256), nullable=False),
        sa.Column("predicted_at", sa.String(27), nullable=False),
        sa.Column("received", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("receipt", name="pk_feedback"),
    )
    op.create_index("ix_feedback_model_version_received", "feedback", ["model", "version", "received"])
