"""The first schema: devices, subjects, measurements, leases, facts about the store itself."""

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
        "meta",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "device",
        sa.Column("id", number, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("used_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_device_name", "device", ["name"])
    op.create_table(
        "subject",
        sa.Column("id", number, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("macs", sa.BigInteger),
        sa.Column("bytes_moved", sa.BigInteger),
        sa.UniqueConstraint("kind", "key", name="uq_subject_kind_key"),
    )
    op.create_table(
        "measurement",
        sa.Column("id", number, primary_key=True),
        sa.Column("device_id", number, sa.ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
        sa.Column("subject_id", number, sa.ForeignKey("subject.id"), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("latency_ns", sa.Float(53)),
        sa.Column("rel_halfwidth", sa.Float(53)),
        sa.Column("p10_ns", sa.Float(53)),
        sa.Column("median_ns", sa.Float(53)),
        sa.Column("p90_ns", sa.Float(53)),
        sa.Column("iqr_ns", sa.Float(53)),
        sa.Column("sample_count", sa.Integer, nullable=False),
        sa.Column("executions_per_sample", sa.BigInteger, nullable=False),
        sa.Column("overhead_ns", sa.Float(53), nullable=False),
        sa.Column("reference_ratio", sa.Float(53)),
        sa.Column("measured_at", sa.String(32), nullable=False),
        sa.Column("flags", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("conditions", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("spec", sa.Text),
        sa.Column("rounds", sa.LargeBinary, nullable=False),
        sa.Column("samples", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("device_id", "subject_id", name="uq_measurement_device_subject"),
    )
    op.create_index("ix_measurement_subject", "measurement", ["subject_id"])
    op.create_table(
        "lease",
        sa.Column(
            "device_id",
            number,
            sa.ForeignKey("device.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("acquired_at", sa.String(32), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
    )
