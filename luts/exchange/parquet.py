"""Parquet files by pieces: what is read or written at a time is bounded, and damage is a clear error."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...networks.errors import TableFileError
from .files import check_readable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS: Final = 4096
"""Rows that are read at a time."""

GROUP_ROWS: Final = 16_384
"""Rows of one group, which are held in memory while it is written."""

GROUP_BYTES: Final = 1 << 26
"""A group is closed early when its texts and samples reach this size."""

_MAX_GROUP_BYTES: Final = 1 << 31  # a group that claims more is damage, or an attempt to exhaust memory
_HINT: Final = "copy or export it again"


@contextmanager
def opened(path: Path) -> "Iterator[pq.ParquetFile]":
    """Open a Parquet file.

    Raises:
        TableFileError: it cannot be read, is truncated or damaged (in the block too), or has huge row groups.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = check_readable(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_groups(path, file, size)
            yield file
    except TableFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise TableFileError(path, f"is no usable Parquet: {reason}", hint=_HINT) from error


def batches(path: Path, file: "pq.ParquetFile", columns: Sequence[str]) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """Yield the number of a first row, from 1, and the columns of up to `BATCH_ROWS` rows as Python values.

    Raises:
        TableFileError: a column is absent.
    """
    lacking = set(columns) - set(file.schema_arrow.names)
    if lacking:
        raise TableFileError(path, "is absent", column=min(lacking), hint=_HINT)
    first = 1
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns), use_threads=False):
        yield first, batch.to_pydict()
        first += batch.num_rows


@contextmanager
def group_writer(path: Path, schema: "pa.Schema") -> "Iterator[pq.ParquetWriter]":
    """Give a writer of row groups; each page has a checksum.

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True, version="2.6") as writer:
        yield writer


def write_columns(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write whole columns, all of one length."""
    import pyarrow as pa

    table = pa.table(dict(columns))
    with group_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)


def grouped(rows: Iterable[Mapping[str, Any]], wide: Sequence[str]) -> Iterator[list[Mapping[str, Any]]]:
    """Gather rows into groups of at most `GROUP_ROWS` rows and about `GROUP_BYTES` bytes in the ``wide`` columns."""
    group: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(row[name]) for name in wide if row[name] is not None)
        if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _check_groups(path: Path, file: "pq.ParquetFile", size: int) -> None:
    metadata = file.metadata
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        claimed = group.total_byte_size
        if not 0 <= claimed <= _MAX_GROUP_BYTES or group.num_rows > max(claimed, size) * 64:
            raise TableFileError(
                path, f"row group {number + 1} claims {claimed:,} bytes in {group.num_rows:,} rows", hint=_HINT
            )
