"""Measurements as columns of the store, and back."""

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..networks.errors import StoreCorruptError, UsageError
from ._json import canonical
from .measurement import Measurement
from .normalisation import Normalisation
from .packing import pack, unpack

_INT64_END: Final = 1 << 63
_STATISTICS: Final = ("latency_ns", "p10_ns", "median_ns", "p90_ns", "iqr_ns")
_PACKED: Final = ("rounds", "samples", "compute_reference", "memory_reference")
_OTHERS: Final = (
    "status",
    *_STATISTICS,
    "rel_halfwidth",
    "sample_count",
    "executions_per_sample",
    "overhead_ns",
    "reference_ratio",
    "measured_at",
    "flags",
    "reason",
    "versions",
    "conditions",
    "normalisation",
)


def subject_columns(row: Measurement) -> dict[str, Any]:
    """Return the columns of the measured subject."""
    return {
        "kind": row.subject_kind,
        "key": row.subject_key,
        "label": row.label,
        "spec": canonical(row.spec),
        "macs": _count(row.spec.get("macs")),
        "bytes_moved": _count(row.spec.get("bytes_moved")),
    }


def measurement_columns(row: Measurement, spec: str, subject: Mapping[Any, Any], device_digest: str) -> dict[str, Any]:
    """Return the columns of a measurement, without the device and subject it belongs to.

    Args:
        row: the measurement.
        spec: its canonical spec, which `subject_columns` has too.
        subject: the subject's stored columns; what equals them is not stored again.
        device_digest: digest of the device it belongs to.
    """
    columns = {
        "status": row.status,
        **_statistics(row),
        "rel_halfwidth": row.rel_halfwidth,
        "sample_count": row.n,
        "executions_per_sample": row.executions_per_sample,
        "overhead_ns": row.overhead_ns,
        "reference_ratio": row.reference_ratio,
        "measured_at": row.measured_at,
        "flags": canonical(row.flags),
        "reason": row.reason,
        "versions": canonical(row.versions),
        "conditions": canonical(row.conditions),
        "label": None if row.label == subject["label"] else row.label,
        "spec": None if spec == subject["spec"] else spec,
        "rounds": pack(row.rounds),
        "samples": pack(row.samples_ns),
        **_normalisation_columns(row.normalisation),
    }
    whose = (device_digest, row.subject_kind, row.subject_key, row.label, spec)
    return columns | {"checksum": _checksum(whose, columns)}


def measurement_from(columns: Mapping[Any, Any], device: str) -> Measurement:
    """Read a measurement from its columns, joined with its subject's as ``subject_*``.

    Args:
        columns: the columns.
        device: names the device in an error.

    Raises:
        StoreCorruptError: names the row and what is wrong with it.
    """
    where = f"{columns['subject_kind']} {columns['subject_key']} on {device}"
    try:
        samples, rounds = (unpack(columns[name], where=where) for name in ("samples", "rounds"))
        return Measurement(
            subject_kind=columns["subject_kind"],
            subject_key=columns["subject_key"],
            label=columns["subject_label"] if columns["label"] is None else columns["label"],
            status=columns["status"],
            reason=columns["reason"],
            samples_ns=samples,
            rounds=rounds.astype(np.int32),
            executions_per_sample=columns["executions_per_sample"],
            overhead_ns=columns["overhead_ns"],
            rel_halfwidth=columns["rel_halfwidth"],
            reference_ratio=columns["reference_ratio"],
            flags=tuple(json.loads(columns["flags"])),
            conditions=json.loads(columns["conditions"]),
            versions=json.loads(columns["versions"]),
            measured_at=columns["measured_at"],
            spec=json.loads(columns["subject_spec"] if columns["spec"] is None else columns["spec"]),
            normalisation=_normalisation(columns, where),
        )
    except (UsageError, ValueError, TypeError, OverflowError, RecursionError) as error:
        detail = error.message if isinstance(error, UsageError) else str(error)
        raise StoreCorruptError(
            f"the row of {where} is damaged: {detail}", hint="delete the device's rows and profile it again"
        ) from error


def row_problems(columns: Mapping[Any, Any], device: str, device_digest: str) -> list[str]:
    """Say what is wrong with a stored row; nothing if it is what was written.

    Args:
        columns: as of `measurement_from`.
        device: names the device in the lines.
        device_digest: digest of the device that the row says it belongs to.
    """
    try:
        row = measurement_from(columns, device)
    except StoreCorruptError as error:
        return [error.message]
    return contradictions(columns, row, device, device_digest)


def contradictions(columns: Mapping[Any, Any], row: Measurement, device: str, device_digest: str) -> list[str]:
    """Say which stored columns contradict the row that was read from them; arguments as of `row_problems`."""
    where = f"{row.subject_kind} {row.subject_key} on {device}"
    if names := _contradicted(columns, row):
        return [f"{name} of {where} is not what its samples give" for name in names]
    if columns["checksum"] is not None and columns["checksum"] != _stored_checksum(columns, device_digest):
        return [f"the row of {where} is not what was written: its checksum differs"]
    return []


def _contradicted(columns: Mapping[Any, Any], row: Measurement) -> list[str]:
    """Name the stored statistics that are not what the stored samples give."""
    expected = {**_statistics(row), "sample_count": row.n}
    return [name for name, value in expected.items() if not _agree(columns[name], value)]


def _stored_checksum(columns: Mapping[Any, Any], device_digest: str) -> int | None:
    """The checksum of a row as it stands in the store; None where it holds what no row can hold."""
    label, spec = (columns[f"subject_{name}"] if columns[name] is None else columns[name] for name in ("label", "spec"))
    try:
        whose = (device_digest, columns["subject_kind"], columns["subject_key"], label, spec)
        return _checksum(whose, columns)
    except (UsageError, TypeError):
        return None


def _checksum(whose: tuple[str, ...], columns: Mapping[Any, Any]) -> int:
    """CRC-32 of all that a row says, and of whom it says it."""
    value = zlib.crc32(canonical([*whose, *(columns[name] for name in _OTHERS)]).encode())
    for name in _PACKED:
        value = zlib.crc32(columns[name] or b"", value)
    return value


def _normalisation_columns(normalisation: Normalisation | None) -> dict[str, Any]:
    if normalisation is None:
        return dict.fromkeys(("normalisation", "compute_reference", "memory_reference"))
    return {
        "normalisation": canonical(normalisation.parameters()),
        "compute_reference": pack(normalisation.compute_ns),
        "memory_reference": pack(normalisation.memory_ns),
    }


def _normalisation(columns: Mapping[Any, Any], where: str) -> Normalisation | None:
    if columns["normalisation"] is None:
        return None
    compute, memory = (unpack(columns[f"{name}_reference"], where=where) for name in ("compute", "memory"))
    parameters: dict[str, float] = json.loads(columns["normalisation"])
    return Normalisation.from_dict(parameters | {"compute_ns": compute, "memory_ns": memory})


def _statistics(row: Measurement) -> dict[str, float | None]:
    return {name: None if row.status == "failed" else getattr(row, name) for name in _STATISTICS}


def _agree(stored: Any, expected: Any) -> bool:
    if stored is None or expected is None:
        return stored is expected
    return isinstance(stored, int | float) and bool(np.isclose(stored, expected, rtol=1e-9, atol=0))


def _count(value: Any) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _INT64_END
    return value if usable else None
