"""`JobQueue`: the face of all jobs of a store, for servers, workers and the command line alike."""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, select, text, update

from ...luts import Store
from ...luts._json import canonical
from ...luts.leases import now_ms
from ...luts.measurement import utc_now
from ...networks.errors import JobLostError, JobStateError, UsageError
from ..schema import job, job_event, require_service_schema
from . import _changes, _files, _logs, _submitting
from ._files import JobFile
from .job import ACTIVE, FINISHED, WAITING, Claim, Job, Page, State, Worker
from .kinds import checked_request
from .limits import Limits

_MOST_LISTED: Final = 200
_MOST_EVENTS: Final = 1000


class JobQueue:
    """The jobs of a store. Every method is one transaction, so that processes and threads can share a queue.

    Methods that take a ``token`` are for the worker that claimed the job. They raise JobLostError as soon as the job
    is not its own any more, and write nothing then: a worker that was taken for dead cannot disturb its successor.

    Args:
        store: where they are; its tables of jobs are made if need be.
        limits: how much is taken and kept.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote the store.
        StoreReadOnlyError: the tables must be made, but the store was opened read-only.
    """

    def __init__(self, store: Store, *, limits: Limits | None = None) -> None:
        require_service_schema(store)
        self._database = store.database
        self.limits = limits or Limits()

    # -- asking for jobs --------------------------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        request: Mapping[str, Any],
        *,
        priority: int = 0,
        limit_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Take a job: it is on disk when this returns.

        Args:
            kind: one of `JOB_KINDS`.
            request: what to do, as the kind takes it.
            priority: higher ones are taken first.
            limit_s: how long an attempt may run.
            idempotency_key: names the request; sent again with the same key, it gives the job that there is already.

        Raises:
            UnknownNameError: no such kind.
            JobRequestError: the request makes no sense.
            UsageError: a limit or key that makes none.
            IdempotencyError: the key stands for another request.
            QueueFullError: too many jobs are waiting.
            UnknownJobError: it is to wait for a job that is not there.
            JobStateError: it is to wait for one that did not succeed.
        """
        cls, asked = checked_request(kind, request)
        row = {
            "kind": kind,
            "request": _submitting.request_text(kind, asked.model_dump(mode="json"), self.limits),
            "device": cls.device_of(asked),
            "priority": priority,
            "limit_s": _submitting.time_limit(limit_s),
            "idempotency_key": _submitting.key(idempotency_key),
            "waits_for": cls.waits_for(asked),
            "cloned_from": None,
        }
        with self._deciding() as connection:
            return _submitting.submitted(connection, row, self.limits)

    def clone(self, job_id: str) -> Job:
        """Take a job once more, under another id; a profile goes on where the earlier one stopped.

        Raises:
            UnknownJobError: there is none.
            QueueFullError: too many jobs are waiting.
            JobStateError: it is to wait for a job that did not succeed.
        """
        copied = ("kind", "request", "device", "priority", "limit_s", "waits_for")
        with self._deciding() as connection:
            row = _changes.row_of(connection, job_id)
            kept = {name: row[name] for name in copied}
            new = kept | {"idempotency_key": None, "cloned_from": job_id}
            return _submitting.submitted(connection, new, self.limits)

    def cancel(self, job_id: str) -> Job:
        """Stop a job: at once if it waits, else as soon as what is being measured is committed.

        Raises:
            UnknownJobError: there is none.
            JobStateError: it has come to another end already.
        """
        with self._deciding() as connection:
            row = _changes.row_of(connection, job_id)
            if row["state"] in WAITING:
                _changes.set_state(connection, row["number"], "cancelled")
            elif row["state"] == "running":
                _changes.set_state(connection, row["number"], "cancelling")
            elif row["state"] not in ("cancelling", "cancelled"):
                raise JobStateError(job_id, row["state"], "it cannot be cancelled", hint="nothing is left to be done")
            return Job.of(_changes.row_of(connection, job_id))

    def delete(self, job_id: str) -> None:
        """Remove a finished job with its events, log, result and files.

        Raises:
            UnknownJobError: there is none.
            JobStateError: it has not finished.
        """
        with self._deciding() as connection:
            row = _changes.row_of(connection, job_id)
            if row["state"] not in FINISHED:
                raise JobStateError(job_id, row["state"], "it cannot be deleted", hint="cancel it first")
            connection.execute(delete(job).where(job.c.number == row["number"]))

    def prune(self) -> int:
        """Remove finished jobs that are older than the retention; how many there were."""
        before = (datetime.now(UTC) - timedelta(seconds=self.limits.retention_s)).isoformat(timespec="milliseconds")
        with self._deciding() as connection:
            old = delete(job).where(job.c.state.in_(FINISHED), job.c.finished_at < before.replace("+00:00", "Z"))
            return connection.execute(old).rowcount

    # -- looking ----------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            UnknownJobError: there is none.
        """
        with self._database.read() as connection:
            return Job.of(_changes.row_of(connection, job_id))

    def list(
        self,
        *,
        kind: str | None = None,
        state: State | None = None,
        device: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Jobs, the newest first.

        Args:
            kind: only of that kind.
            state: only in that state.
            device: only those that measure it.
            after: only those behind this one: `Page.after` of the page before.
            limit: how many at most; no more than 200.

        Raises:
            UnknownJobError: there is no job ``after``.
            UsageError: a limit below 1.
        """
        if limit < 1:
            raise UsageError(f"a list of {limit} jobs", hint="ask for 1 or more")
        limit = min(limit, _MOST_LISTED)
        query = select(job).order_by(job.c.number.desc()).limit(limit + 1)
        for column, wanted in ((job.c.kind, kind), (job.c.state, state), (job.c.device, device)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as connection:
            if after is not None:
                query = query.where(job.c.number < _changes.row_of(connection, after)["number"])
            rows = connection.execute(query).mappings().all()
        jobs = tuple(Job.of(dict(row)) for row in rows[:limit])
        return Page(jobs, jobs[-1].id if len(rows) > limit else None)

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state that any has."""
        with self._database.read() as connection:
            counted = connection.execute(select(job.c.state, func.count()).group_by(job.c.state)).all()
        return {state: n for state, n in counted}  # noqa: C416  # rows are no pairs to a type checker

    def events(self, job_id: str, after: int = 0, *, limit: int = _MOST_EVENTS) -> Sequence[dict[str, Any]]:
        """What happened to a job, in order: each with its ``number`` (from 1), ``event`` and ``at``.

        Args:
            job_id: which.
            after: only events with higher numbers. None is ever missed that way: an event is seen only after all
                before it.
            limit: how many at most; no more than 1000.

        Raises:
            UnknownJobError: there is none.
        """
        with self._database.read() as connection:
            mine = job_event.c.job_number == _changes.row_of(connection, job_id)["number"]
            query = select(job_event.c.number, job_event.c.content).where(mine, job_event.c.number > after)
            found = connection.execute(query.order_by(job_event.c.number).limit(min(limit, _MOST_EVENTS))).all()
        return [{"number": number, **json.loads(content)} for number, content in found]

    def log(self, job_id: str, after: int = 0) -> str:
        """What a job wrote for people, behind the first ``after`` characters; secrets are blotted out.

        Raises:
            UnknownJobError: there is none.
        """
        with self._database.read() as connection:
            return _logs.read(connection, _changes.row_of(connection, job_id)["number"], after)

    def result(self, job_id: str) -> dict[str, Any]:
        """What a job found; of a cancelled one, what it had found by then, if it tells.

        Raises:
            UnknownJobError: there is none.
            JobStateError: it has no result, or none yet.
        """
        with self._database.read() as connection:
            row = _changes.row_of(connection, job_id)
        if row["result"] is None:
            hint = "lutra jobs logs says why" if row["state"] in FINISHED else "wait until it is done"
            raise JobStateError(job_id, row["state"], "it has no result", hint=hint)
        found: dict[str, Any] = json.loads(row["result"])
        return found

    def files(self, job_id: str) -> tuple[JobFile, ...]:
        """The files that a job left, by name.

        Raises:
            UnknownJobError: there is no such job.
        """
        with self._database.read() as connection:
            return _files.listed(connection, _changes.row_of(connection, job_id)["number"])

    def file(self, job_id: str, name: str) -> bytes:
        """The content of a file that a job left.

        Raises:
            UnknownJobError: there is no such job or file.
            StoreCorruptError: it is not what was written.
        """
        with self._database.read() as connection:
            return _files.content(connection, _changes.row_of(connection, job_id), name)

    # -- working ----------------------------------------------------------------------------------------------

    def claim(self, worker: Worker, kinds: Collection[str], devices: Collection[str] | None = None) -> Claim | None:
        """Take the next job; jobs of workers that are gone are queued again before.

        Args:
            worker: who takes it.
            kinds: of jobs that it can do.
            devices: that it can measure; None for any. No device is measured by two jobs at a time.

        Returns:
            The job, with the token to write about it; None where there is nothing to do.
        """
        with self._deciding() as connection:
            _changes.requeue_lost(connection, self.limits)
            taken = select(job.c.device).where(job.c.state.in_(ACTIVE), job.c.device.is_not(None))
            free = [job.c.device.not_in(taken)]
            if devices is not None:
                free.append(job.c.device.in_([*devices]))
            next_one = (
                select(job.c.number)
                .where(job.c.state == "queued", job.c.kind.in_([*kinds]), job.c.device.is_(None) | and_(*free))
                .order_by(job.c.priority.desc(), job.c.number)
                .limit(1)
            )
            number = connection.execute(next_one).scalar_one_or_none()
            if number is None:
                return None
            token = uuid.uuid4().hex
            held: dict[str, Any] = {"worker": worker.name, "host": worker.host, "pid": worker.pid, "token": token}
            held |= {"started_at": utc_now(), "heartbeat_ms": now_ms(), "attempts": job.c.attempts + 1}
            _changes.set_state(connection, number, "running", **held)
            row = connection.execute(select(job).where(job.c.number == number)).mappings().one()
            return Claim(Job.of(dict(row)), token)

    def heartbeat(self, job_id: str, token: str) -> State:
        """Say that a worker is there; returns whether its job is running, or cancelling.

        Raises:
            JobLostError: the job is not the worker's any more.
        """
        with self._database.write() as connection:
            return self._mine(connection, job_id, token, {})["state"]  # type: ignore[no-any-return]

    def append_events(self, job_id: str, token: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Tell what happened; as good as a heartbeat.

        Raises:
            JobLostError: the job is not the worker's any more.
            UsageError: an event that is too large, or no JSON.
        """
        for event in events:
            if len(canonical(event)) > self.limits.event_bytes:
                raise UsageError("an event is too large", hint=f"{self.limits.event_bytes} bytes at most")
        with self._database.write() as connection:
            row = self._mine(connection, job_id, token, {"events": job.c.events + len(events), "losses": 0})
            _changes.insert_events(connection, row["number"], row["events"], events)

    def append_log(self, job_id: str, token: str, text: str) -> None:
        """Add to what people read about a job; secrets are blotted out, and what exceeds the limit is left out.

        Raises:
            JobLostError: the job is not the worker's any more.
        """
        with self._database.write() as connection:
            row = self._mine(connection, job_id, token, {})
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

    # -- inside -----------------------------------------------------------------------------------------------

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """A transaction that reads the queue and then changes it: one at a time, on a server as in a file."""
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def _mine(self, connection: Connection, job_id: str, token: str, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Beat, change columns of a job, and return all of them, if the token's worker has it."""
        held = (job.c.id == job_id, job.c.token == token, job.c.state.in_(ACTIVE))
        beat = update(job).where(*held).values(heartbeat_ms=now_ms(), **columns).returning(job)
        row = connection.execute(beat).mappings().one_or_none()
        if row is None:
            _changes.row_of(connection, job_id)
            raise JobLostError(job_id)
        return dict(row)
