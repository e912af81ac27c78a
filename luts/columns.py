"""A row as one line of numbers, for spreadsheets: times in ms, without raw samples."""

from typing import Any, Final

from .measurement import Measurement

CSV_COLUMNS: Final = (
    "kind",
    "key",
    "label",
    "status",
    "latency_ms",
    "rel_halfwidth",
    "p10_ms",
    "median_ms",
    "p90_ms",
    "iqr_ms",
    "n",
    "executions_per_sample",
    "overhead_ms",
    "reference_ratio",
    "compute_elasticity",
    "memory_elasticity",
    "flags",
    "reason",
    "macs",
    "bytes_moved",
    "measured_at",
)
"""The columns, in order."""


def csv_row(row: Measurement) -> dict[str, Any]:
    """Return the cells of a row; what it has no number for stays empty."""
    cells: dict[str, Any] = {
        "kind": row.subject_kind,
        "key": row.subject_key,
        "label": row.label,
        "status": row.status,
        "rel_halfwidth": row.rel_halfwidth,
        "n": row.n,
        "executions_per_sample": row.executions_per_sample,
        "overhead_ms": row.overhead_ns / 1e6,
        "reference_ratio": row.reference_ratio,
        "flags": " ".join(row.flags),
        "reason": row.reason,
        "macs": row.spec.get("macs"),
        "bytes_moved": row.spec.get("bytes_moved"),
        "measured_at": row.measured_at,
    }
    if row.normalisation is not None:
        cells["compute_elasticity"] = row.normalisation.compute_elasticity
        cells["memory_elasticity"] = row.normalisation.memory_elasticity
    if row.status != "failed":
        for name in ("latency", "p10", "median", "p90", "iqr"):
            cells[f"{name}_ms"] = getattr(row, f"{name}_ns") / 1e6
    return cells
