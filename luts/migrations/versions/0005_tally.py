"""How many rows each device has of each kind, and the subjects of a kind in order: so that neither is searched for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, with the rows that there are counted, and the index."""
    op.create_table(
        "tally",
        sa.Column(
            "device_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("device.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO tally (device_id, kind, rows) SELECT m.device_id, s.kind, count(*)"
        " FROM measurement AS m JOIN subject AS s ON s.id = m.subject_id GROUP BY m.device_id, s.kind"
    )
    op.create_index("ix_subject_kind", "subject", ["kind", "id"])
