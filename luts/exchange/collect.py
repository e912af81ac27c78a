"""Gathers the blocks of a file: units, image sizes, negative latencies and repeated keys are judged in one place."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...networks.errors import TableFileError, UsageError
from ..blocktable import Block, BlockTable
from .files import number, placed
from .registry import BlockFile, BlockOptions
from .units import NS_PER, check_plausible, check_unit


class Collector:
    """Takes the rows of a file one by one; `finish` gives its tables, or says why there are none.

    Args:
        path: the file.
        options: how it is read.
        implied: the unit that the format implies; it is believed only as far as it is plausible.
        default_source: what the device is called where the file does not say it; the file's name if omitted.
    """

    def __init__(
        self, path: Path, options: BlockOptions, *, implied: str | None = None, default_source: str | None = None
    ) -> None:
        check_unit(options.unit)
        self._path, self._options = path, options
        self._implied = implied if options.unit is None else None
        self._default = default_source or path.stem or path.name
        self._blocks: dict[str, dict[tuple[str, int | None], tuple[Block, int | None]]] = {}
        self._seen: set[str] = set()
        self._negative: list[tuple[int | None, str, float]] = []
        unit = options.unit or implied
        self._scale = None if unit is None else NS_PER[unit]

    @property
    def scale(self) -> float:
        """Nanoseconds in the unit of the file.

        Raises:
            TableFileError: nobody says what it is.
        """
        if self._scale is None:
            raise TableFileError(
                self._path, "does not say which unit its latencies are in", hint="give --unit ns, us, ms or s"
            )
        return self._scale

    def add(
        self,
        key: str,
        latency: Any,
        *,
        attributes: Mapping[str, Any],
        row: int | None,
        column: str,
        scale: float | None = None,
        std_ns: float | None = None,
        count: int | None = None,
        source: str | None = None,
        image_size: int | None = None,
    ) -> None:
        """Take a row.

        Args:
            key: the block's key.
            latency: a number, or the text of one.
            attributes: what the key says.
            row: where it stands.
            column: what its latency is called.
            scale: ns in the latency's unit; that of the file if omitted.
            std_ns: its standard deviation, ns.
            count: executions behind it.
            source: the device; that of the file if omitted.
            image_size: what the row belongs to.

        Raises:
            TableFileError: no finite number, or a repeated key that disagrees.
        """
        source = source or self._default
        self._seen.add(source)
        value_ns = number(latency, self._path, row, column) * (self.scale if scale is None else scale)
        if self._options.source not in (None, source):
            return
        if value_ns < 0:
            self._negative.append((row, column, value_ns))
            return
        with placed(self._path, row, column):
            size = self._size(image_size)
            block = Block(
                key=key, latency_ns=value_ns, std_ns=std_ns, count=count, image_size=size, attributes=attributes
            )
        first, where = self._blocks.setdefault(source, {}).setdefault((key, block.image_size), (block, row))
        if first != block:
            there = "" if where is None else f" in row {where}"
            raise TableFileError(
                self._path,
                f"{block.subject_key} disagrees with its row{there}",
                row=row,
                column=column,
                hint="keep one",
            )

    def _size(self, image_size: int | None) -> int | None:
        told = self._options.image_size
        if image_size is not None and told is not None:
            raise UsageError("the file names its image sizes itself", hint="leave --image-size out")
        return told if image_size is None else image_size

    def finish(self) -> BlockFile:
        """Return the tables.

        Raises:
            TableFileError: no rows, negative latencies that nobody asked to drop, or an implausible unit.
        """
        if self._negative and not self._options.drop_negative:
            row, column, value_ns = self._negative[0]
            count = len(self._negative)
            raise TableFileError(
                self._path,
                f"a latency of {value_ns / 1e6:.4g} ms; {count} row{'s are' * (count > 1) or ' is'} negative",
                row=row,
                column=column,
                hint="leave such rows out and count them with --drop-negative",
            )
        if not self._blocks:
            raise self._without_blocks()
        if self._implied is not None:
            found = [block.latency_ns for blocks in self._blocks.values() for block, _ in blocks.values()]
            check_plausible(found, self._implied, self._path)
        tables = tuple(
            BlockTable(source, (block for block, _ in blocks.values())) for source, blocks in self._blocks.items()
        )
        return BlockFile(tables, {"negative latency": len(self._negative)} if self._negative else {})

    def _without_blocks(self) -> TableFileError:
        wanted = self._options.source
        if self._seen and wanted is not None and wanted not in self._seen:
            known = ", ".join(sorted(self._seen))
            return TableFileError(self._path, f"has no device {wanted!r}", hint=f"known: {known}")
        if self._negative:
            return TableFileError(self._path, "has no blocks but negative ones", hint="measure them again")
        return TableFileError(self._path, "has no blocks", hint="export it again")


def deviation_ns(spread: float | None, variance: bool, path: Path, row: int | None, column: str) -> float | None:
    """Return a standard deviation from one in ns, or from a variance in ns².

    Raises:
        TableFileError: it is negative.
    """
    if spread is None:
        return None
    if spread < 0:
        raise TableFileError(path, f"a spread of {spread:g}", row=row, column=column, hint="correct it")
    return math.sqrt(spread) if variance else spread
