"""The rows of a device: a heat map of families and sizes, that of one family, and one row with its samples."""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from ....networks.errors import UnknownNameError
from ....predictors.prediction import significant
from ...drawing.heatmap import Cell, heatmap_svg
from ...drawing.points import Point, Points, Series, points_svg
from ..page import DIGEST_DIGITS, Links, Page
from .families import Labelled, by_size

if TYPE_CHECKING:
    from ....luts import DeviceRecord, Measurement, Store
    from ....luts.numbers import RowNumbers

_SAMPLES_DRAWN: Final = 2000
_COLUMNS_DRAWN: Final = 60
_ROWS_LISTED: Final = 500


def describe(record: "DeviceRecord") -> dict[str, Any]:
    """A device as plain data."""
    print_ = record.fingerprint
    return {
        "name": record.name,
        "digest": record.digest,
        "short_digest": record.digest[:DIGEST_DIGITS],
        "kind": print_.kind,
        "runtime": print_.runtime_name,
        "threads": print_.threads,
        "precision": print_.precision,
        "created_at": record.created_at,
        "used_at": record.used_at,
    }


def table_page(store: "Store", device: str, links: Links, *, family: str | None = None) -> Page:
    """All kernels of a device by family and size, or those of one family by channels and size.

    Args:
        store: where the rows are.
        device: name or digest.
        links: where cells lead.
        family: of kernels (`Labelled`); None for an overview.

    Raises:
        UnknownNameError: no such device, or no kernel of that family.
    """
    record = store.device(device)
    rows = [row for row in store.numbers(record, "kernel") if row.latency_ns is not None]
    labelled = [(Labelled.of(row.label), row) for row in rows]
    families = sorted({label.family for label, _ in labelled})
    if family is not None:
        if family not in families:
            raise UnknownNameError("family of kernels", family, families)
        labelled = [(label, row) for label, row in labelled if label.family == family]
    groups: dict[tuple[str, str], list[RowNumbers]] = defaultdict(list)
    for label, row in labelled:
        groups[label.family if family is None else label.channels, label.size].append(row)
    headings = sorted({heading for heading, _ in groups}, key=str if family is None else by_size)
    sizes = sorted({size for _, size in groups}, key=by_size)
    shown = sizes[:_COLUMNS_DRAWN]
    cells = {
        (headings.index(heading), shown.index(size)): _cell(group, heading, size, record.digest, family, links)
        for (heading, size), group in groups.items()
        if size in shown
    }
    subject = "families" if family is None else "channels"
    chart = heatmap_svg(headings, shown, cells, f"latencies of {len(rows)} kernels by {subject} and size")
    listed = sorted(labelled, key=lambda pair: -(pair[1].latency_ns or 0.0))
    return Page(
        template="table.html",
        title=f"{record.name}: {family or 'kernels'}",
        place="devices",
        data={
            "device": describe(record),
            "family": family,
            "families": families,
            "sizes_not_drawn": len(sizes) - len(shown),
            "kernels": len(labelled),
            "rows": [_listed(row, record.digest, links) for _, row in listed[:_ROWS_LISTED]],
        },
        charts={"heat": chart},
    )


def _cell(
    group: Sequence["RowNumbers"], heading: str, size: str, digest: str, family: str | None, links: Links
) -> Cell:
    latency_us = median(row.latency_ns or 0.0 for row in group) / 1e3
    count = f"median of {len(group)} kernels" if len(group) > 1 else "1 kernel"
    name = f"{heading or 'no channels'} @{size or '-'}: {significant(latency_us)} us, {count}"
    leads_on = family is None or len(group) > 1
    href = (
        links.table(digest, Labelled.of(group[0].label).family)
        if leads_on
        else links.row(digest, group[0].subject_kind, group[0].subject_key)
    )
    doubtful = any(row.status != "ok" for row in group)
    return Cell(max(latency_us, 1e-3), significant(latency_us), name, href, doubtful)


def _listed(row: "RowNumbers", digest: str, links: Links) -> dict[str, Any]:
    return {
        "kind": row.subject_kind,
        "key": row.subject_key,
        "label": row.label,
        "status": row.status,
        "latency_us": None if row.latency_ns is None else row.latency_ns / 1e3,
        "rel_halfwidth": row.rel_halfwidth,
        "samples": row.sample_count,
        "flags": list(row.flags),
        "measured_at": row.measured_at,
        "href": links.row(digest, row.subject_kind, row.subject_key),
    }


def row_page(store: "Store", device: str, kind: str, key: str) -> Page:
    """One row: its raw samples in the order in which they were taken, its numbers, what it was measured under.

    Raises:
        UnknownNameError: no such device, or no such row.
    """
    record = store.device(device)
    row = store.get(record, kind, key)
    if row is None:
        raise UnknownNameError("row", f"{kind} {key}", ())
    data = row.to_dict()
    if row.status != "failed":
        data |= {f"{name}_ns": getattr(row, f"{name}_ns") for name in ("latency", "p10", "median", "p90", "iqr")}
        data |= {"rounds_count": len(set(row.rounds.tolist()))}
    return Page(
        template="row.html",
        title=row.label or key,
        place="devices",
        data={"device": describe(record), "row": data},
        charts={"samples": _samples(row)} if row.n else {},
    )


def _samples(row: "Measurement") -> str:
    """Samples by number; the colour changes with the round, the line is the latency."""
    every = max(1, math.ceil(row.n / _SAMPLES_DRAWN))
    series: dict[int, list[Point]] = {0: [], 1: []}
    for i in range(0, row.n, every):
        us = (int(row.samples_ns[i]) - row.overhead_ns) / row.executions_per_sample / 1e3
        series[int(row.rounds[i]) % 2].append(Point(i, us, f"sample {i}, round {row.rounds[i]}: {significant(us)} us"))
    latency_us = row.latency_ns / 1e3
    return points_svg(
        Points(
            "sample",
            "us, as the clock showed it",
            [Series("even rounds", series[0]), Series("odd rounds", series[1])],
            lines=[(latency_us, f"latency {significant(latency_us)} us")],
            described=f"{row.n} samples of {row.label}",
        )
    )
