"""How fast the machine was around each sample: times of the two references, nominal times and elasticities."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; rows from before have none of it, and keep the number that their raw samples give."""
    op.add_column("measurement", sa.Column("normalisation", sa.Text))
    op.add_column("measurement", sa.Column("compute_reference", sa.LargeBinary))
    op.add_column("measurement", sa.Column("memory_reference", sa.LargeBinary))
