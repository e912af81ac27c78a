"""A checksum of each row, so that damage shows that nothing else would show."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; rows from before have none, because nobody knows any more what was written."""
    op.add_column("measurement", sa.Column("checksum", sa.BigInteger))
