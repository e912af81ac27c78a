"""Tables in files: our own, without loss, and those of the field.

`read` and `write` take any row; `read_blocks` and `write_blocks` the field's tables of building blocks.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...networks.errors import TableFileError
from ..blocktable import BlockTable
from ..fingerprint import Fingerprint
from ..measurement import Measurement
from .files import replacing
from .registry import (
    BlockFile,
    BlockFormat,
    BlockOptions,
    Format,
    Head,
    Imported,
    TableFormat,
    format_of,
    formats,
    register,
)

__all__ = [
    "BlockFile",
    "BlockFormat",
    "BlockOptions",
    "Format",
    "Head",
    "Imported",
    "TableFormat",
    "format_of",
    "formats",
    "read",
    "read_blocks",
    "register",
    "write",
    "write_blocks",
]


def write(
    path: str | os.PathLike[str],
    fingerprint: Fingerprint,
    rows: Iterable[Measurement],
    *,
    name: str = "",
    documents: Mapping[str, Any] | None = None,
    format: str | None = None,  # noqa: A002  # what it is
) -> int:
    """Write a table to a file, whole or not at all; an existing file is replaced.

    Args:
        path: the file.
        fingerprint: the device.
        rows: its rows; read once, and not all held for Parquet and CSV.
        name: the device's name.
        documents: what else is known of it.
        format: ``"parquet"``, ``"csv"`` or ``"json"``; by the suffix if omitted.

    Returns:
        The number of rows.

    Raises:
        UnknownNameError: no such format.
        TableFileError: the format takes building blocks only, or the file cannot be written.
    """
    path = Path(path)
    form = format_of(path, format)
    if not isinstance(form, TableFormat):
        raise TableFileError(path, f"{form.name} takes building blocks only", hint="use parquet, csv or json")
    head = Head(fingerprint=fingerprint, name=name, documents=dict(documents or {}))
    with replacing(path) as part:
        return form.write(part, head, rows)


def read(path: str | os.PathLike[str], format: str | None = None) -> Imported:  # noqa: A002
    """Read a table from a file: its head at once, its rows as they are asked for.

    Args:
        path: the file.
        format: ``"parquet"``, ``"csv"`` or ``"json"``; by the suffix if omitted.

    Raises:
        UnknownNameError: no such format.
        FormatVersionError: a newer version of Lutra wrote it.
        TableFileError: it cannot be read, or not as that; a row's error comes when the row is asked for.
    """
    path = Path(path)
    form = format_of(path, format)
    if not isinstance(form, TableFormat):
        raise TableFileError(path, f"{form.name} holds building blocks", hint="read it with read_blocks")
    return form.read(path)


def write_blocks(path: str | os.PathLike[str], table: BlockTable, *, format: str | None = None) -> int:  # noqa: A002
    """Write a table of building blocks to a file, whole or not at all; an existing file is replaced.

    Args:
        path: the file.
        table: the blocks; their keys must be of the format's form.
        format: ``"ofa-yaml"``, ``"blocks-csv"``, ``"fbnet-json"``, ``"tf-nas"`` or ``"hw-nas-bench"``; by the suffix if
            omitted.

    Returns:
        The number of blocks.

    Raises:
        UnknownNameError: no such format.
        TableFileError: the format cannot say something, or the file cannot be written.
    """
    path = Path(path)
    form = _block_format(path, format)
    with replacing(path) as part:
        return form.write(part, table)


def read_blocks(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002
    options: BlockOptions | None = None,
) -> BlockFile:
    """Read the tables of building blocks in a file.

    Args:
        path: the file.
        format: as for `write_blocks`.
        options: unit, device, image size, and what becomes of negative latencies.

    Raises:
        UnknownNameError: no such format, or unit.
        TableFileError: what is wrong, with row and column. Nothing is returned then.
    """
    path = Path(path)
    return _block_format(path, format).read(path, options or BlockOptions())


def _block_format(path: Path, name: str | None) -> BlockFormat:
    form = format_of(path, name)
    if not isinstance(form, BlockFormat):
        known = ", ".join(sorted(name for name, other in formats().items() if isinstance(other, BlockFormat)))
        raise TableFileError(path, f"{form.name} is no format of building blocks", hint=f"use {known}")
    return form
