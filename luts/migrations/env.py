"""Alembic's entry: runs inside the transaction that the store hands over, for the lineage that it names."""

from alembic import context

from lutra.luts.migrate import STORE

connection = context.config.attributes.get("connection")
lineage = context.config.attributes.get("lineage", STORE)
if connection is None:
    context.configure(
        dialect_name=context.config.get_main_option("dialect") or "sqlite",
        target_metadata=lineage.metadata,
        version_table=lineage.table,
        literal_binds=True,
    )
else:
    context.configure(connection=connection, target_metadata=lineage.metadata, version_table=lineage.table)
with context.begin_transaction():
    context.run_migrations()
