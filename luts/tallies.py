"""How many rows each device has of each kind, kept beside the rows: counting ten million of them takes seconds."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, func, select

from . import schema
from .dialects import insert_into

_RARE: Final = 20  # a kind is rare where a device has so many times more rows of others


def counted(connection: Connection) -> dict[int, dict[str, int]]:
    """The rows of each device by subject kind: ``{device_id: {kind: rows}}``, kinds without rows left out."""
    tally = schema.tally.c
    query = select(tally.device_id, tally.kind, tally.rows).where(tally.rows > 0).order_by(tally.kind)
    counts: dict[int, dict[str, int]] = {}
    for device_id, kind, rows in connection.execute(query):
        counts.setdefault(device_id, {})[kind] = rows
    return counts


def add(connection: Connection, device_id: int, new: Mapping[str, int]) -> None:
    """Count rows that are new, by kind, in the transaction that writes them."""
    for kind, rows in new.items():
        row = {"device_id": device_id, "kind": kind, "rows": rows}
        statement = insert_into(connection, schema.tally, row, ("device_id", "kind"))
        if connection.execute(statement, [row]).rowcount == 0:
            mine = (schema.tally.c.device_id == device_id) & (schema.tally.c.kind == kind)
            connection.execute(schema.tally.update().where(mine).values(rows=schema.tally.c.rows + rows))


def lock(connection: Connection, device_id: int) -> None:
    """Let one transaction at a time write rows of a device, so that it knows which are new; SQLite has but one."""
    mine = schema.device.c.id == device_id
    connection.execute(select(schema.device.c.id).where(mine).with_for_update(key_share=True))


def is_rare(connection: Connection, device_id: int, kind: str) -> bool:
    """Whether rows of a kind are so few among a device's that it is quicker to begin with the kind's subjects."""
    tally = schema.tally.c
    query = select(tally.kind, tally.rows).where(tally.device_id == device_id)
    rows = Counter({row.kind: row.rows for row in connection.execute(query)})
    return _RARE * rows[kind] < rows.total()


def recounted(connection: Connection) -> dict[int, dict[str, int]]:
    """The same as `counted`, from the rows themselves."""
    measurement, subject = schema.measurement.c, schema.subject.c
    query = (
        select(measurement.device_id, subject.kind, func.count())
        .select_from(schema.measurement.join(schema.subject))
        .group_by(measurement.device_id, subject.kind)
        .order_by(subject.kind)
    )
    counts: dict[int, dict[str, int]] = {}
    for device_id, kind, rows in connection.execute(query):
        counts.setdefault(device_id, {})[kind] = rows
    return counts
