"""`Working`: the half of a queue that workers use: taking jobs, and telling what becomes of them."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, select, text, update

from ...luts._json import canonical
from ...luts.database import Database
from ...luts.leases import now_ms
from ...luts.measurement import utc_now
from ...networks.errors import JobLostError, UsageError
from ..schema import job
from . import _changes, _files, _logs, _streams
from ._streams import Standing, Told
from .job import ACTIVE, FINISHED, Claim, Job, State, Worker
from .limits import Limits


class Working:
    """What workers do with the jobs of a database.

    Methods that take a ``token`` are for the worker that claimed the job. They raise JobLostError as soon as the job
    is not its own any more, and write nothing then: a worker that was taken for dead cannot disturb its successor.

    Args:
        database: where they are.
        limits: how much is taken and kept.
    """

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self.limits = limits

    def claim(
        self,
        worker: Worker,
        kinds: Collection[str],
        devices: Collection[str] | None = None,
        *,
        token: str | None = None,
        job_id: str | None = None,
    ) -> Claim | None:
        """Take the next job; jobs of workers that are gone are queued again before.

        Args:
            worker: who takes it.
            kinds: of jobs that it can do.
            devices: that it can measure; None for any. No device is measured by two jobs at a time.
            token: 32 hexadecimal digits of the worker's own choice, or None for fresh ones. Asked again with the same
                ones, it gets the job that it has got with them, so that an answer may be lost.
            job_id: take no other job than this one.

        Returns:
            The job, with the token to write about it; None where there is nothing to do.
        """
        with self._deciding() as connection:
            _changes.requeue_lost(connection, self.limits)
            if token is not None and (known := self._held_by(connection, token)) is not None:
                return known
            taken = select(job.c.device).where(job.c.state.in_(ACTIVE), job.c.device.is_not(None))
            free = [job.c.device.not_in(taken)]
            if devices is not None:
                free.append(job.c.device.in_([*devices]))
            wanted = () if job_id is None else (job.c.id == job_id,)
            next_one = (
                select(job.c.number)
                .where(job.c.state == "queued", job.c.kind.in_([*kinds]), job.c.device.is_(None) | and_(*free), *wanted)
                .order_by(job.c.priority.desc(), job.c.number)
                .limit(1)
            )
            number = connection.execute(next_one).scalar_one_or_none()
            if number is None:
                return None
            token = token or uuid.uuid4().hex
            held: dict[str, Any] = {"worker": worker.name, "host": worker.host, "pid": worker.pid, "token": token}
            held |= {"started_at": utc_now(), "heartbeat_ms": now_ms(), "attempts": job.c.attempts + 1}
            _changes.set_state(connection, number, "running", **held)
            row = connection.execute(select(job).where(job.c.number == number)).mappings().one()
            return Claim(Job.of(dict(row)), token)

    def _held_by(self, connection: Connection, token: str) -> Claim | None:
        held = (job.c.token == token) & job.c.state.in_(ACTIVE)
        beat = update(job).where(held).values(heartbeat_ms=now_ms()).returning(job)
        row = connection.execute(beat).mappings().first()
        return None if row is None else Claim(Job.of(dict(row)), token)

    def heartbeat(self, job_id: str, token: str) -> State:
        """Say that a worker is there; returns whether its job is running, or cancelling.

        Raises:
            JobLostError: the job is not the worker's any more.
        """
        with self._database.write() as connection:
            return self._mine(connection, job_id, token, {})["state"]  # type: ignore[no-any-return]

    def report(self, job_id: str, token: str, told: Told) -> Standing:
        """Tell what an agent has written down elsewhere; as good as a heartbeat. What was told before is left out.

        Raises:
            JobLostError: the job is not the worker's any more.
            UsageError: an event that is too large, or no JSON.
        """
        self._require_small(told.events)
        with self._database.write() as connection:
            row = self._mine(connection, job_id, token, {})
            events, characters = _streams.taken_over(connection, row["number"], told.source)
            new, text = _streams.not_yet(told, events, characters)
            if new:
                row = self._mine(connection, job_id, token, {"events": job.c.events + len(new), "losses": 0})
                _changes.insert_events(connection, row["number"], row["events"], new)
                events = max(event["number"] for event in told.events)
            _logs.append(connection, row, text, self.limits.log_characters)
            if new or text:
                _streams.take_over(connection, row["number"], told.source, events, characters + len(text))
            return Standing(state=row["state"], events=events, log_characters=characters + len(text))

    def append_events(self, job_id: str, token: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Tell what happened; as good as a heartbeat.

        Raises:
            JobLostError: the job is not the worker's any more.
            UsageError: an event that is too large, or no JSON.
        """
        self._require_small(events)
        with self._database.write() as connection:
            row = self._mine(connection, job_id, token, {"events": job.c.events + len(events), "losses": 0})
            _changes.insert_events(connection, row["number"], row["events"], events)

    def append_log(self, job_id: str, token: str, text: str) -> None:
        """Add to what people read about a job; secrets are blotted out, and what exceeds the limit is left out.

        Its last words may come after it has finished.

        Raises:
            JobLostError: the job is not the worker's any more.
        """
        with self._database.write() as connection:
            row = self._mine(connection, job_id, token, {}, (*ACTIVE, *FINISHED))
            _logs.append(connection, row, text, self.limits.log_characters)

    def put_file(self, job_id: str, token: str, name: str, content: bytes) -> None:
        """Keep a file with a job, in place of an earlier one of that name.

        Args:
            job_id: which.
            token: the worker's.
            name: a relative path with "/" between folders, of letters, digits and ``._-``.
            content: what is in it.

        Raises:
            JobLostError: the job is not the worker's any more.
            UsageError: a name that could leave its folder, or a file that is too large.
        """
        with self._database.write() as connection:
            _files.put(connection, self._mine(connection, job_id, token, {})["number"], name, content, self.limits)

    def finish(
        self,
        job_id: str,
        token: str,
        state: State,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> Job:
        """Say how a job ended. Said twice, it is as if it were said once, so that a worker may repeat it.

        Args:
            job_id: which.
            token: the worker's.
            state: succeeded, failed, timed_out or cancelled.
            result: what it found, plain JSON data.
            error: why it failed: ``code``, ``message``, ``hint``.

        Raises:
            JobLostError: the job is not the worker's any more.
            UsageError: no such end, or a result that is too large.
        """
        if state not in FINISHED:
            raise UsageError(f"a job does not end as {state!r}", hint=f"say one of {', '.join(FINISHED)}")
        told = None if result is None else canonical(result)
        if told is not None and len(told) > self.limits.result_bytes:
            raise UsageError("the result is too large", hint=f"{self.limits.result_bytes} bytes at most; keep files")
        columns: dict[str, Any] = {"result": told, "error": None if error is None else canonical(error)}
        with self._deciding() as connection:
            row = _changes.row_of(connection, job_id)
            if row["token"] != token or (row["state"] not in (*ACTIVE, state)):
                raise JobLostError(job_id)
            if row["state"] in ACTIVE:
                _changes.set_state(connection, row["number"], state, **columns)
            return Job.of(_changes.row_of(connection, job_id))

    def give_back(self, job_id: str, token: str, reason: str, *, lost: bool = False) -> Job:
        """Queue a job again that a worker cannot bring to an end; another one goes on with it.

        Args:
            job_id: which.
            token: the worker's.
            reason: why, for people.
            lost: whether its process died of it, which may happen a few times only.

        Raises:
            JobLostError: the job is not the worker's any more.
        """
        with self._deciding() as connection:
            row = self._mine(connection, job_id, token, {})
            _changes.give_back(connection, row, self.limits, reason, lost=lost)
            return Job.of(_changes.row_of(connection, job_id))

    def _require_small(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            if len(canonical(event)) > self.limits.event_bytes:
                raise UsageError("an event is too large", hint=f"{self.limits.event_bytes} bytes at most")

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """A transaction that reads the queue and then changes it: one at a time, on a server as in a file."""
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def _mine(
        self,
        connection: Connection,
        job_id: str,
        token: str,
        columns: Mapping[str, Any],
        states: Sequence[State] = ACTIVE,
    ) -> dict[str, Any]:
        """Beat, change columns of a job, and return all of them, if the token's worker has it."""
        held = (job.c.id == job_id, job.c.token == token, job.c.state.in_(states))
        beat = update(job).where(*held).values(heartbeat_ms=now_ms(), **columns).returning(job)
        row = connection.execute(beat).mappings().one_or_none()
        if row is None:
            _changes.row_of(connection, job_id)
            raise JobLostError(job_id)
        return dict(row)
