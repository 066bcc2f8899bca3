"""Indexes for long logs: of verdicts by split and version, of moves by alias, in order and by version."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("ix_verdicts_split", "verdicts")
    op.create_index("ix_verdicts_split_model_number", "verdicts", ["split", "model", "number"])
    op.create_index("ix_moves_model_alias_id", "moves", ["model", "alias", "id"])
    op.create_index("ix_moves_model_alias_to_number", "moves", ["model", "alias", "to_number"])
