"""The database of rows: each one on disk when `Store.record` returns."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import delete, select, update

from ..networks.errors import LutraError, StoreCorruptError, UsageError
from . import schema
from ._json import canonical, parse_object
from .database import Database
from .dialects import insert_into
from .fingerprint import Fingerprint
from .leases import STALE_AFTER_S, Lease
from .location import Location, check_file, default_store_path, locate
from .measurement import Measurement, utc_now
from .migrate import require_current_schema
from .numbers import NumberColumns, RowNumbers, page_of_numbers, stream_numbers
from .queries import DeviceSummary, by_kind, content_mark, select_keys, select_one, select_some, stream_rows
from .records import DeviceLike, DeviceRecord, all_devices, device_record, find_device
from .rows import measurement_from
from .table import Table
from .tallies import counted
from .upkeep import CheckReport, Compaction, backup, check, compact, drop_unused_subjects
from .writing import write_rows

__all__ = [
    "CheckReport",
    "Compaction",
    "DeviceLike",
    "DeviceRecord",
    "DeviceSummary",
    "Lease",
    "RowNumbers",
    "Store",
    "default_store_path",
]


class Store:
    """Devices and their measurements in a database (SQLite in a file; PostgreSQL by URL).

    Open one with `Store.open`; it is a context manager. Every method is one short transaction, or several for
    the iterators, so that processes can share a store. Threads may share a `Store`.

    Every method may raise `StoreError` or a child: `StoreReadOnlyError`, `StoreFullError`, `StoreLockedError`
    (another process kept the write lock for longer than the timeout), `StoreCorruptError`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(
        cls,
        url_or_path: str | os.PathLike[str] | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        timeout_s: float = 10.0,
    ) -> Self:
        """Open a store, creating or upgrading it if need be.

        Args:
            url_or_path: a file, ``sqlite:///path`` or ``postgresql://user@host/name``. Omitted: the environment
                variable ``LUTRA_STORE``, else ``lutra.db`` in the user's data folder.
            create: make the store, and its folder, where there is none.
            read_only: never write; refuses a store that would have to be created or upgraded.
            timeout_s: how long to wait for another process's transaction.

        Raises:
            UsageError: a malformed URL, or a store in memory.
            SchemaTooNewError: a newer version of Lutra wrote it.
            StoreReadOnlyError: the file or its folder cannot be written.
            StoreCorruptError: not a database, or a damaged one.
            StoreError: it does not exist and may not be created, or belongs to another program.
        """
        location: Location = locate(url_or_path)
        if location.path:
            check_file(location.path, create=create, read_only=read_only)
        database = Database(location, read_only=read_only, timeout_s=timeout_s)
        try:
            database.connect()
            require_current_schema(database, create=create)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def location(self) -> str:
        """The store's path, or its URL without the password."""
        return self._database.where

    @property
    def database(self) -> Database:
        """The connections, for whoever keeps tables of their own beside the store's (`lutra.luts.migrate.Lineage`)."""
        return self._database

    def close(self) -> None:
        """Close the connections. A store is also a context manager that does this."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- devices ------------------------------------------------------------------------------------------

    def register_device(self, fingerprint: Fingerprint, name: str) -> DeviceRecord:
        """Make a device known, or known under another name; marks it as the one used last."""
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"device name is {name!r}", hint="give the device a name, such as 'host'")
        row = {
            "digest": fingerprint.digest,
            "name": name,
            "fingerprint": fingerprint.to_json(),
            "created_at": utc_now(),
            "used_at": utc_now(),
        }
        same = schema.device.c.digest == fingerprint.digest
        with self._database.write() as connection:
            if connection.execute(insert_into(connection, schema.device, row, ("digest",)), [row]).rowcount == 0:
                renewed = {key: row[key] for key in ("name", "fingerprint", "used_at")}
                connection.execute(update(schema.device).where(same).values(renewed))
            found = connection.execute(select(schema.device).where(same)).mappings().one()
            return device_record(found, self.location)

    def devices(self) -> list[DeviceRecord]:
        """Return all devices, the one used last first."""
        with self._database.read() as connection:
            return [device_record(row, self.location) for row in connection.execute(all_devices()).mappings()]

    def summaries(self) -> list[DeviceSummary]:
        """Return how many rows there are of each device, the one used last first; reads no rows."""
        with self._database.read() as connection:
            counts = counted(connection)
            found = connection.execute(all_devices()).mappings().all()
        return [
            DeviceSummary(device=device_record(row, self.location), counts=counts.get(row["id"], {})) for row in found
        ]

    def device(self, device: DeviceLike) -> DeviceRecord:
        """Return a device's record.

        Raises:
            UnknownNameError: no such device; lists the names of those there are.
        """
        with self._database.read() as connection:
            return device_record(find_device(connection, device), self.location)

    def delete_device(self, device: DeviceLike) -> int:
        """Remove a device with all its rows; return how many rows there were."""
        with self._database.write() as connection:
            found = find_device(connection, device)
            owned = schema.measurement.c.device_id == found["id"]
            removed = connection.execute(delete(schema.measurement).where(owned)).rowcount
            connection.execute(delete(schema.device).where(schema.device.c.id == found["id"]))
            drop_unused_subjects(connection)
            return removed

    def lease(self, device: DeviceLike, *, stale_after_s: float = STALE_AFTER_S) -> Lease:
        """Return the right to profile a device, to be held by a ``with`` block.

        Entering the block raises StoreLockedError when another process holds the device, and says which.
        """
        with self._database.read() as connection:
            found = find_device(connection, device)
        return Lease(self._database, found["id"], found["name"], stale_after_s)

    # -- rows ---------------------------------------------------------------------------------------------

    def record(self, device: DeviceLike, row: Measurement, *, replace: bool = False) -> bool:
        """Store a measurement; it is on disk when this returns.

        Args:
            device: a registered device.
            row: the measurement.
            replace: overwrite an earlier row of the same subject; otherwise the earlier one is kept.

        Returns:
            Whether the row was written.
        """
        return self.record_many(device, (row,), replace=replace) == 1

    def record_many(self, device: DeviceLike, rows: Iterable[Measurement], *, replace: bool = False) -> int:
        """Store measurements in one transaction: all are on disk when this returns, or none if it raises.

        Args:
            device: a registered device.
            rows: consumed a few hundred at a time, so that memory stays bounded; whatever iterating over them
                raises is raised here. No other process can write meanwhile, so they should come quickly.
            replace: as in `record`.

        Returns:
            How many rows were written.
        """
        with self._database.write() as connection:
            return write_rows(connection, find_device(connection, device), rows, replace=replace)

    def get(self, device: DeviceLike, kind: str, key: str) -> Measurement | None:
        """Return the row of a subject whatever its status, or None."""
        with self._database.read() as connection:
            found = find_device(connection, device)
            values = {"device_id": found["id"], "kind": kind, "key": key}
            columns = connection.execute(select_one(), values).mappings().one_or_none()
        return None if columns is None else measurement_from(columns, found["name"])

    def get_many(self, device: DeviceLike, subjects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Measurement]:
        """Return the rows of some hundred subjects, given as kind and key; those without a row are left out."""
        rows: dict[tuple[str, str], Measurement] = {}
        with self._database.read() as connection:
            found = find_device(connection, device)
            for kind, keys in by_kind(subjects).items():
                for columns in connection.execute(select_some(found["id"], kind, keys)).mappings():
                    rows[kind, columns["subject_key"]] = measurement_from(columns, found["name"])
        return rows

    def has(self, device: DeviceLike, kind: str, key: str, *, statuses: Collection[str] | None = None) -> bool:
        """Say whether there is a row of a subject (with one of these statuses, if given)."""
        with self._database.read() as connection:
            query = select_keys(find_device(connection, device)["id"], kind, statuses)
            return connection.execute(query.where(schema.subject.c.key == key)).first() is not None

    def keys(self, device: DeviceLike, kind: str, *, statuses: Collection[str] | None = None) -> set[str]:
        """Return the keys of all rows of a subject kind (with one of these statuses, if given)."""
        with self._database.read() as connection:
            query = select_keys(find_device(connection, device)["id"], kind, statuses)
            return set(connection.execute(query).scalars())

    def measurements(self, device: DeviceLike, kind: str | None = None) -> Iterator[Measurement]:
        """Iterate over the rows of a device in bounded memory, in the order in which the store met their subjects.

        Raises:
            StoreCorruptError: names the damaged row.
        """
        with self._database.read() as connection:
            found = find_device(connection, device)
        for batch in stream_rows(self._database, found["id"], kind):
            for row in batch:
                yield measurement_from(row._mapping, found["name"])

    def stored_rows(self, device: DeviceLike) -> Iterator[Mapping[str, Any]]:
        """Iterate over the rows of a device as they are stored, samples packed, for copies: nothing is decoded.

        The columns are those that `lutra.luts.rows.measurement_from` takes.
        """
        with self._database.read() as connection:
            found = find_device(connection, device)
        for batch in stream_rows(self._database, found["id"], None):
            yield from (row._asdict() for row in batch)

    def numbers(self, device: DeviceLike, kind: str | None = None) -> Iterator[RowNumbers]:
        """Iterate over the rows of a device as `measurements` does, but read no samples: much quicker."""
        for columns in self.number_columns(device, kind):
            yield from columns.rows()

    def number_page(
        self, device: DeviceLike, kind: str | None = None, *, after: int = 0, limit: int = 100
    ) -> tuple[list[RowNumbers], int | None]:
        """Return the numbers of some rows in the order of `numbers`, and where the next ones begin.

        It takes as long wherever the page is, and however many rows there are.

        Args:
            device: a registered device.
            kind: only this subject kind.
            after: 0, or what the page before gave.
            limit: the most rows.

        Returns:
            The rows, and what ``after`` has to be for the next page; None behind the last one.
        """
        with self._database.read() as connection:
            found = find_device(connection, device)
            return page_of_numbers(connection, found["id"], kind, after=after, limit=limit)

    def content_mark(self, device: DeviceLike) -> str:
        """Return text that changes whenever a row or a document of a device does; equal text means equal content.

        Rows from before there were checksums count with their number and the newest of their moments only.
        """
        with self._database.read() as connection:
            return content_mark(connection, find_device(connection, device)["id"])

    def change_mark(self) -> str:
        """Return text that differs after anybody, this process included, has committed something to the store.

        Much quicker than reading anything; on a server, commits to its other databases count too.
        """
        return self._database.change_mark()

    def number_columns(self, device: DeviceLike, kind: str | None = None) -> Iterator[NumberColumns]:
        """Iterate over what `numbers` gives by columns, some rows at a time, for tools that take columns."""
        with self._database.read() as connection:
            found = find_device(connection, device)
        return stream_numbers(self._database, found["id"], kind)

    def table(self, device: DeviceLike) -> Table:
        """Return all rows of a device in memory, with its documents."""
        record = self.device(device)
        documents = self.documents(record)
        return Table(record.fingerprint, self.measurements(record), name=record.name, documents=documents)

    # -- documents ----------------------------------------------------------------------------------------

    def set_document(self, device: DeviceLike, name: str, value: Mapping[str, Any]) -> None:
        """Keep a JSON document with a device, in place of an earlier one of that name.

        Args:
            device: a registered device.
            name: at most 64 characters.
            value: plain JSON data.
        """
        with self._database.write() as connection:
            row = {"device_id": find_device(connection, device)["id"], "name": name, "value": canonical(value)}
            statement = insert_into(connection, schema.document, row, ("device_id", "name"), replace=True)
            connection.execute(statement, [row])

    def document(self, device: DeviceLike, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None.

        Raises:
            StoreCorruptError: it is damaged.
        """
        with self._database.read() as connection:
            found = find_device(connection, device)
            mine = (schema.document.c.device_id == found["id"]) & (schema.document.c.name == name)
            text = connection.execute(select(schema.document.c.value).where(mine)).scalar_one_or_none()
        try:
            return None if text is None else parse_object(text, f"the document {name!r} of {found['name']}")
        except LutraError as error:
            raise StoreCorruptError(error.message, hint="delete the device, or restore a backup") from error

    def documents(self, device: DeviceLike) -> dict[str, Any]:
        """Return all documents of a device by name.

        Raises:
            StoreCorruptError: one is damaged.
        """
        with self._database.read() as connection:
            mine = schema.document.c.device_id == find_device(connection, device)["id"]
            names = list(connection.execute(select(schema.document.c.name).where(mine)).scalars())
        return {name: self.document(device, name) for name in names}

    # -- upkeep -------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that the block does in this thread together, or nothing if it raises.

        No other process can write meanwhile, so the block should be short.
        """
        with self._database.write():
            yield

    def check(self) -> CheckReport:
        """Read everything and report what is damaged, and how much stands, without changing it."""
        return check(self._database)

    def compact(self) -> Compaction:
        """Give the space of deleted rows back to the system, and the journal's with it.

        Needs about as much free space as the store takes, and a moment in which nobody else writes.

        Raises:
            UsageError: the store is on a server, which does that itself.
        """
        self._require_file("compacts itself (autovacuum)")
        return compact(self._database)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of an SQLite store to a new file, while others may be writing.

        Raises:
            UsageError: the store is on a server.
            StoreError: the file exists, or cannot be written.
        """
        self._require_file("has its own backup (pg_dump)")
        backup(self._database, Path(path).expanduser().absolute())

    def _require_file(self, alternative: str) -> None:
        if self._database.location.path is None:
            raise UsageError("the store is on a server", hint=f"the server {alternative}")
