"""The numbers of rows without their samples: what comparing and exporting very many rows needs, and no more."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import Connection, Select, func, select

from . import schema
from .database import Database
from .measurement import Measurement
from .queries import of_kind
from .tallies import is_rare

_ROWS: Final = 1024  # in one item of columns
_PAGE: Final = 65536  # rows of all kinds that one transaction looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNumbers:
    """One row without its samples.

    Attributes:
        subject_kind: see `Measurement`, as for all that is not described here.
        subject_key: the canonical key within its kind.
        label: what a person reads.
        status: ``"ok"``, ``"noisy"`` or ``"failed"``; a failed row has no number.
        latency_ns: the number; None for a failed row, as for the median.
        rel_halfwidth: half the confidence interval relative to the latency; None where it is not known.
        median_ns: median.
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
    median_ns: float | None
    sample_count: int
    measured_at: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, row: Measurement) -> Self:
        """Return the numbers of a whole row."""
        numbers = ("latency_ns", "median_ns")
        named = ("subject_kind", "subject_key", "label", "status", "rel_halfwidth", "measured_at", "flags")
        values: dict[str, Any] = {name: getattr(row, name) for name in named}
        values |= {name: None if row.status == "failed" else getattr(row, name) for name in numbers}
        return cls(**values, sample_count=row.n)


class NumberColumns(NamedTuple):
    """Several rows by columns, each of shape [n], n rows; those of `RowNumbers`, but ``flags`` are JSON lists."""

    subject_kind: Sequence[str]
    subject_key: Sequence[str]
    label: Sequence[str]
    status: Sequence[str]
    latency_ns: Sequence[float | None]
    rel_halfwidth: Sequence[float | None]
    median_ns: Sequence[float | None]
    sample_count: Sequence[int]
    measured_at: Sequence[str]
    flags: Sequence[str]

    def rows(self) -> Iterator[RowNumbers]:
        """Iterate over the rows."""
        for values in zip(*self, strict=True):
            named: dict[str, Any] = dict(zip(self._fields, values, strict=True))
            yield RowNumbers(**named | {"flags": tuple(json.loads(named["flags"]))})


def stream_numbers(database: Database, device_id: int, kind: str | None) -> Iterator[NumberColumns]:
    """Yield the numbers of a device in the order of the subjects: no transaction stays open while the caller works.

    Rows pass through the driver's own cursor: the database library's rows would take as long again. Few at a time,
    because Python looks through all tuples that there are again and again.

    Args:
        database: where from.
        device_id: whose rows.
        kind: only this subject kind.
    """
    if kind is not None:
        with database.read() as connection:
            rare = is_rare(connection, device_id, kind)
        if rare:
            yield from _stream_rare(database, device_id, kind)
            return
    position, owner = schema.measurement.c.subject_id, schema.measurement.c.device_id
    query = _numbers(device_id) if kind is None else _numbers(device_id).where(schema.subject.c.kind == kind)
    last_of_page = select(position).where(owner == device_id).order_by(position).offset(_PAGE - 1).limit(1)
    last = 0
    while True:
        with database.read() as connection:
            end = connection.execute(last_of_page.where(position > last)).scalar()
            page = query.where(position > last)
            cursor = connection.execute(page if end is None else page.where(position <= end)).cursor
            assert cursor is not None  # of a query there is one
            read: Callable[[], Sequence[Any]] = partial(cursor.fetchmany, _ROWS)
            columns = [NumberColumns(*zip(*rows, strict=True)) for rows in iter(read, [])]
        yield from columns
        if end is None:
            return
        last = end


def page_of_numbers(
    connection: Connection, device_id: int, kind: str | None, *, after: int, limit: int
) -> tuple[list[RowNumbers], int | None]:
    """Return at most ``limit`` rows whose subjects come after number ``after``, and the number of the last one of them;
    None instead where no row follows."""
    position = schema.measurement.c.subject_id
    query = _numbers(device_id).add_columns(position).where(position > after).limit(limit + 1)
    query = query.where(*of_kind(connection, device_id, kind, after, limit + 1))
    found = connection.execute(query).all()
    shown = found[:limit]
    rows = [row for found in shown for row in NumberColumns(*((value,) for value in found[:-1])).rows()]
    return rows, int(shown[-1][-1]) if len(found) > limit else None


def _stream_rare(database: Database, device_id: int, kind: str) -> Iterator[NumberColumns]:
    """Yield the numbers of a kind of which the device has few rows."""
    position = schema.measurement.c.subject_id
    last = 0
    while True:
        with database.read() as connection:
            query = _numbers(device_id).add_columns(position).where(position > last).limit(_ROWS)
            rows = connection.execute(query.where(*of_kind(connection, device_id, kind, last, _ROWS))).all()
        if rows:
            yield NumberColumns(*zip(*(row[:-1] for row in rows), strict=True))
        if len(rows) < _ROWS:
            return
        last = rows[-1][-1]


def _numbers(device_id: int) -> Select[Any]:
    """The query of a device's numbers, columns in the order of `NumberColumns`."""
    subject, row = schema.subject.c, schema.measurement.c
    columns = {
        "subject_kind": subject.kind,
        "subject_key": subject.key,
        # A row has a label of its own only where it differs from the subject's.
        "label": func.coalesce(row.label, subject.label),
        **{name: row[name] for name in NumberColumns._fields if name in row and name != "label"},
    }
    query = select(*(columns[name].label(name) for name in NumberColumns._fields))
    return (
        query.select_from(schema.measurement.join(schema.subject))
        .where(row.device_id == device_id)
        .order_by(row.subject_id)
    )
