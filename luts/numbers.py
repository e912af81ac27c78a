"""The numbers of rows without their samples: what comparing and exporting many rows needs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

from sqlalchemy import Row, Select, func, select

from . import schema
from .measurement import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNumbers:
    """One row without its samples.

    Attributes:
        subject_kind: see `Measurement`, as for all that is not described here.
        subject_key: the canonical key within its kind.
        label: what a person reads.
        status: ``"ok"``, ``"noisy"`` or ``"failed"``; a failed row has no number.
        latency_ns: the number; None for a failed row, as for all statistics.
        rel_halfwidth: half the confidence interval relative to the latency; None where it is not known.
        p10_ns: 10 % quantile.
        median_ns: median.
        p90_ns: 90 % quantile.
        iqr_ns: distance between the quartiles.
        sample_count: how many samples there are.
        measured_at: ISO 8601 in UTC.
        flags: quality flags.
    """

    subject_kind: str
    subject_key: str
    label: str
    status: str
    latency_ns: float | None
    rel_halfwidth: float | None
    p10_ns: float | None
    median_ns: float | None
    p90_ns: float | None
    iqr_ns: float | None
    sample_count: int
    measured_at: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, row: Measurement) -> Self:
        """Return the numbers of a whole row."""
        numbers = ("latency_ns", "p10_ns", "median_ns", "p90_ns", "iqr_ns")
        named = ("subject_kind", "subject_key", "label", "status", "rel_halfwidth", "measured_at", "flags")
        values: dict[str, Any] = {name: getattr(row, name) for name in named}
        values |= {name: None if row.status == "failed" else getattr(row, name) for name in numbers}
        return cls(**values, sample_count=row.n)


class NumberColumns(NamedTuple):
    """Several rows by columns, each of shape [n], n rows.

    The columns are those of `RowNumbers`, but ``flags`` are JSON lists, and ``subject_id`` numbers the subjects in
    the store.
    """

    subject_kind: Sequence[str]
    subject_key: Sequence[str]
    label: Sequence[str]
    status: Sequence[str]
    latency_ns: Sequence[float | None]
    rel_halfwidth: Sequence[float | None]
    p10_ns: Sequence[float | None]
    median_ns: Sequence[float | None]
    p90_ns: Sequence[float | None]
    iqr_ns: Sequence[float | None]
    sample_count: Sequence[int]
    measured_at: Sequence[str]
    flags: Sequence[str]
    subject_id: Sequence[int]

    @classmethod
    def of(cls, rows: Sequence[Row[Any]]) -> Self:
        """Turn rows of the query of `select_numbers`, at least one, into columns."""
        return cls(*zip(*rows, strict=True))

    def rows(self) -> Iterator[RowNumbers]:
        """Iterate over the rows."""
        names = [field.name for field in fields(RowNumbers)]
        for values in zip(*self[: len(names)], strict=True):
            named: dict[str, Any] = dict(zip(names, values, strict=True))
            yield RowNumbers(**named | {"flags": tuple(json.loads(named["flags"]))})


def select_numbers(device_id: int) -> Select[Any]:
    """Return the query of a device's numbers, columns in the order of `NumberColumns`."""
    subject, row = schema.subject.c, schema.measurement.c
    columns = {
        "subject_kind": subject.kind,
        "subject_key": subject.key,
        # A row has a label of its own only where it differs from the subject's.
        "label": func.coalesce(row.label, subject.label),
        **{name: row[name] for name in NumberColumns._fields if name in row and name != "label"},
    }
    query = select(*(columns[name].label(name) for name in NumberColumns._fields))
    return query.select_from(schema.measurement.join(schema.subject)).where(row.device_id == device_id)
