"""What requests of jobs may name: networks of the zoo or as JSON, spaces by name. Never a file, never code."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field

from ...networks.errors import LutraError

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace
    from ...networks import Network

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@,/|~+-]*", re.ASCII)
_FILES: Final = (".onnx", ".json", ".py", ".yaml", ".yml", ".elf", ".csv", ".parquet")


def _require_name(text: str) -> str:
    parts = text.lower().split("/")
    if not _NAME.fullmatch(text) or ".." in text or any(part.endswith(_FILES) for part in parts):
        raise ValueError("a name is wanted, not a file")
    return text


def _require_plain(text: str) -> str:
    if "/" in text:
        raise ValueError("a name is wanted, not a path")
    return _require_name(text)


def _require_network(source: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(source, str):
        _require_name(source)
    try:
        network_of(source)
    except LutraError as error:
        raise ValueError(error.message) from None
    return source


def _require_space(name: str) -> str:
    try:
        space_named(_require_name(name))
    except LutraError as error:
        raise ValueError(str(error)) from None
    return name


Name = Annotated[str, AfterValidator(_require_plain)]
"""A name, which cannot be that of a file."""

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
"""The id of a job."""

Columns = dict[str, list[float] | list[str]]
"""Columns of a table by name, all of one length: numbers, or names of networks."""


def require_columns(columns: Columns) -> Columns:
    """Check that columns are of one length, and name no files.

    Raises:
        ValueError: they are not, or do.
    """
    if len({len(column) for column in columns.values()}) != 1 or not next(iter(columns.values())):
        raise ValueError("columns of one length are wanted, and one of them at least")
    for name, column in columns.items():
        for cell in column:
            if isinstance(cell, str):
                try:
                    _require_name(cell)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
    return columns


def write_columns(columns: Columns, path: Path) -> None:
    """Write columns as a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(dict(columns)), path)


NetworkSource = Annotated[str | dict[str, Any], AfterValidator(_require_network)]
"""A name of the zoo, or the document that `Network.to_json` gives."""

SpaceName = Annotated[str, AfterValidator(_require_space)]
"""A name of a search space, such as ``fbnet`` or ``ofa-mbv3@160``."""


def network_of(source: str | Mapping[str, Any], **options: int) -> "Network":
    """The network that a request names.

    Args:
        source: a name of the zoo, or a document.
        options: "batch" and "resolution", of networks of the zoo.

    Raises:
        UnknownNameError: the zoo has no such name.
        CorruptModelError: not such a document.
    """
    from ...networks import Network, zoo

    return zoo.build(source, **options) if isinstance(source, str) else Network.from_json(source)


def space_named(name: str) -> "SearchSpace":
    """The search space of a name; raises UnknownNameError where there is none."""
    from ...nas import spaces

    return spaces.build(name)


def networks_of(sources: Sequence[str | Mapping[str, Any]], **options: int | None) -> "list[Network]":
    """The networks that a request names; options that are None are left out.

    Raises:
        LutraError: as `network_of` raises.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return [network_of(source, **(given if isinstance(source, str) else {})) for source in sources]
