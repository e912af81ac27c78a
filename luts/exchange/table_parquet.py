"""The canonical exchange format: every column of the store, row group by row group, without loss.

The head of the table stands in the schema's metadata under ``lutra`` as JSON. Raw samples are packed
(`lutra.luts.packing`), as in the store: a store is written out and read in without unpacking them, and the file is a
fraction of what lists of integers take.

Parquet guards its pages, but not what says where they are: a byte of the footer can make rows vanish. So the file's
metadata hold a `_Seal` under ``lutra.seal``: how many rows there are, and a checksum over the head and theirs.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...networks.errors import FormatVersionError, LutraError, TableFileError
from .._json import canonical, parse_object
from ..fingerprint import Fingerprint
from ..measurement import Measurement
from .files import placed
from .parquet import batches, group_writer, grouped, opened
from .registry import Head, Imported, TableFormat, register

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT: Final = "lutra.table"
VERSION: Final = 1
_KEY: Final = b"lutra"
_SEAL_KEY: Final = b"lutra.seal"

TYPES: Final[dict[str, str]] = {
    "subject_kind": "string",
    "subject_key": "string",
    "label": "string",
    "status": "string",
    "latency_ns": "double",
    "rel_halfwidth": "double",
    "p10_ns": "double",
    "median_ns": "double",
    "p90_ns": "double",
    "iqr_ns": "double",
    "sample_count": "int64",
    "executions_per_sample": "int64",
    "overhead_ns": "double",
    "reference_ratio": "double",
    "measured_at": "string",
    "flags": "string",
    "reason": "string",
    "versions": "string",
    "conditions": "string",
    "spec": "string",
    "rounds": "binary",
    "samples": "binary",
    "normalisation": "string",
    "compute_reference": "binary",
    "memory_reference": "binary",
    "checksum": "int64",
}
"""The columns and their types; those that end in ``_ns`` say the unit, and JSON stands in the texts of objects."""

_NULLABLE: Final = frozenset(
    {
        "latency_ns",
        "rel_halfwidth",
        "p10_ns",
        "median_ns",
        "p90_ns",
        "iqr_ns",
        "reference_ratio",
        "normalisation",
        "compute_reference",
        "memory_reference",
        "checksum",
    }
)
_WIDE: Final = ("spec", "conditions", "versions", "samples", "rounds", "compute_reference", "memory_reference")
_DAMAGED: Final = "copy or export it again"
_NO_SUBJECT: Final[Mapping[str, Any]] = {"label": None, "spec": None}


@dataclass
class _Seal:
    """What the head and the rows in their order add up to.

    Attributes:
        checksum: CRC-32 of the head's text, then of each row's own checksum.
        rows: how many there are.
    """

    checksum: int
    rows: int = 0

    @classmethod
    def of(cls, head: bytes) -> "_Seal":
        """The seal of a table whose rows are still to come."""
        return cls(zlib.crc32(head))

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the next row."""
        self.checksum = zlib.crc32(f"{row['checksum']},".encode(), self.checksum)
        self.rows += 1

    def __bytes__(self) -> bytes:
        return canonical({"rows": self.rows, "checksum": self.checksum}).encode()


@register
class TableParquet(TableFormat):
    """Everything that a store has of a device."""

    name = "parquet"
    suffixes = (".parquet",)
    summary = "everything, raw samples included, in bounded memory; the canonical form"
    lossless = True

    def write(self, path: Path, head: Head, rows: Iterable[Measurement]) -> int:
        """Write the rows group by group."""
        digest = head.fingerprint.digest
        return write_records(path, head, grouped((_record(row, digest) for row in rows), _WIDE))

    def read(self, path: Path) -> Imported:
        """Read the head; the rows follow group by group, each checked against its statistics."""
        with opened(path) as file:
            head = _head(path, file)
            _check_columns(path, file)
            _check_count(path, file)
        return Imported(**vars(head), rows=_rows(path, head.fingerprint.digest))


def write_stored(path: Path, head: Head, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as `Store.stored_rows` gives them to a file that does not exist yet; return their number.

    Nothing is decoded, which makes it some ten times as fast as `TableParquet.write`; the checksums go along, and
    whoever reads the file finds what the store may have damaged.
    """
    return write_records(path, head, grouped(map(_whole, rows), _WIDE))


def _whole(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored row with what it shares with others of its subject."""
    shared = {name: stored[f"subject_{name}"] for name in ("label", "spec") if stored[name] is None}
    return {**stored, **shared} if shared else stored


def write_records(path: Path, head: Head, groups: Iterable[Sequence[Mapping[str, Any]]]) -> int:
    """Write rows that are columns already, as `lutra.luts.rows` makes them, a row group at a time.

    Args:
        path: a file that does not exist yet.
        head: what stands in the metadata.
        groups: records with the names of `TYPES`.

    Returns:
        The number of rows.
    """
    import pyarrow as pa

    schema = _schema(head)
    seal = _Seal.of(schema.metadata[_KEY])
    with group_writer(path, schema) as writer:
        for group in groups:
            arrays = [pa.array([record[field.name] for record in group], type=field.type) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema), row_group_size=len(group))
            for record in group:
                seal.add(record)
        writer.add_key_value_metadata({_SEAL_KEY: bytes(seal)})
    return seal.rows


