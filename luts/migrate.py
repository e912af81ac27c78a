"""Bringing a database to this version's schema. Alembic is imported only when there is something to do."""

import logging
import shlex
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from ..networks.errors import SchemaTooNewError, StoreCorruptError, StoreError, StoreReadOnlyError
from . import schema
from .database import Database
from .measurement import utc_now
from .upkeep import backup

logger = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def require_current_schema(database: Database, *, create: bool) -> None:
    """Make the schema this version's: create it in an empty database, upgrade an older one after a backup.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote it.
        StoreReadOnlyError: it must be upgraded but was opened read-only.
        StoreError: it is empty and may not be filled, or it belongs to another program.
    """
    with database.read() as connection:
        revision = _revision(connection, database.where)
    if revision == schema.REVISIONS[-1]:
        if not database.read_only:
            database.use_wal()
        return
    if revision is None and (database.read_only or not create):
        raise StoreError(f"{database.where} is empty", hint="fill it with 'lutra profile'")
    if database.read_only:
        raise StoreReadOnlyError(
            f"{database.where} has the older schema {revision}, which must be upgraded to {schema.REVISIONS[-1]}",
            hint=f"lutra table upgrade --store {shlex.quote(database.where)}",
        )
    database.use_wal()
    if database.location.path and revision is not None:
        copy = _backup_path(database.location.path, revision)
        logger.warning("upgrading %s; the old one is kept as %s", database.where, copy)
        backup(database, copy)
    with database.write() as connection:
        # Another process may have done it while this one waited for the lock.
        revision = _revision(connection, database.where)
        if revision != schema.REVISIONS[-1]:
            _upgrade(connection)
        if revision is None:
            connection.execute(schema.meta.insert().values(key="created_at", value=utc_now()))


def _revision(connection: Connection, where: str) -> str | None:
    """Return the schema's revision; None in an empty database."""
    tables = set(inspect(connection).get_table_names())
    if schema.REVISION_TABLE not in tables:
        if tables and connection.dialect.name == "sqlite":
            raise StoreError(
                f"{where} is the database of another program (it has {', '.join(sorted(tables)[:3])})",
                hint="point LUTRA_STORE at another file",
            )
        return None
    found = connection.execute(text(f"SELECT version_num FROM {schema.REVISION_TABLE}")).scalars().all()
    if len(found) != 1:
        raise StoreCorruptError(
            f"{where} has {len(found)} schema revisions instead of one", hint="restore it from a backup"
        )
    revision = str(found[0])
    if revision not in schema.REVISIONS:
        raise SchemaTooNewError(revision, schema.REVISIONS[-1])
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _backup_path(path: Path, revision: str) -> Path:
    stem = f"{path.name}.schema-{revision}"
    number = 0
    while (copy := path.with_name(f"{stem}{f'-{number}' * bool(number)}.bak")).exists():
        number += 1
    return copy
