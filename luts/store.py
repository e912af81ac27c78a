"""The database of rows: each one on disk when `Store.record` returns."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from sqlalchemy import Connection, RowMapping, Select, delete, exists, select, update

from ..networks.errors import LutraError, StoreCorruptError, StoreError, UnknownNameError, UsageError
from . import schema
from ._json import canonical, parse_object
from .database import Database
from .dialects import insert_into
from .fingerprint import Fingerprint
from .leases import STALE_AFTER_S, Lease
from .location import Location, check_file, default_store_path, locate
from .measurement import Measurement, utc_now
from .migrate import backup, require_current_schema
from .rows import contradictions, measurement_columns, measurement_from, subject_columns
from .table import Table

__all__ = ["CheckReport", "DeviceLike", "DeviceRecord", "Lease", "Store", "default_store_path"]

_BATCH: Final = 256  # rows read in one short transaction
_DIGEST_PREFIX: Final = 6  # fewest digits that name a device by its digest


@dataclass(frozen=True, kw_only=True)
class DeviceRecord:
    """A device that the store knows.

    Attributes:
        name: what people call it; several devices may share a name, then the one used last is meant.
        fingerprint: what it is.
        created_at: when it was first registered, ISO 8601 in UTC.
        used_at: when it was last registered.
    """

    name: str
    fingerprint: Fingerprint
    created_at: str
    used_at: str

    @property
    def digest(self) -> str:
        """The fingerprint's digest."""
        return self.fingerprint.digest


DeviceLike: TypeAlias = str | Fingerprint | DeviceRecord
"""A fingerprint, a record, or text: a digest, the first six or more digits of one, or a name."""


