"""`JobQueue`: the face of all jobs of a store, for servers, workers and the command line alike."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select

from ...luts import Store
from ...networks.errors import JobStateError, UnknownJobError, UsageError
from ..schema import job, job_event, require_service_schema
from . import _changes, _files, _logs, _submitting
from ._files import JobFile
from .job import FINISHED, WAITING, Job, Page, State
from .kinds import checked_request
from .limits import Limits
from .working import Working

_MOST_LISTED: Final = 200
_MOST_EVENTS: Final = 1000


class JobQueue(Working):
    """The jobs of a store. Every method is one transaction, so that processes and threads can share a queue.

    What workers do with jobs is inherited from `Working`.

    Args:
        store: where they are; its tables of jobs are made if need be.
        limits: how much is taken and kept.

    Raises:
        SchemaTooNewError: a newer version of Lutra wrote the store.
        StoreReadOnlyError: the tables must be made, but the store was opened read-only.
    """

    def __init__(self, store: Store, *, limits: Limits | None = None) -> None:
        require_service_schema(store)
        super().__init__(store.database, limits or Limits())

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
        asked = self._asked(kind, request, limit_s)
        row = asked | {"priority": priority, "idempotency_key": _submitting.key(idempotency_key)}
        with self._deciding() as connection:
            return _submitting.submitted(connection, row, self.limits)

    def _asked(self, kind: str, request: Mapping[str, Any], limit_s: float | None) -> dict[str, Any]:
        """Columns of a job that is asked for, checked."""
        cls, asked = checked_request(kind, request)
        return {
            "kind": kind,
            "request": _submitting.request_text(kind, asked.model_dump(mode="json"), self.limits),
            "device": cls.device_of(asked),
            "priority": 0,
            "limit_s": _submitting.time_limit(limit_s),
            "idempotency_key": None,
            "waits_for": cls.waits_for(asked),
            "cloned_from": None,
        }

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

    def adopt(self, job_id: str, kind: str, request: Mapping[str, Any], *, limit_s: float | None = None) -> Job:
        """Take a job of another queue under the id that it has there; one that has finished here begins anew.

        Args:
            job_id: 32 hexadecimal digits.
            kind: one of `JOB_KINDS`.
            request: what to do, as the kind takes it.
            limit_s: how long an attempt may run.

        Raises:
            UnknownNameError: no such kind.
            JobRequestError: the request makes no sense here.
            UsageError: a limit that makes none.
        """
        row = self._asked(kind, request, limit_s) | {"id": job_id, "waits_for": None}
        with self._deciding() as connection:
            known = connection.execute(select(job).where(job.c.id == job_id)).mappings().one_or_none()
            if known is not None and known["state"] not in FINISHED:
                return Job.of(dict(known))
            connection.execute(delete(job).where(job.c.id == job_id))
            return _submitting.submitted(connection, row, self.limits)

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

    def named(self, text: str) -> Job:
        """The job whose id is ``text``, or the only one whose id begins with it.

        Raises:
            UnknownJobError: there is none, or there are several.
        """
        if not text or text.strip("0123456789abcdef"):
            raise UnknownJobError(text)
        with self._database.read() as connection:
            query = select(job).where(job.c.id.startswith(text)).order_by(job.c.number).limit(2)
            found = connection.execute(query).mappings().all()
        if len(found) > 1:
            raise UnknownJobError(text, hint="several begin so; give more digits")
        if not found:
            raise UnknownJobError(text)
        return Job.of(dict(found[0]))

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