def _record(row: Measurement, digest: str) -> dict[str, Any]:
    from ..rows import measurement_columns  # stands on the database library

    subject = {"subject_kind": row.subject_kind, "subject_key": row.subject_key}
    return subject | measurement_columns(row, canonical(row.spec), _NO_SUBJECT, digest)


def _schema(head: Head) -> "pa.Schema":
    import pyarrow as pa

    about = {
        "format": FORMAT,
        "version": VERSION,
        "name": head.name,
        "fingerprint": head.fingerprint.to_dict(),
        "documents": dict(head.documents),
    }
    fields = [pa.field(name, pa.type_for_alias(kind), nullable=name in _NULLABLE) for name, kind in TYPES.items()]
    return pa.schema(fields, metadata={_KEY: canonical(about).encode()})


def _head(path: Path, file: "pq.ParquetFile") -> Head:
    held = (file.schema_arrow.metadata or {}).get(_KEY)
    if held is None:
        raise TableFileError(path, "is Parquet, but no table of Lutra", hint="name its format with --format")
    with placed(path, column="metadata lutra"):
        about = parse_object(held, "the metadata")
    version = about.get("version")
    if about.get("format") != FORMAT or isinstance(version, bool) or not isinstance(version, int):
        raise TableFileError(path, "its metadata are not those of a table", hint="export it again")
    if version > VERSION:
        raise FormatVersionError(str(path), version, VERSION)
    name, documents = about.get("name"), about.get("documents")
    if not isinstance(name, str) or not isinstance(documents, dict) or "fingerprint" not in about:
        raise TableFileError(path, "its metadata lack name, fingerprint or documents", hint="export it again")
    with placed(path, column="metadata lutra"):
        return Head(fingerprint=Fingerprint.from_dict(about["fingerprint"]), name=name, documents=documents)


def _check_columns(path: Path, file: "pq.ParquetFile") -> None:
    import pyarrow as pa

    found = {field.name: field.type for field in file.schema_arrow}
    for name, kind in TYPES.items():
        if name not in found or found[name] != pa.type_for_alias(kind):
            is_ = f"is {found[name]}" if name in found else "is absent"
            raise TableFileError(path, f"{is_}, not {kind}", column=name, hint="export it again")


def _check_count(path: Path, file: "pq.ParquetFile") -> None:
    """Refuse before any row is read what would be refused after the last one."""
    with placed(path, column="metadata lutra.seal"):
        sealed = parse_object(_sealed(path, file), "the metadata")
    found = file.metadata.num_rows
    if sealed.get("rows") != found:
        raise TableFileError(path, f"has {found} rows, not the {sealed.get('rows')} that were written", hint=_DAMAGED)


def _sealed(path: Path, file: "pq.ParquetFile") -> bytes:
    held: bytes | None = file.metadata.metadata.get(_SEAL_KEY)
    if held is None:
        raise TableFileError(path, "is absent", column="metadata lutra.seal", hint=_DAMAGED)
    return held


def _rows(path: Path, digest: str) -> Iterator[Measurement]:
    with opened(path) as file:
        names = tuple(TYPES)
        seal = _Seal.of(file.schema_arrow.metadata[_KEY])
        for first, columns in batches(path, file, names):
            values = zip(*(columns[name] for name in names), strict=True)
            for number, values_of_row in enumerate(values, first):
                record = dict(zip(names, values_of_row, strict=True))
                yield _row(path, number, record, digest)
                seal.add(record)
        if bytes(seal) != _sealed(path, file):
            raise TableFileError(
                path, f"its {seal.rows} rows are not what was written: their checksum differs", hint=_DAMAGED
            )


def _row(path: Path, number: int, record: dict[str, Any], digest: str) -> Measurement:
    from ..rows import contradictions, measurement_from

    empty = [name for name, value in record.items() if value is None and name not in _NULLABLE]
    if empty:
        raise TableFileError(path, "is empty", row=number, column=empty[0], hint="export it again")
    joined = record | {"subject_label": record["label"], "subject_spec": record["spec"]}
    try:
        row = measurement_from(joined, path.name)
    except LutraError as error:
        raise TableFileError(path, error.message, row=number, hint="export it again") from error
    if wrong := contradictions(joined, row, path.name, digest):
        raise TableFileError(path, wrong[0], row=number, hint="export it again")
    return row
