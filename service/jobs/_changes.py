"""Changes of a job's state, each within a transaction that decides about the queue."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from ...luts._json import canonical
from ...luts.leases import Holder
from ...luts.measurement import utc_now
from ...networks.errors import UnknownJobError, WorkerCrashedError
from ..schema import job, job_event
from .job import ACTIVE, FINISHED, State
from .limits import Limits

logger = logging.getLogger(__name__)

_FREED: Final[Mapping[str, Any]] = {"host": None, "pid": None, "heartbeat_ms": None}


def row_of(connection: Connection, job_id: str) -> dict[str, Any]:
    """The columns of a job, by name.

    Raises:
        UnknownJobError: there is none.
    """
    found = connection.execute(select(job).where(job.c.id == job_id)).mappings().one_or_none()
    if found is None:
        raise UnknownJobError(job_id)
    return dict(found)


def set_state(connection: Connection, number: int, state: State, *, reason: str = "", **columns: Any) -> None:
    """Give a job a state, with the event that says so; jobs that wait for it are told what became of it."""
    now = utc_now()
    if state in FINISHED:
        columns |= {"finished_at": now, **_FREED}
    changed = update(job).where(job.c.number == number).values(state=state, events=job.c.events + 1, **columns)
    job_id, counted = connection.execute(changed.returning(job.c.id, job.c.events)).one()
    event = {"event": "state", "at": now, "state": state} | ({"reason": reason} if reason else {})
    insert_events(connection, number, counted, [event])
    if state in FINISHED:
        _tell_followers(connection, job_id, state)


def insert_events(connection: Connection, number: int, counted: int, events: Iterable[Mapping[str, Any]]) -> None:
    """Write events of a job whose count says already that they are there.

    Args:
        connection: in the transaction that counted.
        number: of the job.
        counted: events with these.
        events: in order.
    """
    texts = [canonical(event) for event in events]
    first = counted - len(texts) + 1
    rows = [{"job_number": number, "number": n, "content": text} for n, text in enumerate(texts, first)]
    if rows:
        connection.execute(insert(job_event), rows)


def _tell_followers(connection: Connection, job_id: str, state: State) -> None:
    waiting = select(job.c.number).where(job.c.waits_for == job_id, job.c.state == "created")
    for number in connection.execute(waiting).scalars().all():
        if state == "succeeded":
            set_state(connection, number, "queued")
        else:
            set_state(connection, number, "cancelled", reason=f"the job {job_id}, which it waited for, is {state}")


def requeue_lost(connection: Connection, limits: Limits) -> None:
    """Take jobs from workers that are dead or silent: queue them again, or end those that were to be cancelled."""
    active = select(job).where(job.c.state.in_(ACTIVE))
    for row in connection.execute(active).mappings().all():
        if not Holder(row["host"], row["pid"], int(row["heartbeat_ms"])).is_gone(limits.stale_after_s):
            continue
        logger.warning("the worker %s of job %s is gone", row["worker"], row["id"])
        give_back(connection, dict(row), limits, f"its worker {row['worker']} is gone", lost=True)


def give_back(connection: Connection, row: Mapping[str, Any], limits: Limits, reason: str, *, lost: bool) -> None:
    """End a worker's hold on a job that has not come to an end.

    Args:
        connection: in a transaction that decides.
        row: the job's columns.
        limits: how often workers may die of it.
        reason: why, for people.
        lost: whether the worker died, rather than was told to stop.
    """
    losses = row["losses"] + lost
    if row["state"] == "cancelling":
        set_state(connection, row["number"], "cancelled", reason=reason)
    elif losses > limits.losses:
        error = {
            "code": WorkerCrashedError.code,
            "message": f"{losses} workers in a row died of it before anything was done; the last: {reason}",
            "hint": "look at its log; give it less to do, or a machine with more memory",
        }
        set_state(connection, row["number"], "failed", reason=reason, error=json.dumps(error))
    else:
        set_state(connection, row["number"], "queued", reason=reason, losses=losses, **_FREED)
