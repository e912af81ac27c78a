"""The first tables of the service: jobs, what happened to them, their logs and files."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "job",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("limit_s", sa.Float(53)),
        sa.Column("idempotency_key", sa.String(255), unique=True),
        sa.Column("waits_for", sa.String(32)),
        sa.Column("cloned_from", sa.String(32)),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(32)),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("losses", sa.Integer, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("log_bytes", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("host", sa.Text),
        sa.Column("pid", sa.BigInteger),
        sa.Column("token", sa.String(32)),
        sa.Column("heartbeat_ms", sa.BigInteger),
    )
    op.create_index("ix_job_state", "job", ["state", "priority", "number"])
    op.create_index("ix_job_waits_for", "job", ["waits_for"])
    running = sa.text("device IS NOT NULL AND state IN ('running', 'cancelling')")
    op.create_index(
        "uq_job_running_device", "job", ["device"], unique=True, sqlite_where=running, postgresql_where=running
    )
    _of_job("job_event", sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False))
    _of_job("job_log", sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False))
    _of_job(
        "job_file",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        content=sa.LargeBinary(),
    )


def _of_job(
    table: str,
    *columns: "sa.Column[object]",
    content: "sa.types.TypeEngine[str] | sa.types.TypeEngine[bytes] | None" = None,
) -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        table,
        sa.Column(
            "job_number",
            number,
            sa.ForeignKey("job.number", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        *columns,
        sa.Column("content", content or sa.Text(), nullable=False),
    )
