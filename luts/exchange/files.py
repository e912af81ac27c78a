"""Files in and out: written whole or not at all, read up to a size, and errors that name the place."""

import csv
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ...networks.errors import LutraError, TableFileError

MAX_TEXT_BYTES: Final = 1 << 29
"""Largest text file that is read; what is larger goes through Parquet, which is read piece by piece."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write beside ``path``; afterwards it takes the place of ``path``, or vanishes on an error.

    Raises:
        TableFileError: it cannot be written.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            yield part
            _flush(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except TableFileError as error:
        if error.path != str(part):
            raise
        raise TableFileError(path, error.problem, row=error.row, column=error.column, hint=error.hint) from error
    except OSError as error:
        raise TableFileError(
            path, f"cannot be written: {error.strerror or error}", hint="check the folder and its free space"
        ) from error


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def check_readable(path: Path, largest: int | None = None) -> int:
    """Return the size of a file, in bytes.

    Raises:
        TableFileError: no regular file, or larger than ``largest``.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not path.is_file():
        raise TableFileError(path, "is not a file", hint="give the path of the table itself")
    if largest is not None and size > largest:
        raise TableFileError(
            path, f"has {size:,} bytes, more than {largest:,}", hint="split it, or convert it to Parquet"
        )
    return size


def read_text(path: Path) -> str:
    """Read a text file of at most `MAX_TEXT_BYTES`.

    Raises:
        TableFileError: it cannot be read, is too large, or is not UTF-8.
    """
    check_readable(path, MAX_TEXT_BYTES)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableFileError(
            path, f"is not UTF-8 text: {error.reason} at byte {error.start}", hint="convert it"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


class Repeated(dict[str, Any]):
    """A JSON object whose names are not all different; ``others`` holds the values of repeated names."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.others: list[tuple[str, Any]] = []
        for name, value in pairs:
            if name in self:
                self.others.append((name, value))
            else:
                self[name] = value


def read_json(path: Path) -> Any:
    """Parse a JSON file; every object comes as a `Repeated`, so that no repeated name is lost.

    Raises:
        TableFileError: it cannot be read, or is not JSON; names the line.
    """
    try:
        return json.loads(read_text(path), object_pairs_hook=Repeated)
    except json.JSONDecodeError as error:
        raise TableFileError(path, f"is not JSON: {error.msg}", row=error.lineno, hint="export it again") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; nesting without end
        raise TableFileError(path, f"is not usable JSON: {error}", hint="export it again") from error


def read_header(path: Path) -> list[str]:
    """Return the columns of a CSV file.

    Raises:
        TableFileError: it cannot be read, is empty, or has a column twice.
    """
    with _csv_reader(path) as reader:
        return _header(path, reader)


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells of each line, by column.

    Raises:
        TableFileError: it cannot be read, has no header, a column twice, or a line of another length.
    """
    with _csv_reader(path) as reader:
        header = _header(path, reader)
        for cells in reader:
            if cells and len(cells) != len(header):
                raise TableFileError(
                    path, f"{len(cells)} cells under {len(header)} columns", row=reader.line_num, hint="export it again"
                )
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))


@contextmanager
def _csv_reader(path: Path) -> Iterator[Any]:
    """Give a reader of CSV, and say in which file an error of it arose."""
    check_readable(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file, strict=True)
    except UnicodeDecodeError as error:
        raise TableFileError(
            path, f"is not UTF-8 text: {error.reason} at byte {error.start}", hint="convert it"
        ) from error
    except csv.Error as error:
        raise TableFileError(path, f"is not CSV: {error}", hint="export it again, quoted as RFC 4180 says") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _header(path: Path, reader: Any) -> list[str]:
    header: list[str] = next(reader, [])
    if not header:
        raise TableFileError(path, "is empty", row=1, hint="export it again, with a line that names the columns")
    if len(set(header)) != len(header):
        raise TableFileError(path, f"the header is {','.join(header)[:100]!r}", row=1, hint="name each column once")
    return header


def number(text: Any, path: Path, row: int | None, column: str) -> float:
    """Read a finite number.

    Raises:
        TableFileError: anything else.
    """
    try:
        value = math.nan if isinstance(text, bool) or "_" in str(text) else float(text)
    except (TypeError, ValueError, OverflowError):  # ValueError also where an integer has thousands of digits
        value = math.nan
    if not math.isfinite(value):
        raise TableFileError(path, f"{_shown(text)} is no finite number", row=row, column=column, hint="correct it")
    return value


def integer(text: Any, path: Path, row: int | None, column: str) -> int:
    """Read an integer.

    Raises:
        TableFileError: anything else.
    """
    value = number(text, path, row, column)
    if value != int(value) or abs(value) >= 1 << 53:
        raise TableFileError(path, f"{_shown(text)} is no integer", row=row, column=column, hint="correct it")
    return int(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:40])
    return repr(value) if isinstance(value, float | bool | None) else f"a {type(value).__name__}"


@contextmanager
def placed(path: Path, row: int | None = None, column: str | None = None) -> Iterator[None]:
    """Say in which file, row and column an error of the block arose."""
    try:
        yield
    except TableFileError:
        raise
    except LutraError as error:
        raise TableFileError(path, error.message, row=row, column=column, hint=error.hint) from error


def _unreadable(path: Path, error: OSError | ValueError) -> TableFileError:
    reason = error.strerror if isinstance(error, OSError) else error
    return TableFileError(path, f"cannot be read: {reason}", hint="check the path and its permissions")
