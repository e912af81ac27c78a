"""From files into a store and back: all of a file, or nothing of it."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from ...networks.errors import TableFileError, UnknownNameError, UsageError
from ..blocktable import BLOCK, BlockTable
from ..fingerprint import Fingerprint
from ..measurement import Measurement
from ..store import DeviceLike, DeviceRecord, Store
from .files import placed, replacing
from .registry import BlockFile, BlockFormat, BlockOptions, Head, Imported, TableFormat, format_of
from .table_parquet import TableParquet, write_stored

_BATCH: Final = 256  # rows that are looked up at a time
_ANYHOW: Final = BlockOptions()

_Numbered: TypeAlias = tuple[int | None, Measurement]
"""A row, and where it stands in its file if that is known."""


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of the rows of one device in a file.

    Attributes:
        device: under which they stand now.
        rows: how many there are in the file, without those that were dropped.
        written: how many of them are new, or took the place of others; the rest was there already.
        dropped: rows of the whole file that were left out, by reason.
    """

    device: DeviceRecord
    rows: int
    written: int
    dropped: Mapping[str, int]


def import_file(
    store: Store,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002  # what it is
    name: str | None = None,
    options: BlockOptions = _ANYHOW,
    replace: bool = False,
) -> list[ImportReport]:
    """Take a file over into a store, in one transaction.

    Rows that the store has already are left as they are if they are equal, and refused if they are not.

    Args:
        store: open for writing.
        path: the file.
        format: by the file's suffix if omitted.
        name: what the device is called; as in the file if omitted.
        options: how building blocks are read.
        replace: let rows of the file, and documents, take the place of what disagrees with them.

    Returns:
        One report a device.

    Raises:
        UnknownNameError: no such format, or unit.
        UsageError: options that do not apply, a name for several devices, or one that another device has.
        FormatVersionError: a newer version of Lutra wrote the file.
        TableFileError: what is wrong with the file, with row and column.
        StoreError: the store cannot be written.
    """
    return prepare(path, format=format, name=name, options=options).into(store, replace=replace)


def prepare(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    name: str | None = None,
    options: BlockOptions = _ANYHOW,
) -> "PreparedImport":
    """Read a file as far as can be without a store: the head of a table, or all building blocks.

    Arguments and errors are those of `import_file`.
    """
    path = Path(path)
    form = format_of(path, format)
    if isinstance(form, BlockFormat):
        found = form.read(path, options)
        if name is not None and len(found.tables) > 1:
            known = ", ".join(table.source for table in found.tables)
            raise UsageError(f"{path} holds {len(found.tables)} devices", hint=f"choose one with --source: {known}")
        return _PreparedBlocks(path, name, form, found)
    assert isinstance(form, TableFormat)  # there are no others
    if options != _ANYHOW:
        hint = "name such a format with --format, or leave unit, source and image size out"
        raise UsageError(f"{form.name} files hold no building blocks of others", hint=hint)
    return _PreparedRows(path, name, form, form.read(path))


@dataclass(frozen=True)
class PreparedImport(ABC):
    """A file that is about to be taken over."""

    path: Path
    name: str | None

    def into(self, store: Store, *, replace: bool = False) -> list[ImportReport]:
        """Take it over in one transaction, once; as `import_file` does."""
        with store.transaction():
            return self._take(store, replace)

    @abstractmethod
    def _take(self, store: Store, replace: bool) -> list[ImportReport]:
        """Write all rows, in a transaction."""


@dataclass(frozen=True)
class _PreparedRows(PreparedImport):
    form: TableFormat
    head: Imported

    def _take(self, store: Store, replace: bool) -> list[ImportReport]:
        head, path, name = self.head, self.path, self.name
        # A file that does not say which device its rows are of has no other identity than the name it is given.
        fingerprint = head.fingerprint if self.form.lossless or name is None else Fingerprint.imported(name)
        record = _register(store, fingerprint, name, head.name or path.stem)
        _take_documents(store, record, path, head.documents, replace)
        first = 1 + self.form.header_rows
        if replace:
            rows, written = _replace(store, record, head.rows)
            _require_taken(store, record, path, enumerate(self.form.read(path).rows, first))
        else:
            rows, written = _add(store, record, path, enumerate(head.rows, first))
        return [ImportReport(device=record, rows=rows, written=written, dropped={})]


@dataclass(frozen=True)
class _PreparedBlocks(PreparedImport):
    form: BlockFormat
    found: BlockFile

    def _take(self, store: Store, replace: bool) -> list[ImportReport]:
        reports, conditions = [], {"file": self.path.name, "format": self.form.name}
        for table in self.found.tables:
            source = self.name or table.source
            record = _register(store, Fingerprint.imported(source), self.name, source)
            blocks = table.rows(conditions)
            if replace:
                rows, written = _replace(store, record, blocks)
            else:
                rows, written = _add(store, record, self.path, ((None, row) for row in blocks))
            reports.append(ImportReport(device=record, rows=rows, written=written, dropped=self.found.dropped))
        return reports


