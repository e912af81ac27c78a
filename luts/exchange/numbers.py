"""The numbers of very many rows as Parquet: no samples, so that ten million rows are out in a minute.

The file has the columns of `RowNumbers` and, in the schema's metadata under ``lutra``, the device. It is for other
programs: what it lacks cannot be made up when it is read, so Lutra does not read it back.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .._json import canonical
from .files import replacing
from .parquet import group_writer

if TYPE_CHECKING:
    import pyarrow as pa

    from ..numbers import NumberColumns
    from ..store import DeviceLike, Store

FORMAT: Final = "lutra.numbers"
VERSION: Final = 1
_GROUP_ITEMS: Final = 64  # of columns as the store gives them
_GROUP_ROWS: Final = 65536
_COLUMNS: Final = {
    "subject_kind": "string",
    "subject_key": "string",
    "label": "string",
    "status": "string",
    "latency_ns": "double",
    "rel_halfwidth": "double",
    "median_ns": "double",
    "sample_count": "int32",
    "measured_at": "string",
    "flags": "string",  # a JSON list
}


def write_numbers(path: Path, store: "Store", device: "DeviceLike") -> int:
    """Write the numbers of all rows of a device, whole or not at all, in bounded memory.

    Args:
        path: the Parquet file; one that exists is replaced.
        store: where from.
        device: whose rows.

    Returns:
        The number of rows.

    Raises:
        TableFileError: the file cannot be written.
        StoreError: the store cannot be read.
    """
    schema, count = _schema(store, device), 0
    with (
        replacing(path) as part,
        group_writer(part, schema) as writer,
        ThreadPoolExecutor(1) as pool,  # compresses one group while the next is read
    ):
        writing: Future[None] | None = None
        for group in _groups(schema, store.number_columns(device)):
            if writing is not None:
                writing.result()
            writing = pool.submit(writer.write_table, group, _GROUP_ROWS)
            count += group.num_rows
        if writing is not None:
            writing.result()
    return count


def _groups(schema: "pa.Schema", items: "Iterator[NumberColumns]") -> "Iterator[pa.Table]":
    """Row groups."""
    import pyarrow as pa

    while batches := [_batch(schema, columns) for columns in islice(items, _GROUP_ITEMS)]:
        yield pa.Table.from_batches(batches, schema=schema)


def _batch(schema: "pa.Schema", columns: "NumberColumns") -> "pa.RecordBatch":
    import pyarrow as pa

    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _schema(store: "Store", device: "DeviceLike") -> "pa.Schema":
    import pyarrow as pa

    record = store.device(device)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": record.name,
        "fingerprint": record.fingerprint.to_dict(),
    }
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()]
    return pa.schema(fields, metadata={"lutra": canonical(head)})
