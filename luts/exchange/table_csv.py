"""One line a row for spreadsheets: the numbers in ms. What it lacks is said in each row that is read back.

The file has neither the device's fingerprint nor raw samples, so a table that is read from it is an imported one: each
row has a single sample, which stands for its latency, the flag ``imported``, and under ``imported`` of its conditions
what the file said beyond that.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from ...networks.errors import TableFileError
from ..blocktable import MAX_LATENCY_NS
from ..columns import CSV_COLUMNS, csv_row
from ..fingerprint import Fingerprint
from ..measurement import Measurement
from ..quality import QualityFlag
from .files import integer, number, placed, read_csv, read_header
from .registry import Head, Imported, TableFormat, register

REQUIRED: Final = ("kind", "key", "label", "status", "latency_ms", "measured_at")
"""Columns that a file must have to be read."""

_TIMES: Final = ("p10_ms", "median_ms", "p90_ms", "iqr_ms", "overhead_ms")
_COUNTS: Final = ("n", "executions_per_sample")
_RATIOS: Final = ("compute_elasticity", "memory_elasticity")
_LOST: Final = ["fingerprint", "samples_ns", "rounds", "normalisation", "conditions", "versions", "spec"]


@register
class TableCsv(TableFormat):
    """Numbers only."""

    name = "csv"
    suffixes = (".csv",)
    summary = "one line a row, numbers only, in ms"
    lossless = False
    header_rows = 1

    def write(self, path: Path, head: Head, rows: Iterable[Measurement]) -> int:  # noqa: ARG002  # no place for a head
        """Write a line a row."""
        count = 0
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow(csv_row(row))
                count += 1
        return count

    def read(self, path: Path) -> Imported:
        """Read the lines as rows of an imported device that is called as the file is."""
        lacking = [name for name in REQUIRED if name not in read_header(path)]
        if lacking:
            raise TableFileError(path, "is absent", row=1, column=lacking[0], hint=f"give {', '.join(CSV_COLUMNS)}")
        name = path.stem
        return Imported(fingerprint=Fingerprint.imported(name), name=name, rows=_rows(path))


def _rows(path: Path) -> Iterator[Measurement]:
    return (_row(path, row, cells) for row, cells in read_csv(path))


def _row(path: Path, row: int, cells: Mapping[str, str]) -> Measurement:
    failed = cells["status"] == "failed"
    if failed and cells["latency_ms"]:
        raise TableFileError(path, "a failed row has no latency", row=row, column="latency_ms", hint="empty it")
    executions = _count(path, row, cells, "executions_per_sample") or 1
    latency_ns = 0.0 if failed else _latency_ns(path, row, cells["latency_ms"])
    numbers = {name: _number(path, row, cells, name) for name in (*_TIMES, *_RATIOS)}
    counts = {name: _count(path, row, cells, name) for name in _COUNTS}
    said = {name: value for name, value in {**numbers, **counts}.items() if value is not None}
    said |= {} if failed else {"latency_ms": latency_ns / 1e6}
    spec = {name: _count(path, row, cells, name) for name in ("macs", "bytes_moved")}
    if latency_ns * executions >= 2**62:
        executions = 1
    with placed(path, row):
        return Measurement(
            subject_kind=cells["kind"],
            subject_key=cells["key"],
            label=cells["label"],
            status=cells["status"],
            reason=cells.get("reason", ""),
            samples_ns=np.asarray([] if failed else [round(latency_ns * executions)], np.int64),
            executions_per_sample=executions,
            rel_halfwidth=_number(path, row, cells, "rel_halfwidth"),
            reference_ratio=_number(path, row, cells, "reference_ratio"),
            flags=(*cells.get("flags", "").split(), QualityFlag.IMPORTED),
            conditions={"imported": said | {"lost": _LOST}},
            measured_at=cells["measured_at"],
            spec={name: value for name, value in spec.items() if value is not None},
        )


def _latency_ns(path: Path, row: int, text: str) -> float:
    value = number(text, path, row, "latency_ms") * 1e6
    if not 0 <= value <= MAX_LATENCY_NS:
        raise TableFileError(path, f"a latency of {text[:40]} ms", row=row, column="latency_ms", hint="correct it")
    return value


def _number(path: Path, row: int, cells: Mapping[str, str], name: str) -> float | None:
    return number(cells[name], path, row, name) if cells.get(name) else None


def _count(path: Path, row: int, cells: Mapping[str, str], name: str) -> int | None:
    if not cells.get(name):
        return None
    value = integer(cells[name], path, row, name)
    if value < 0:
        raise TableFileError(path, f"is {value}", row=row, column=name, hint="give 0 or more")
    return value