def export_device(
    store: Store,
    device: DeviceLike,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    image_size: int | None = None,
) -> int:
    """Write a device's rows to a file, whole or not at all; an existing file is replaced.

    Args:
        store: where from.
        device: a registered device.
        path: the file.
        format: by the file's suffix if omitted.
        image_size: which building blocks, for formats that have no place for several sizes.

    Returns:
        The number of rows.

    Raises:
        UnknownNameError: no such device, or format.
        UsageError: an image size for a format that takes any row, or no building blocks for one that takes them.
        TableFileError: the format cannot say something, or the file cannot be written.
        StoreCorruptError: a row of the store is damaged. Parquet takes rows as they are; reading it finds the damage.
    """
    path, record = Path(path), store.device(device)
    form = format_of(path, format)
    if isinstance(form, BlockFormat):
        table = BlockTable.from_rows(record.name, store.measurements(record, BLOCK))
        table = table if image_size is None else table.at(image_size)
        with replacing(path) as part, placed(path):
            return form.write(part, table)
    assert isinstance(form, TableFormat)  # there are no others
    if image_size is not None:
        raise UsageError(f"{form.name} files hold all image sizes", hint="leave the image size out")
    head = Head(fingerprint=record.fingerprint, name=record.name, documents=store.documents(record))
    with replacing(path) as part:
        if isinstance(form, TableParquet):
            return write_stored(part, head, store.stored_rows(record))
        return form.write(part, head, store.measurements(record))


def _register(store: Store, fingerprint: Fingerprint, name: str | None, own_name: str) -> DeviceRecord:
    """The device's record; a device that is known keeps its name unless another is asked for."""
    known = next((device for device in store.devices() if device.fingerprint == fingerprint), None)
    if known is not None and name in (None, known.name):
        return known
    wanted = name or own_name
    try:
        other = store.device(wanted)
    except UnknownNameError:
        other = None
    if other is not None and other.fingerprint.hardware != fingerprint.hardware:
        raise UsageError(f"another device is called {wanted!r} here", hint="give this one another name with --name")
    return store.register_device(fingerprint, wanted)


def _add(store: Store, record: DeviceRecord, path: Path, rows: Iterable[_Numbered]) -> tuple[int, int]:
    """Write the rows that are not there yet; return how many there are, and how many were written.

    Raises:
        TableFileError: one is not what is there already; names it.
    """
    count = written = 0
    for batch, held in _beside_stored(store, record, rows):
        new = []
        for number, row in batch:
            # A row that stands twice in the file meets itself here.
            known = held.setdefault((row.subject_kind, row.subject_key), row)
            if known is row:
                new.append(row)
            elif not _agree(known, row):
                hint = "take the file's rows with --replace, or import under another --name"
                raise _disagreement(path, number, row, "the row that is there already", hint)
        count += len(batch)
        written += store.record_many(record, new)
    return count, written


def _replace(store: Store, record: DeviceRecord, rows: Iterable[Measurement]) -> tuple[int, int]:
    """Write rows in place of what is there; return how many there are, and how many were written."""
    count = 0

    def counted() -> Iterator[Measurement]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    written = store.record_many(record, counted(), replace=True)
    return count, written


def _require_taken(store: Store, record: DeviceRecord, path: Path, rows: Iterable[_Numbered]) -> None:
    """Refuse rows that others of the same file have replaced.

    Raises:
        TableFileError: names the first one.
    """
    for batch, held in _beside_stored(store, record, rows):
        for number, row in batch:
            known = held.get((row.subject_kind, row.subject_key))
            if known is None or not _agree(known, row):
                raise _disagreement(path, number, row, "another row of the file", "keep one of them")


def _beside_stored(
    store: Store, record: DeviceRecord, rows: Iterable[_Numbered]
) -> Iterator[tuple[list[_Numbered], dict[tuple[str, str], Measurement]]]:
    """The rows some at a time, each time with what the store has of their subjects."""
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch, store.get_many(record, ((row.subject_kind, row.subject_key) for _, row in batch))


def _take_documents(
    store: Store, record: DeviceRecord, path: Path, documents: Mapping[str, Any], replace: bool
) -> None:
    for name, value in documents.items():
        held = store.document(record, name)
        if held is not None and held != value and not replace:
            raise TableFileError(
                path, f"its document {name!r} is not that of the store", hint="take the file's with --replace"
            )
        with placed(path, column=f"document {name}"):
            if not isinstance(value, dict) or len(name) > 64:
                raise UsageError("it is no object, or its name is too long", hint="export the table again")
            store.set_document(record, name, value)


def _disagreement(path: Path, number: int | None, row: Measurement, other: str, hint: str) -> TableFileError:
    return TableFileError(path, f"{row.subject_kind} {row.label} disagrees with {other}", row=number, hint=hint)


def _agree(held: Measurement, row: Measurement) -> bool:
    """Whether two rows say the same; of an imported block the time of its import says nothing."""
    if row.subject_kind == BLOCK and "mean_ns" in held.spec and "mean_ns" in row.spec:
        return held.spec == row.spec
    return held == row
