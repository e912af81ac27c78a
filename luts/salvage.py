"""Saving what stands in a damaged SQLite store: row by row, around the pages that cannot be read.

A store that SQLite refuses to open because its end is missing is read all the same (``PRAGMA writable_schema`` tells
SQLite that its file is under repair). Rows are looked up by their number in the table alone, because an index may be
damaged where the table is not. A row stands if its samples give its statistics and its checksum is the one that was
written with it; whatever else can be read is counted as lost.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..networks.errors import LutraError, StoreCorruptError, StoreError
from . import schema
from ._json import parse_object
from .faults import translated
from .measurement import Measurement
from .records import DeviceRecord, device_record
from .rows import measurement_from, row_problems

if TYPE_CHECKING:
    from .store import Store

logger = logging.getLogger(__name__)

_SMALLEST_ROW: Final = 128  # bytes that a row takes at the least, to bound the number of rows in a file
_WIDE: Final = 4096  # rows: a range that is not searched to its end where all of so many probes fail
_PROBES: Final = 256
_MOST_LOOKUPS: Final = 200  # each reads the whole index
# The plus keeps SQLite from looking in the table, which is what cannot be read.
_BY_INDEX: Final = (
    "SELECT device_id, subject_id FROM measurement INDEXED BY sqlite_autoindex_measurement_1 WHERE +id BETWEEN ? AND ?"
)
_LAST_NUMBER: Final = (1 << 63) - 1
_NOTHING: Final = dict.fromkeys(column.name for column in schema.measurement.columns)
_MOST_LINES: Final = 1000  # lines about what is lost; a count says how many there are beyond


@dataclass(frozen=True)
class Survey:
    """What stands in a damaged store.

    Attributes:
        rows: rows that stand.
        lost: what does not, one line each.
    """

    rows: int
    lost: tuple[str, ...]


def survey(path: Path) -> Survey:
    """Read whatever can be read from a store's file, without changing it.

    Args:
        path: an SQLite store, damaged or not.

    Raises:
        StoreCorruptError: nothing at all can be read.
    """
    with closing(_Reader(path)) as reader:
        rows = sum(1 for _ in reader.rows())
        return Survey(rows, reader.lost())


def salvage(path: Path, new: Path) -> Survey:
    """Copy whatever stands in a damaged store into a new one.

    Args:
        path: an SQLite store, damaged or not; it is not changed.
        new: the file to make; it is there when all is in it, or not at all.

    Raises:
        StoreCorruptError: nothing at all can be read.
        StoreError: the new file exists, or cannot be written.
    """
    from .store import Store  # which needs this module for its check

    if new.exists():
        raise StoreError(f"{new} exists already", hint="give a new name")
    with closing(_Reader(path)) as reader:
        try:
            with Store.open(new) as store, store.transaction():
                rows = _copy(reader, store)
        except BaseException:
            for suffix in ("", "-wal", "-shm"):
                new.with_name(new.name + suffix).unlink(missing_ok=True)
            raise
        return Survey(rows, reader.lost())


def _copy(reader: "_Reader", store: "Store") -> int:
    """Write all that stands; returns how many rows."""
    for record in sorted(reader.devices.values(), key=lambda record: record.used_at):
        store.register_device(record.fingerprint, record.name)
        for name, value in reader.documents(record):
            store.set_document(record, name, value)
    rows = 0
    for digest, group in groupby(reader.rows(), key=lambda found: found[0].digest):
        rows += store.record_many(digest, (row for _, row in group))
    return rows


class _Reader:
    """Reads one damaged file, and keeps count of what it could not read."""

    def __init__(self, path: Path) -> None:
        path = path.absolute()
        self._where = str(path)
        self._lost: list[str] = []
        self._left_out = self._lookups = 0
        self._most_rows = path.stat().st_size
        self._connection = self._open(path)
        self._columns = {name: self._present(name) for name in ("device", "subject", "measurement", "document")}
        self._most_rows = self._announced_bytes() // _SMALLEST_ROW + 1
        self.devices = self._read_devices()

    def close(self) -> None:
        self._connection.close()

    def lost(self) -> tuple[str, ...]:
        """What could not be read so far."""
        more = [f"... and {self._left_out} more"] if self._left_out else []
        return (*self._lost, *more)

    def rows(self) -> Iterator[tuple[DeviceRecord, Measurement]]:
        """Iterate over the rows that stand, with their devices."""
        for columns in self._scan("measurement"):
            device = self.devices.get(columns["device_id"])
            if device is None:
                self._lose(f"row {columns['id']}: it belongs to a device that cannot be read")
                continue
            subject = self._one("subject", columns["subject_id"])
            if subject is None:
                self._lose(f"row {columns['id']} of {device.name}: what was measured cannot be read")
                continue
            named = {f"subject_{name}": subject[name] for name in ("kind", "key", "label", "spec")}
            joined = {**_NOTHING, **columns, **named}
            if problems := row_problems(joined, device.name, device.digest):
                for line in problems:
                    self._lose(line)
                continue
            yield device, measurement_from(joined, device.name)

    def documents(self, device: DeviceRecord) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over the documents of a device that can be read, by name."""
        for columns in self._scan("document", "rowid"):
            owner = self.devices.get(columns["device_id"])
            if owner is None or owner.digest != device.digest:
                continue
            try:
                yield str(columns["name"]), parse_object(str(columns["value"]), f"the document {columns['name']!r}")
            except LutraError as error:
                self._lose(f"{device.name}: {error.message}")

    def _open(self, path: Path) -> sqlite3.Connection:
        """As a file that nobody writes, which leaves nothing beside it, unless there are rows in its journal."""
        journal = path.with_name(f"{path.name}-wal")
        live = journal.exists() and journal.stat().st_size > 0
        for mode in ("mode=ro",) * live + ("mode=ro&immutable=1",):
            connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA writable_schema=ON")
                connection.execute("BEGIN")  # one for all that follows: nobody's writing comes in between
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return connection
            except sqlite3.Error as error:
                connection.close()
                failure = error
        with translated(self._where):
            raise failure
        raise AssertionError  # translated() has raised

    def _present(self, table: str) -> set[str]:
        """Columns that a table has: older schemas have fewer."""
        with translated(self._where):
            # Their names alone: what else is said of them may be damaged, and is not needed.
            found = self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
            return {row["name"] for row in found}

    def _announced_bytes(self) -> int:
        """Size of the file as its first page tells, which is more than it is now if its end is missing."""
        with translated(self._where):
            (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = self._connection.execute("PRAGMA page_size").fetchone()
        return max(int(pages) * int(page_bytes), self._most_rows)

    def _read_devices(self) -> dict[int, DeviceRecord]:
        """Devices by number; those whose fingerprint is not intact are lost with their rows."""
        if not {"digest", "fingerprint"} <= self._columns["device"]:
            raise StoreCorruptError(f"{self._where} has no table of devices", hint="restore it from a backup")
        found = {}
        for columns in self._scan("device"):
            moments_and_name = (columns["name"], columns["created_at"], columns["used_at"])
            if not all(isinstance(value, str) and value.strip() for value in moments_and_name):
                self._lose(f"device {columns['id']}: its name or its dates are damaged")
                continue
            try:
                found[columns["id"]] = device_record(columns, self._where)
            except StoreCorruptError as error:
                self._lose(error.message)
        return found

    def _scan(self, table: str, number: str = "id") -> Iterator[dict[str, Any]]:
        """Iterate over the rows of a table, around those that cannot be read.

        Where reading fails, the range of numbers that is left is halved until the damaged ones stand alone, or nothing
        in a wide range can be read any more.
        """
        if not self._columns[table]:
            return
        most = self._last(table, number)
        pending = [(most + 1, _LAST_NUMBER), (1, most)]
        gap: tuple[int, int] | None = None
        while pending:
            low, high = pending.pop()
            try:
                for row in self._range(table, number, low, high):
                    yield dict(row)
                    low = row["number"] + 1
            except sqlite3.Error as error:
                logger.debug("%s %d to %d: %s", table, low, high, error)
                if low < high <= most and not self._is_dead(table, number, low, high):
                    middle = (low + high) // 2
                    pending += [(middle + 1, high), (low, middle)]
                elif gap and gap[1] == low - 1:
                    gap = (gap[0], high)
                else:
                    self._lose_range(table, gap)
                    gap = (low, high)
        self._lose_range(table, gap)

    def _range(self, table: str, number: str, low: int, high: int) -> Iterator[sqlite3.Row]:
        query = (
            f"SELECT {number} AS number, * FROM {table} NOT INDEXED WHERE {number} BETWEEN ? AND ? ORDER BY {number}"
        )
        return self._connection.execute(query, (low, high))

    def _is_dead(self, table: str, number: str, low: int, high: int) -> bool:
        """Whether nothing can be read anywhere in a range that is too wide to try all of it."""
        if high - low < _WIDE:
            return False
        return not any(self._can_be_read(table, number, at) for at in range(low, high, (high - low) // _PROBES))

    def _can_be_read(self, table: str, number: str, at: int) -> bool:
        try:
            next(self._range(table, number, at, at), None)
        except sqlite3.Error:
            return False
        return True

    def _one(self, table: str, number: int) -> dict[str, Any] | None:
        try:
            row = next(self._range(table, "id", number, number), None)
        except (sqlite3.Error, OverflowError):
            return None
        return None if row is None else dict(row)

    def _last(self, table: str, number: str) -> int:
        """The highest number that is likely in a table: a damaged one may be any."""
        try:
            (last,) = self._connection.execute(f"SELECT max({number}) FROM {table} NOT INDEXED").fetchone()
        except sqlite3.Error:
            return self._most_rows
        return min(last or 0, self._most_rows)

    def _lose_range(self, table: str, gap: tuple[int, int] | None) -> None:
        """Say what was under numbers that cannot be read: by name where the index of the rows still tells."""
        if gap is None or (table == "measurement" and self._lose_by_name(*gap)):
            return
        end = "on" if gap[1] == _LAST_NUMBER else f"to {gap[1]}"
        numbers = f"number {gap[0]}" if gap[0] == gap[1] else f"numbers from {gap[0]} {end}"
        self._lose(f"table {table}: what has the {numbers} cannot be read")

    def _lose_by_name(self, low: int, high: int) -> bool:
        """Returns whether the index could be read to its end, and so named all rows there were."""
        self._lookups += 1
        if self._lookups > _MOST_LOOKUPS:
            return False
        try:
            for device_id, subject_id in self._connection.execute(_BY_INDEX, (low, high)):
                if len(self._lost) < _MOST_LINES:
                    self._lose(self._name(device_id, subject_id))
                else:
                    self._left_out += 1
        except sqlite3.Error:
            return False
        return True

    def _name(self, device_id: int, subject_id: int) -> str:
        device, subject = self.devices.get(device_id), self._one("subject", subject_id)
        what = f"{subject['kind']} {subject['key']} ({subject['label']})" if subject else f"subject {subject_id}"
        return f"the row of {what} on {device.name if device else f'device {device_id}'} cannot be read"

    def _lose(self, line: str) -> None:
        if len(self._lost) < _MOST_LINES:
            self._lost.append(line)
        else:
            self._left_out += 1
