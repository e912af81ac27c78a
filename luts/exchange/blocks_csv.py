"""One line a block, for several devices and image sizes in one file."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...networks.errors import TableFileError
from ..blockkeys import parse_ofa
from ..blocktable import Block, BlockTable
from .collect import Collector, deviation_ns
from .files import integer, number, placed, read_csv, read_header
from .registry import BlockFile, BlockFormat, BlockOptions, register
from .units import column_with_unit

COLUMNS: Final = (
    "source",
    "image_size",
    "op",
    "input_shape",
    "output_shape",
    "mean_ms",
    "std_ms",
    "var_ms2",
    "count",
    "key",
    "expand_or_mid",
    "kernel",
    "stride",
    "idskip",
    "se",
    "hs",
)
_SAID_BY_KEY: Final = ("op", "input_shape", "output_shape", "expand_or_mid", "kernel", "stride", "idskip", "se", "hs")


@register
class BlocksCsv(BlockFormat):
    """Blocks of several devices, a line each."""

    name = "blocks-csv"
    suffixes = ()
    summary = "one line a block: source, image size, key, mean, std or variance, count, and what the key says"

    def write(self, path: Path, table: BlockTable) -> int:
        """Write the blocks with all columns, in ms."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({"source": table.source} | _cells(block) for block in table)
        return len(table)

    def read(self, path: Path, options: BlockOptions) -> BlockFile:
        """Read the blocks, one table a source. ``key`` and a mean are required; other columns may be absent."""
        collector = Collector(path, options)
        columns = _Columns(path, read_header(path), options.unit)
        for row, cells in read_csv(path):
            columns.add(collector, row, cells)
        return collector.finish()


class _Columns:
    """Which columns hold what."""

    def __init__(self, path: Path, columns: Sequence[str], unit: str | None) -> None:
        self._path = path
        mean = column_with_unit(columns, "mean", path, unit)
        if mean is None or "key" not in columns:
            lacking = "mean" if mean is None else "key"
            raise TableFileError(path, f"has no column {lacking}", row=1, column=lacking, hint="give key and mean_ms")
        self._mean, self._scale = mean
        self._std = column_with_unit(columns, "std", path, unit)
        self._var = column_with_unit(columns, "var", path, unit)

    def add(self, collector: Collector, row: int, cells: Mapping[str, str]) -> None:
        """Give the collector one line."""
        key = cells["key"]
        with placed(self._path, row, "key"):
            attributes = parse_ofa(key)
        self._check(attributes, row, cells)
        collector.add(
            key,
            cells[self._mean],
            attributes=attributes,
            row=row,
            column=self._mean,
            scale=self._scale,
            std_ns=self._deviation(row, cells),
            count=self._integer(row, cells, "count"),
            source=cells.get("source"),
            image_size=self._integer(row, cells, "image_size"),
        )

    def _deviation(self, row: int, cells: Mapping[str, str]) -> float | None:
        for found, variance in ((self._std, False), (self._var, True)):
            if found and cells[found[0]]:
                spread = number(cells[found[0]], self._path, row, found[0]) * found[1]
                return deviation_ns(spread, variance, self._path, row, found[0])
        return None

    def _integer(self, row: int, cells: Mapping[str, str], column: str) -> int | None:
        text = cells.get(column)
        return integer(text, self._path, row, column) if text else None

    def _check(self, attributes: Mapping[str, Any], row: int, cells: Mapping[str, str]) -> None:
        """Refuse columns that contradict the key."""
        said = _said(attributes)
        for column in _SAID_BY_KEY:
            if cells.get(column) and cells[column] != said[column]:
                raise TableFileError(
                    self._path,
                    f"{cells[column][:40]!r}, but the key says {said[column]!r}",
                    row=row,
                    column=column,
                    hint="correct one of the two",
                )


def _said(attributes: Mapping[str, Any]) -> dict[str, str]:
    """What a key says, as the cells of its columns."""
    cells = {name: str(attributes.get(name, "")) for name in ("op", "kernel", "stride", "idskip", "se", "hs")}
    shapes = {f"{name}_shape": "x".join(map(str, attributes.get(name, ()))) for name in ("input", "output")}
    return cells | shapes | {"expand_or_mid": str(attributes.get("mid", attributes.get("expand", "")))}


def _cells(block: Block) -> dict[str, Any]:
    return {
        "image_size": block.image_size,
        "mean_ms": block.latency_ns / 1e6,
        "std_ms": None if block.std_ns is None else block.std_ns / 1e6,
        "count": block.count,
        "key": block.key,
        **_said(parse_ofa(block.key)),
    }
