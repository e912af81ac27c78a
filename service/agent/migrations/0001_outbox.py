"""The first tables of an agent."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "agent_outbox",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, nullable=False),
        sa.Column("subject_id", sa.Integer, nullable=False),
        sa.Column("refused", sa.Text),
        sa.UniqueConstraint("device_id", "subject_id", name="uq_agent_outbox_row"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "agent_assignment",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("fate", sa.String(16), nullable=False),
    )
    op.create_table(
        "agent_table",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("documents", sa.String(64), nullable=False),
    )
    op.create_table("agent_intent", sa.Column("token", sa.String(32), primary_key=True))
