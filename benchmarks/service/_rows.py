"""A store of ten million rows: what a service asks of it, query by query."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from lutra.luts import Store

from .._parts import WORK
from .._results import Figure, note
from .._tables_store import DEVICES, SUBJECTS, fill

_QUERIES: Final = 50
_SEVERAL: Final = 200  # rows asked for at once
_PAGE: Final = 100
_SPACE_BYTES: Final = 12 << 30
_RARE: Final = "network"


def measure() -> dict[str, Any]:
    """Ask a store of ten million rows; makes it first, in some minutes and 6 GB, and keeps it for the next time."""
    path = WORK / "service-rows.db"
    if not path.exists():
        if shutil.disk_usage(WORK).free < _SPACE_BYTES:
            raise OSError(f"{WORK} has less than {_SPACE_BYTES >> 30} GiB of free space")
        note(f"rows: building {DEVICES * SUBJECTS} rows")
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        fill(part, SUBJECTS)
        part.replace(path)
    return measured(path, SUBJECTS)


def measured(path: Path, subjects: int) -> dict[str, Any]:
    """How long each query takes, in ms: the median and the 99 % quantile of random ones, after one that warms up.

    Args:
        path: of a store that `fill` made.
        subjects: kernels that every device has a row of.
    """
    rng = np.random.default_rng(0)

    def device() -> str:
        return f"device {rng.integers(DEVICES)}"

    def key() -> str:
        return f"{rng.integers(1, subjects + 1):032x}"

    def subject() -> int:
        return int(rng.integers(subjects))

    with Store.open(path, read_only=True) as store:
        rows = sum(sum(summary.counts.values()) for summary in store.summaries())
        assert rows == DEVICES * (subjects + 1), rows  # beside the row that it was copied from
        asked: dict[str, Callable[[], object]] = {
            "one row": lambda: store.get(device(), "kernel", key()),
            f"{_SEVERAL} rows": lambda: store.get_many(device(), [("kernel", key()) for _ in range(_SEVERAL)]),
            f"a page of {_PAGE} rows": lambda: store.number_page(device(), after=subject(), limit=_PAGE),
            f"a page of {_PAGE} kernels": lambda: store.number_page(device(), "kernel", after=subject(), limit=_PAGE),
            "whole networks of a device": lambda: list(store.numbers(device(), _RARE)),
            "names of whole networks": lambda: store.keys(device(), _RARE),
            "tables with their counts": store.summaries,
            "devices": store.devices,
        }
        found = {name: _times_ms(ask) for name, ask in asked.items()}
    return {"rows": rows, "store_bytes": path.stat().st_size, "queries": found}


def _times_ms(ask: Callable[[], object]) -> dict[str, float]:
    ask()
    taken_ms = []
    for _ in range(_QUERIES):
        start = time.perf_counter()
        ask()
        taken_ms.append(1e3 * (time.perf_counter() - start))
    return {"median": float(np.median(taken_ms)), "p99": float(np.quantile(taken_ms, 0.99))}


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figure of `measure`: the slowest kind of query."""
    told = ", ".join(f"{name} {ms['median']:.2f} (p99 {ms['p99']:.2f})" for name, ms in found["queries"].items())
    return [
        Figure(
            figure="rows_10m_query_ms",
            value=max(ms["median"] for ms in found["queries"].values()),
            unit="ms",
            goal=50.0,
            better="lower",
            peer="",
            protocol=f"{found['rows']} rows of {DEVICES} devices, {found['store_bytes'] / 2**30:.1f} GiB of SQLite; "
            f"the slowest kind of query, median of {_QUERIES} random ones each, in ms: {told}",
            command=command,
        )
    ]
