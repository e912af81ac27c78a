"""The formats that tables are exchanged in: each registers itself in its own file."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from ...networks.errors import TableFileError, UnknownNameError
from ..blocktable import BlockTable
from ..fingerprint import Fingerprint
from ..measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a table says of its device.

    Attributes:
        fingerprint: the device.
        name: what people call it.
        documents: what else is known of it, by name: plain JSON data.
    """

    fingerprint: Fingerprint
    name: str = ""
    documents: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Imported(Head):
    """A table in a file.

    Attributes:
        rows: read as they are asked for; may raise TableFileError at any row.
    """

    rows: Iterator[Measurement]


@dataclass(frozen=True, kw_only=True)
class BlockOptions:
    """How a table of building blocks is read.

    Attributes:
        unit: ``"ns"``, ``"us"``, ``"ms"`` or ``"s"``; None: as the file or its format says.
        source: which device of a file of several; None: all of them.
        image_size: what the rows belong to, in files that do not say it.
        drop_negative: leave rows with a negative latency out, and count them, instead of refusing the file.
    """

    unit: str | None = None
    source: str | None = None
    image_size: int | None = None
    drop_negative: bool = False


@dataclass(frozen=True)
class BlockFile:
    """What was read from a file of building blocks.

    Attributes:
        tables: one a device.
        dropped: rows that were left out, by reason.
    """

    tables: tuple[BlockTable, ...]
    dropped: Mapping[str, int]


class Format(ABC):
    """A form of file.

    Attributes:
        name: how people ask for it.
        suffixes: of the files that are taken to have this form; none where it has to be named.
        summary: one line about it.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    summary: ClassVar[str]


class TableFormat(Format):
    """A form that takes any row of a store.

    Attributes:
        lossless: whether a row comes back as it was.
        header_rows: lines before the first row.
    """

    lossless: ClassVar[bool]
    header_rows: ClassVar[int] = 0

    @abstractmethod
    def write(self, path: Path, head: Head, rows: Iterable[Measurement]) -> int:
        """Write a table to a file that does not exist yet; return the number of rows."""

    @abstractmethod
    def read(self, path: Path) -> Imported:
        """Read a table; the head at once, its rows on the way.

        Raises:
            TableFileError: what is wrong, with row and column.
            FormatVersionError: a newer version of Lutra wrote it.
        """


class BlockFormat(Format):
    """A form that takes building blocks."""

    @abstractmethod
    def write(self, path: Path, table: BlockTable) -> int:
        """Write a table to a file that does not exist yet; return the number of blocks.

        Raises:
            TableFileError: the form cannot say something that is in the table.
        """

    @abstractmethod
    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the tables in a file.

        Raises:
            TableFileError: what is wrong, with row and column.
        """


_MODULES: Final = (
    "table_parquet",
    "table_csv",
    "table_json",
    "ofa_yaml",
    "blocks_csv",
    "fbnet_json",
    "tf_nas",
    "hw_nas_bench",
)
_FORMATS: Final[dict[str, Format]] = {}
_Class = TypeVar("_Class", bound=type[Format])


def register(cls: _Class) -> _Class:
    """Make a format known under its name."""
    if cls.name in _FORMATS:
        raise ValueError(f"two formats are called {cls.name}")
    _FORMATS[cls.name] = cls()
    return cls


def formats() -> dict[str, Format]:
    """Return all formats by name."""
    for name in _MODULES:
        import_module(f".{name}", __package__)
    return dict(_FORMATS)


def format_of(path: Path, name: str | None = None) -> Format:
    """Return the format of that name, or the one that the file's suffix stands for.

    Raises:
        UnknownNameError: no format of that name.
        TableFileError: the suffix stands for none.
    """
    known = formats()
    if name is not None:
        if name not in known:
            raise UnknownNameError("format", name, known)
        return known[name]
    for candidate in known.values():
        if path.suffix.lower() in candidate.suffixes:
            return candidate
    raise TableFileError(
        path,
        f"unknown format {path.suffix or path.name!r}",
        hint=f"name the file .parquet, .csv or .json, or the format with --format: {', '.join(known)}",
    )
