"""Keeping a store sound: checking it, copying it, giving back the space of what was deleted."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, RowMapping, delete, exists

from ..networks.errors import StoreCorruptError, StoreError, StoreLockedError
from . import schema
from .database import Database
from .faults import translate
from .queries import stream_rows
from .records import all_devices, device_record
from .rows import row_problems
from .salvage import survey
from .tallies import counted, recounted

_MOST_LINES = 100  # of the database's own check; a damaged page can give one for each of its cells


@dataclass(frozen=True)
class CheckReport:
    """What `Store.check` found.

    Attributes:
        rows: how many rows were read.
        problems: one line each; empty when the store is sound.
        standing: rows of a damaged store that can be saved (`lutra.luts.salvage`); None for a sound store, and for one
            on a server.
    """

    rows: int
    problems: tuple[str, ...]
    standing: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class Compaction:
    """What `Store.compact` did.

    Attributes:
        before_bytes: size of the store's file and its journal before.
        after_bytes: the same afterwards.
    """

    before_bytes: int
    after_bytes: int


def check(database: Database) -> CheckReport:
    """Read everything and report what is damaged, without changing it."""
    rows, unreadable = 0, False
    devices: Sequence[RowMapping] = ()
    problems = [f"database: {line}" for line in _database_problems(database)]
    try:
        with database.read() as connection:
            devices = connection.execute(all_devices()).mappings().all()
    except StoreError as error:
        problems.append(f"database: {error.message}")
    for device in devices:
        try:
            device_record(device, database.where)
        except StoreCorruptError as error:
            problems.append(error.message)
        try:
            for batch in stream_rows(database, device["id"], None):
                rows += len(batch)
                for row in batch:
                    problems += row_problems(row._mapping, device["name"], device["digest"])
        except StoreError as error:
            unreadable = True
            problems.append(f"rows of {device['name']} from number {rows + 1} on: {error.message}")
    if not problems:  # else the rows cannot be counted, or are miscounted for the same reason
        problems += _tally_problems(database, devices)
    path = database.location.path
    if not problems or path is None:
        return CheckReport(rows, tuple(problems))
    try:
        found = survey(path)
    except StoreCorruptError:
        return CheckReport(rows, tuple(problems), 0)
    lost = found.lost if unreadable else ()  # by name, where it was not yet found above
    return CheckReport(rows, tuple(dict.fromkeys([*problems, *lost])), found.rows)


def _tally_problems(database: Database, devices: Sequence[RowMapping]) -> list[str]:
    """Where the rows are not as many as the tally says."""
    with database.read() as connection:
        told, there = counted(connection), recounted(connection)
    pairs = [(device["name"], there.get(device["id"], {}), told.get(device["id"], {})) for device in devices]
    return [f"{name} has {are} rows by kind, and the tally says {said}" for name, are, said in pairs if are != said]


def check_damaged(path: Path, fault: StoreError) -> CheckReport:
    """Report on a file that is too damaged to be opened as a store.

    Args:
        path: the file.
        fault: why it cannot be opened.

    Raises:
        StoreCorruptError: nothing at all can be read from it.
    """
    found = survey(path)
    return CheckReport(found.rows, (fault.message, *found.lost), found.rows)


def backup(database: Database, path: Path) -> None:
    """Write a consistent copy of an SQLite store to a new file, while others may be writing.

    Raises:
        StoreError: the file exists, or cannot be written.
    """
    if path.exists():
        raise StoreError(f"{path} exists already", hint="give a new name for the backup")
    with database.autocommit() as connection:
        try:
            connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            fault = translate(str(path), error)
            if isinstance(fault, StoreCorruptError | StoreLockedError):  # of the store, not of the copy
                raise
            raise type(fault)(fault.message, hint="give the backup another place, with as much room") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def compact(database: Database) -> Compaction:
    """Rewrite an SQLite store without gaps, and empty its journal.

    Raises:
        StoreFullError: no room for the copy that this makes.
        StoreLockedError: another process is using the store.
    """
    before = _size_bytes(database)
    with database.write() as connection:
        drop_unused_subjects(connection)
    with database.autocommit() as connection:
        connection.execute("VACUUM")
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreLockedError(
            f"another process is reading {database.where}; its journal could not be emptied",
            hint="wait until it is done, then try again",
        )
    return Compaction(before, _size_bytes(database))


def drop_unused_subjects(connection: Connection) -> None:
    """Delete subjects that no device has a row of any more."""
    used = exists().where(schema.measurement.c.subject_id == schema.subject.c.id)
    connection.execute(delete(schema.subject).where(~used))


def _size_bytes(database: Database) -> int:
    path = database.location.path
    assert path is not None
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _database_problems(database: Database) -> list[str]:
    if database.location.path is None:
        return []
    lines: list[str] = []
    try:
        with database.autocommit() as connection:
            lines += [line for (line,) in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})") if line != "ok"]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    except StoreError as error:  # too damaged for SQLite's own check to finish
        return [*lines, error.message]
    return lines + [f"row {orphan[1]} of {orphan[0]} refers to a missing {orphan[2]}" for orphan in orphans]
