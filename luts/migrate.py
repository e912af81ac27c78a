"""Bringing a database to this version's schema. Alembic is imported only when there is something to do."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, inspect, text

from ..networks.errors import SchemaTooNewError, StoreCorruptError, StoreError, StoreReadOnlyError
from . import schema
from .database import Database
from .measurement import utc_now
from .upkeep import backup

logger = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).with_name("migrations")


@dataclass(frozen=True)
class Lineage:
    """Tables that change together: whoever keeps tables of their own beside the store's has a lineage of their own.

    Attributes:
        metadata: the tables as this version wants them.
        revisions: oldest first; the last is what this version writes.
        table: of alembic's bookkeeping.
        versions: the folder of alembic's revisions.
    """

    metadata: MetaData
    revisions: tuple[str, ...]
    table: str
    versions: Path


STORE: Final = Lineage(schema.metadata, schema.REVISIONS, schema.REVISION_TABLE, MIGRATIONS / "versions")


def require_current_schema(database: Database, *, create: bool) -> None:
    """Make the schema this version's: create it in an empty database, upgrade an older one after a backup.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote it.
        StoreReadOnlyError: it must be upgraded but was opened read-only.
        StoreError: it is empty and may not be filled, or it belongs to another program.
    """
    with database.read() as connection:
        revision = _revision(connection, STORE, database.where)
        if revision is None:
            _require_nobody_elses(connection, database.where)
    if revision == STORE.revisions[-1]:
        if not database.read_only:
            database.use_wal()
        return
    if revision is None and (database.read_only or not create):
        raise StoreError(f"{database.where} is empty", hint="fill it with 'lutra profile'")
    if not database.read_only:
        database.use_wal()
    if _bring_up(database, STORE, revision):
        with database.write() as connection:
            connection.execute(schema.meta.insert().values(key="created_at", value=utc_now()))


def require_lineage(database: Database, lineage: Lineage) -> None:
    """Make the tables of another lineage this version's, in a store whose own tables are already.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote them.
        StoreReadOnlyError: they must be made or upgraded, but the store was opened read-only.
    """
    with database.read() as connection:
        revision = _revision(connection, lineage, database.where)
    if revision != lineage.revisions[-1]:
        _bring_up(database, lineage, revision)


def _bring_up(database: Database, lineage: Lineage, revision: str | None) -> bool:
    """Upgrade from a revision, or from nothing; whether there was nothing before."""
    if database.read_only:
        before = "no tables of that kind" if revision is None else f"the older schema {revision}"
        raise StoreReadOnlyError(
            f"{database.where} has {before}, which must be upgraded to {lineage.revisions[-1]}",
            hint=f"lutra table upgrade --store {shlex.quote(database.where)}",
        )
    if database.location.path and revision is not None:
        copy = _backup_path(database.location.path, revision)
        logger.warning("upgrading %s; the old one is kept as %s", database.where, copy)
        backup(database, copy)
    with database.write() as connection:
        _wait_for_others(connection)
        # Another process may have done it while this one waited for the lock.
        revision = _revision(connection, lineage, database.where)
        if revision != lineage.revisions[-1]:
            _upgrade(connection, lineage)
    return revision is None


def _wait_for_others(connection: Connection) -> None:
    """Let one process at a time upgrade: SQLite's write lock does that, a server's transactions do not."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('lutra schema'))"))


def _revision(connection: Connection, lineage: Lineage, where: str) -> str | None:
    """Return the revision of a lineage; None where there is nothing of it."""
    if not inspect(connection).has_table(lineage.table):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {lineage.table}")).scalars().all()
    if len(found) != 1:
        raise StoreCorruptError(
            f"{where} has {len(found)} schema revisions instead of one", hint="restore it from a backup"
        )
    revision = str(found[0])
    if revision not in lineage.revisions:
        raise SchemaTooNewError(revision, lineage.revisions[-1])
    return revision


def _require_nobody_elses(connection: Connection, where: str) -> None:
    tables = sorted(inspect(connection).get_table_names())
    if tables and connection.dialect.name == "sqlite":
        raise StoreError(
            f"{where} is the database of another program (it has {', '.join(tables[:3])})",
            hint="point LUTRA_STORE at another file",
        )


def _upgrade(connection: Connection, lineage: Lineage) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(lineage.versions).replace("%", "%%"))
    config.attributes.update(connection=connection, lineage=lineage)
    command.upgrade(config, "head")


def _backup_path(path: Path, revision: str) -> Path:
    stem = f"{path.name}.schema-{revision}"
    number = 0
    while (copy := path.with_name(f"{stem}{f'-{number}' * bool(number)}.bak")).exists():
        number += 1
    return copy