@dataclass(frozen=True)
class CheckReport:
    """What `Store.check` found.

    Attributes:
        rows: how many rows were read.
        problems: one line each; empty when the store is sound.
    """

    rows: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


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
            if connection.execute(insert_into(connection, schema.device, row, ("digest",))).rowcount == 0:
                renewed = {key: row[key] for key in ("name", "fingerprint", "used_at")}
                connection.execute(update(schema.device).where(same).values(renewed))
            found = connection.execute(select(schema.device).where(same)).mappings().one()
            return self._device_record(found)

    def devices(self) -> list[DeviceRecord]:
        """Return all devices, the one used last first."""
        with self._database.read() as connection:
            return [self._device_record(row) for row in connection.execute(_devices()).mappings()]

    def device(self, device: DeviceLike) -> DeviceRecord:
        """Return a device's record.

        Raises:
            UnknownNameError: no such device; lists the names of those there are.
        """
        with self._database.read() as connection:
            return self._device_record(self._find(connection, device))

    def delete_device(self, device: DeviceLike) -> int:
        """Remove a device with all its rows; return how many rows there were."""
        with self._database.write() as connection:
            found = self._find(connection, device)
            owned = schema.measurement.c.device_id == found["id"]
            removed = connection.execute(delete(schema.measurement).where(owned)).rowcount
            connection.execute(delete(schema.device).where(schema.device.c.id == found["id"]))
            used = exists().where(schema.measurement.c.subject_id == schema.subject.c.id)
            connection.execute(delete(schema.subject).where(~used))
            return removed

    def lease(self, device: DeviceLike, *, stale_after_s: float = STALE_AFTER_S) -> Lease:
        """Return the right to profile a device, to be held by a ``with`` block.

        Entering the block raises StoreLockedError when another process holds the device, and says which.
        """
        with self._database.read() as connection:
            found = self._find(connection, device)
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
        with self._database.write() as connection:
            device_id = self._find(connection, device)["id"]
            described = subject_columns(row)
            connection.execute(insert_into(connection, schema.subject, described, ("kind", "key")))
            subject = connection.execute(_subject(row.subject_kind, row.subject_key)).mappings().one()
            owner = {"device_id": device_id, "subject_id": subject["id"]}
            columns = owner | measurement_columns(row, subject)
            statement = insert_into(connection, schema.measurement, columns, tuple(owner), replace=replace)
            return bool(connection.execute(statement).rowcount)

    def get(self, device: DeviceLike, kind: str, key: str) -> Measurement | None:
        """Return the row of a subject whatever its status, or None."""
        with self._database.read() as connection:
            found = self._find(connection, device)
            query = _rows(found["id"]).where(schema.subject.c.kind == kind, schema.subject.c.key == key)
            columns = connection.execute(query).mappings().one_or_none()
        return None if columns is None else measurement_from(columns, found["name"])

    def has(self, device: DeviceLike, kind: str, key: str, *, statuses: Collection[str] | None = None) -> bool:
        """Say whether there is a row of a subject (with one of these statuses, if given)."""
        with self._database.read() as connection:
            query = _keys(self._find(connection, device)["id"], kind, statuses).where(schema.subject.c.key == key)
            return connection.execute(query).first() is not None

    def keys(self, device: DeviceLike, kind: str, *, statuses: Collection[str] | None = None) -> set[str]:
        """Return the keys of all rows of a subject kind (with one of these statuses, if given)."""
        with self._database.read() as connection:
            query = _keys(self._find(connection, device)["id"], kind, statuses)
            return set(connection.execute(query).scalars())

    def measurements(self, device: DeviceLike, kind: str | None = None) -> Iterator[Measurement]:
        """Iterate over the rows of a device in bounded memory, in the order in which the store met their subjects.

        Raises:
            StoreCorruptError: names the damaged row.
        """
        with self._database.read() as connection:
            found = self._find(connection, device)
        for columns in self._stream(found["id"], kind):
            yield measurement_from(columns, found["name"])

    def table(self, device: DeviceLike) -> Table:
        """Return all rows of a device in memory, with its documents."""
        record = self.device(device)
        documents = {name: self.document(record, name) for name in self._document_names(record)}
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
            row = {"device_id": self._find(connection, device)["id"], "name": name, "value": canonical(value)}
            statement = insert_into(connection, schema.document, row, ("device_id", "name"), replace=True)
            connection.execute(statement)

    def document(self, device: DeviceLike, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None.

        Raises:
            StoreCorruptError: it is damaged.
        """
        with self._database.read() as connection:
            found = self._find(connection, device)
            mine = (schema.document.c.device_id == found["id"]) & (schema.document.c.name == name)
            text = connection.execute(select(schema.document.c.value).where(mine)).scalar_one_or_none()
        try:
            return None if text is None else parse_object(text, f"the document {name!r} of {found['name']}")
        except LutraError as error:
            raise StoreCorruptError(error.message, hint="delete the device, or restore a backup") from error

    def _document_names(self, device: DeviceLike) -> list[str]:
        with self._database.read() as connection:
            mine = schema.document.c.device_id == self._find(connection, device)["id"]
            return list(connection.execute(select(schema.document.c.name).where(mine)).scalars())

    # -- upkeep -------------------------------------------------------------------------------------------

    def check(self) -> CheckReport:
        """Read everything and report what is damaged, without changing it."""
        rows = 0
        devices: Sequence[RowMapping] = ()
        problems = [f"database: {line}" for line in self._database_problems()]
        try:
            with self._database.read() as connection:
                devices = connection.execute(_devices()).mappings().all()
        except StoreCorruptError as error:
            problems.append(f"database: {error.message}")
        for device in devices:
            try:
                self._device_record(device)
            except StoreCorruptError as error:
                problems.append(error.message)
            try:
                for columns in self._stream(device["id"], None):
                    rows += 1
                    problems += _row_problems(columns, device["name"])
            except StoreError as error:
                problems.append(f"rows of {device['name']} from number {rows + 1} on: {error.message}")
        return CheckReport(rows, tuple(problems))

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of an SQLite store to a new file, while others may be writing."""
        if self._database.location.path is None:
            raise UsageError("the store is on a server", hint="use the server's own backup (pg_dump)")
        backup(self._database, Path(path).expanduser().absolute())

    def _database_problems(self) -> list[str]:
        if self._database.location.path is None:
            return []
        lines: list[str] = []
        try:
            with self._database.autocommit() as connection:
                lines += [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
                orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        except StoreCorruptError as error:  # too damaged for SQLite's own check to finish
            return [*lines, error.message]
        return lines + [f"row {orphan[1]} of {orphan[0]} refers to a missing {orphan[2]}" for orphan in orphans]

    def _stream(self, device_id: int, kind: str | None) -> Iterator[RowMapping]:
        """Yield rows batch by batch: no transaction stays open while the caller works.

        Paging by subject follows the unique index; any other order would sort all rows for each batch.
        """
        position = schema.measurement.c.subject_id
        query = _rows(device_id).order_by(position).limit(_BATCH)
        if kind is not None:
            query = query.where(schema.subject.c.kind == kind)
        last = 0
        while True:
            with self._database.read() as connection:
                batch = connection.execute(query.where(position > last)).mappings().all()
            yield from batch
            if len(batch) < _BATCH:
                return
            last = batch[-1]["subject_id"]

    def _find(self, connection: Connection, device: DeviceLike) -> RowMapping:
        """Return a device's columns."""
        table = schema.device
        text = device if isinstance(device, str) else device.digest
        by_digest = table.c.digest == text
        if isinstance(device, str):
            by_digest |= table.c.name == text
            if len(text) >= _DIGEST_PREFIX and not text.strip("0123456789abcdef"):
                by_digest |= table.c.digest.startswith(text)
        found = connection.execute(_devices().where(by_digest)).mappings().first()
        if found is None:
            known = connection.execute(select(table.c.name).distinct()).scalars()
            raise UnknownNameError("device", text, known)
        return found

    def _device_record(self, columns: RowMapping) -> DeviceRecord:
        where = f"the device {columns['name']} ({columns['digest'][:12]}) in {self.location}"
        try:
            fingerprint = Fingerprint.from_json(columns["fingerprint"])
        except LutraError as error:
            raise StoreCorruptError(
                f"the fingerprint of {where} is damaged: {error.message}", hint="restore the store from a backup"
            ) from error
        if fingerprint.digest != columns["digest"]:
            raise StoreCorruptError(
                f"the fingerprint of {where} does not match its digest", hint="restore the store from a backup"
            )
        return DeviceRecord(
            name=columns["name"],
            fingerprint=fingerprint,
            created_at=columns["created_at"],
            used_at=columns["used_at"],
        )


def _devices() -> Select[Any]:
    return select(schema.device).order_by(schema.device.c.used_at.desc(), schema.device.c.id.desc())


def _subject(kind: str, key: str) -> Select[Any]:
    return select(schema.subject).where(schema.subject.c.kind == kind, schema.subject.c.key == key)


def _rows(device_id: int) -> Select[Any]:
    subject = schema.subject.c
    named = (
        subject.kind.label("subject_kind"),
        subject.key.label("subject_key"),
        subject.label.label("subject_label"),
        subject.spec.label("subject_spec"),
    )
    joined = select(schema.measurement, *named).join(schema.subject)
    return joined.where(schema.measurement.c.device_id == device_id)


def _keys(device_id: int, kind: str, statuses: Collection[str] | None) -> Select[Any]:
    query = select(schema.subject.c.key).join(schema.measurement)
    query = query.where(schema.measurement.c.device_id == device_id, schema.subject.c.kind == kind)
    return query if statuses is None else query.where(schema.measurement.c.status.in_(list(statuses)))


def _row_problems(columns: RowMapping, device: str) -> list[str]:
    try:
        row = measurement_from(columns, device)
    except StoreCorruptError as error:
        return [error.message]
    where = f"{row.subject_kind} {row.subject_key} on {device}"
    return [f"{name} of {where} is not what its samples give" for name in contradictions(columns, row)]
