"""Taking a job into the queue."""

import json
import math
import uuid
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from ...luts._json import in_order
from ...luts.measurement import utc_now
from ...networks.errors import IdempotencyError, JobRequestError, JobStateError, QueueFullError, UsageError
from ..schema import job
from ._changes import row_of, set_state
from .job import FINISHED, WAITING, Job, State
from .limits import Limits

_LONGEST_KEY: Final = 255


def request_text(kind: str, request: Mapping[str, Any], limits: Limits) -> str:
    """A request as it is stored: columns of samples keep their order.

    Raises:
        JobRequestError: it is too large.
    """
    told = in_order(request)
    if len(told) > limits.request_bytes:
        raise JobRequestError(kind, {"": f"it has {len(told)} bytes; {limits.request_bytes} are allowed"})
    return told


def time_limit(limit_s: float | None) -> float | None:
    """A time limit, checked; raises UsageError for what is none."""
    if limit_s is not None and not 0 < limit_s < math.inf:
        raise UsageError(f"a time limit of {limit_s} s", hint="give a number of seconds above 0")
    return limit_s


def key(text: str | None) -> str | None:
    """An idempotency key, checked; raises UsageError for one of no length, or too long."""
    if text is not None and not 0 < len(text) <= _LONGEST_KEY:
        raise UsageError("an idempotency key of no length, or too long", hint=f"give 1 to {_LONGEST_KEY} characters")
    return text


def submitted(connection: Connection, row: Mapping[str, Any], limits: Limits) -> Job:
    """Take a job, unless its idempotency key says that it is there already.

    Args:
        connection: in a transaction that decides.
        row: what is asked for: columns of the table `job`.
        limits: how many may wait.

    Raises:
        IdempotencyError: the key stands for another request.
        QueueFullError: too many jobs are waiting.
        UnknownJobError: it is to wait for a job that is not there.
        JobStateError: it is to wait for one that did not succeed.
    """
    if row["idempotency_key"] is not None:
        query = select(job).where(job.c.idempotency_key == row["idempotency_key"])
        known = connection.execute(query).mappings().one_or_none()
        if known is not None:
            if known["kind"] != row["kind"] or json.loads(known["request"]) != json.loads(row["request"]):
                raise IdempotencyError(known["id"])
            return Job.of(dict(known))
    waiting = select(func.count()).select_from(job).where(job.c.state.in_(WAITING))
    if connection.execute(waiting).scalar_one() >= limits.waiting:
        raise QueueFullError(limits.waiting)
    state = "queued" if row["waits_for"] is None else _state_behind(connection, row["waits_for"])
    none: dict[str, Any] = {"attempts": 0, "losses": 0, "events": 0, "log_bytes": 0}
    new = {"id": uuid.uuid4().hex, "state": "created", "created_at": utc_now(), **none, **row}
    number = connection.execute(insert(job).values(new).returning(job.c.number)).scalar_one()
    set_state(connection, number, "created")
    if state != "created":
        set_state(connection, number, state)
    return Job.of(row_of(connection, new["id"]))


def _state_behind(connection: Connection, other: str) -> State:
    state: State = row_of(connection, other)["state"]
    if state in FINISHED and state != "succeeded":
        raise JobStateError(other, state, "nothing can wait for it", hint="clone that job first, and name the clone")
    return "queued" if state == "succeeded" else "created"
