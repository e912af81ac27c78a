"""Writing rows: the subject once for all devices, the measurement beside it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, RowMapping, select

from . import schema, tallies
from .dialects import insert_into
from .measurement import Measurement
from .queries import by_kind, select_subject
from .rows import measurement_columns, subject_columns

_BATCH: Final = 256


def write_rows(connection: Connection, device: RowMapping, rows: Iterable[Measurement], *, replace: bool) -> int:
    """Write measurements in the transaction of ``connection``; return how many were written.

    Args:
        connection: inside a transaction.
        device: the columns of the device they belong to.
        rows: consumed batch by batch, so that memory stays bounded.
        replace: overwrite earlier rows of the same subjects; otherwise the earlier ones are kept.
    """
    tallies.lock(connection, device["id"])
    return sum(_write_batch(connection, device, batch, replace) for batch in _batches(rows))


def _batches(rows: Iterable[Measurement]) -> Iterator[list[Measurement]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _write_batch(connection: Connection, device: RowMapping, rows: Sequence[Measurement], replace: bool) -> int:
    described = [subject_columns(row) for row in rows]
    connection.execute(insert_into(connection, schema.subject, described[0], ("kind", "key")), described)
    subjects = _subjects(connection, rows)
    columns = []
    for row, known in zip(rows, described, strict=True):
        subject = subjects[row.subject_kind, row.subject_key]
        owner = {"device_id": device["id"], "subject_id": subject["id"]}
        columns.append(owner | measurement_columns(row, known["spec"], subject, device["digest"]))
    unique = ("device_id", "subject_id")
    present = _present(connection, device["id"], [column["subject_id"] for column in columns])
    statement = insert_into(connection, schema.measurement, columns[0], unique, replace=replace)
    written = connection.execute(statement, columns).rowcount
    kinds = {column["subject_id"]: row.subject_kind for column, row in zip(columns, rows, strict=True)}
    tallies.add(connection, device["id"], Counter(kind for subject, kind in kinds.items() if subject not in present))
    return written


def _present(connection: Connection, device_id: int, subjects: Sequence[int]) -> set[int]:
    """Those of the subjects that the device has a row of."""
    row = schema.measurement.c
    query = select(row.subject_id).where(row.device_id == device_id, row.subject_id.in_(subjects))
    return set(connection.execute(query).scalars())


def _subjects(connection: Connection, rows: Sequence[Measurement]) -> dict[tuple[str, str], RowMapping]:
    """The stored subjects of the rows, by kind and key."""
    found = {}
    for kind, wanted in by_kind((row.subject_kind, row.subject_key) for row in rows).items():
        for subject in connection.execute(select_subject(kind, wanted)).mappings():
            found[kind, subject["key"]] = subject
    return found
