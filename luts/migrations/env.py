"""Alembic's entry: runs inside the transaction that the store hands over."""

from alembic import context

from lutra.luts.schema import REVISION_TABLE, metadata

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(
        dialect_name=context.config.get_main_option("dialect") or "sqlite",
        target_metadata=metadata,
        version_table=REVISION_TABLE,
        literal_binds=True,
    )
else:
    context.configure(connection=connection, target_metadata=metadata, version_table=REVISION_TABLE)
with context.begin_transaction():
    context.run_migrations()
