"""Which unit a file's latencies are in: said by a column, by the caller, or implied by the format and plausible."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...networks.errors import TableFileError, UnknownNameError

NS_PER: Final = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
"""Nanoseconds in each unit."""

_COLUMN: Final = re.compile(r"(?P<name>.+)_(?P<unit>ns|us|ms|s)(?P<square>2?)")
_PLAUSIBLE_NS: Final = (5e3, 5e8)  # typical building blocks on anything between a server GPU and a microcontroller


def check_unit(unit: str | None) -> None:
    """Refuse a unit that is not one of `NS_PER`.

    Raises:
        UnknownNameError: lists them.
    """
    if unit is not None and unit not in NS_PER:
        raise UnknownNameError("unit", unit, NS_PER)


def column_with_unit(columns: Sequence[str], name: str, path: Path, told: str | None) -> tuple[str, float] | None:
    """Find the column of a quantity, and what its numbers are multiplied with to be ns (ns² for a variance).

    Args:
        columns: the file's columns.
        name: such as ``"mean"``, found as ``mean_ms`` or ``mean``.
        path: the file.
        told: the unit that the caller gives; needed for a column without one.

    Returns:
        The column and the factor, or None where there is no such column.

    Raises:
        TableFileError: several such columns, no unit, or a unit that contradicts the caller's.
    """
    found = [column for column in columns if column == name or _named(column) == name]
    if not found:
        return None
    if len(found) > 1:
        raise TableFileError(path, f"columns {' and '.join(found)} both hold the {name}", row=1, hint="keep one")
    column = found[0]
    matched = _COLUMN.fullmatch(column) if column != name else None
    said = matched["unit"] if matched else None
    if said and told and said != told:
        raise TableFileError(path, f"is in {said}, not in {told}", row=1, column=column, hint="leave --unit out")
    unit = said or told
    if unit is None:
        raise TableFileError(path, "does not say its unit", row=1, column=column, hint="give --unit ns, us, ms or s")
    squared = matched["square"] == "2" if matched else name == "var"
    return column, NS_PER[unit] ** (2 if squared else 1)


def check_plausible(latencies_ns: Sequence[float], unit: str, path: Path) -> None:
    """Refuse a file whose format implies a unit that cannot be right.

    Raises:
        TableFileError: half of the latencies are below 5 us or above 0.5 s.
    """
    positive = [latency for latency in latencies_ns if latency > 0]
    if not positive:
        return
    middle = statistics.median(positive)
    if not _PLAUSIBLE_NS[0] <= middle <= _PLAUSIBLE_NS[1]:
        raise TableFileError(
            path,
            f"half of its latencies are beyond {middle / NS_PER[unit]:.4g} {unit}, which no building block takes",
            hint="say which unit they are in: --unit ns, us, ms or s",
        )


def _named(column: str) -> str:
    matched = _COLUMN.fullmatch(column)
    return matched["name"] if matched else column
