"""Whole networks: predicted beside measured on one device, and work beside latency across devices."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ....predictors.metrics import Report, ReportRow
from ....predictors.prediction import significant
from ...drawing.points import Point, Points, Series, points_svg
from ..page import Links, Page
from .table import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....luts import DeviceRecord, Measurement, Store

_BAND: Final = 0.10  # the share of errors within it is what such tools are compared by


def measured_page(store: "Store", device: str, links: Links) -> Page:
    """Networks that were measured beside the rows they are predicted from.

    Raises:
        UnknownNameError: no such device.
    """
    record = store.device(device)
    rows = [row for row in _networks(store, record) if isinstance(row.spec.get("predicted_ns"), int | float)]
    pairs = [(row, float(row.spec["predicted_ns"]) / 1e6, row.latency_ns / 1e6) for row in rows]
    pairs = [(row, predicted, measured) for row, predicted, measured in pairs if predicted > 0 and measured > 0]
    data: dict[str, Any] = {"device": describe(record), "networks": [_pair(*pair, links, record) for pair in pairs]}
    charts = {}
    if pairs:
        # The rows keep no interval of their prediction, so what a summary says of intervals is left out.
        reported = [
            ReportRow(network=row.label, predicted_ms=told, low_ms=told, high_ms=told, measured_ms=measured)
            for row, told, measured in pairs
        ]
        summary = asdict(Report(tuple(reported)).summary)
        data["summary"] = {k: v for k, v in summary.items() if k != "inside"}
        points = [Point(m, p, f"{r.label}: measured {significant(m)} ms, predicted {significant(p)} ms",
                        links.network(r.label, record.digest)) for r, p, m in pairs]  # fmt: skip
        charts["scatter"] = points_svg(
            Points(
                "measured, ms",
                "predicted, ms",
                [Series("", points)],
                log=True,
                band=_BAND,
                described=f"{len(points)} networks, predicted beside measured, on {record.name}",
            )
        )
    return Page(
        template="measured.html",
        title=f"{record.name}: predicted and measured",
        place="devices",
        data=data,
        charts=charts,
    )


def _networks(store: "Store", record: "DeviceRecord") -> "Iterable[Measurement]":
    return (row for row in store.measurements(record, "network") if row.status != "failed")


def _pair(
    row: "Measurement", predicted_ms: float, measured_ms: float, links: Links, record: "DeviceRecord"
) -> dict[str, Any]:
    return {
        "network": row.label,
        "key": row.subject_key,
        "status": row.status,
        "macs": row.spec.get("macs"),
        "measured_ms": measured_ms,
        "predicted_ms": predicted_ms,
        "error_pct": 100 * (predicted_ms - measured_ms) / measured_ms,
        "href": links.row(record.digest, row.subject_kind, row.subject_key),
    }


def work_page(store: "Store", links: Links) -> Page:
    """MACs beside latency of every whole network that was measured, across devices."""
    series, devices = [], []
    for record in store.devices():
        rows = [row for row in _networks(store, record) if row.spec.get("macs") and row.latency_ns > 0]
        if not rows:
            continue
        named = f"{record.name} ({record.fingerprint.runtime_name}, {record.fingerprint.threads} thr., " \
                f"{record.fingerprint.precision})"  # fmt: skip
        points = [_worked(row, record, links) for row in rows]
        series.append(Series(named, points))
        networks = [
            {"network": row.label, "macs": row.spec["macs"], "latency_ms": row.latency_ns / 1e6, "status": row.status}
            for row in rows
        ]
        devices.append({"device": describe(record), "networks": networks})
    described = f"work and latency of networks on {len(series)} devices"
    chart = {"work": points_svg(Points("M MACs", "latency, ms", series, log=True, described=described))}
    return Page(
        template="work.html",
        title="Work and latency",
        place="work",
        data={"devices": devices},
        charts=chart if series else {},
    )


def _worked(row: "Measurement", record: "DeviceRecord", links: Links) -> Point:
    macs, latency_ms = row.spec["macs"] / 1e6, row.latency_ns / 1e6
    name = f"{row.label} on {record.name}: {macs:.4g} M MACs, {significant(latency_ms)} ms"
    return Point(macs, latency_ms, name, links.network(row.label, record.digest))
