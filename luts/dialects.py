"""The one statement that SQLite and PostgreSQL share but SQLAlchemy's common language lacks."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(
    connection: Connection, table: Table, columns: Collection[str], unique: Sequence[str], *, replace: bool = False
) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that meets an existing row by keeping it (rowcount 0) or replacing it; run it with rows.

    Args:
        connection: decides the dialect.
        table: where to.
        columns: names of the columns that the rows will have.
        unique: the columns of the unique constraint that decides whether a row exists.
        replace: overwrite the existing row's columns.
    """
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).execution_options(preserve_rowcount=True)
    if not replace:
        return statement.on_conflict_do_nothing(index_elements=unique)
    changed = {name: statement.excluded[name] for name in columns if name not in unique}
    return statement.on_conflict_do_update(index_elements=unique, set_=changed)
