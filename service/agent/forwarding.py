"""`Forwarder`: brings to the server what stands in the agent's store, and what the server says to the agent's jobs."""

import logging
import threading
import time
from contextlib import suppress
from typing import Any, Final

from ...luts import Store
from ...networks.errors import (
    BadRequestError,
    JobError,
    JobLostError,
    JobStateError,
    LutraError,
    RequestTooLargeError,
    ServiceError,
    UnknownJobError,
    UnknownNameError,
    UnreachableServerError,
    UsageError,
)
from ..client.work import RemoteWork
from ..jobs._streams import Standing, Told
from ..jobs.job import Job
from ..jobs.queue import JobQueue
from .assignments import LOST, MINE, RETURN, Assignment, Assignments
from .link import Link
from .outbox import MOST_BYTES, Outbox, Waiting

logger = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_BEAT_S: Final = 3.0  # a job whose agent is silent for a minute is another's
_SIGN_EVERY_S: Final = 15.0
_MOST_EVENTS: Final = 500
_MOST_LOG: Final = 1 << 16
_FIRST_BYTES: Final = 1 << 17  # of rows that are sent at a time, before it is known how fast the network is
_SOON_S: Final = 1.0
_LATE_S: Final = 5.0
_LEFT_OUT: Final = "left-out"
_REFUSALS: Final = (UsageError, BadRequestError, RequestTooLargeError)
"""What the server answers to what it will not take, however often it is sent."""


class Forwarder:
    """A thread that mirrors jobs and rows of a store to a server. What it has not brought there stays in the store.

    Rows go before the events that tell of them, so that whoever has read an event at the server finds the row there.

    Args:
        store: the agent's own.
        queue: of that store.
        assignments: of that store.
        outbox: of that store.
        link: the server.
        name: what the agent is called.
        kinds: of jobs that it can run.
        devices: names of those that it measures.

    Attributes:
        running: id of the job that is being run, whose log may still grow; None for none.
    """

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        assignments: Assignments,
        outbox: Outbox,
        link: Link,
        name: str,
        kinds: list[str],
        devices: list[str],
    ) -> None:
        self._store, self._queue, self._assignments, self._outbox = store, queue, assignments, outbox
        self._link, self._name, self._kinds, self._devices = link, name, kinds, devices
        self.running: str | None = None
        self._positions: dict[str, Standing] = {}
        self._read: dict[str, int] = {}
        self._beaten_s: dict[str, float] = {}
        self._signed_s = 0.0
        self._batch_bytes = _FIRST_BYTES
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._forward_until_stopped, name="lutra-agent", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Bring what there is to the server, jobs that are not done too, for so long at most; then end."""
        for held in self._assignments.all():
            if held.fate == MINE and not self._queue.get(held.job_id).is_finished:
                self._assignments.decide(held, RETURN)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not self.is_done and not self._link.trouble:
            time.sleep(_LOOK_S / 5)
        self._stop.set()
        self._thread.join(timeout=seconds)

    @property
    def is_done(self) -> bool:
        """Whether the server has everything that it takes."""
        return not self._assignments.all() and self._outbox.next() is None

    def _forward_until_stopped(self) -> None:
        while not self._stop.is_set():
            if self._link.may_ask:
                try:
                    self._round()
                except LutraError as error:
                    self._link.note(error)
                except Exception:  # a fault of Lutra's must not end the thread: what is there has to be delivered
                    logger.exception("a fault while rows were sent")
                    self._stop.wait(_SIGN_EVERY_S)
            self._stop.wait(_LOOK_S)

    def _round(self) -> None:
        for held in self._assignments.all():
            self._mirror(held)
        self._deliver_rows()
        if time.monotonic() - self._signed_s >= _SIGN_EVERY_S:
            self._sign()
            self._signed_s = time.monotonic()

    # -- jobs ---------------------------------------------------------------------------------------------

    def _mirror(self, held: Assignment) -> None:
        """Tell what is new of a job; when it has ended, all that belongs to it, and the end."""
        job = self._queue.get(held.job_id)
        ended = (job.is_finished or held.fate == RETURN) and self.running != job.id
        if held.fate == LOST:
            if ended:
                self._deliver_rows()
                self._close(held)
            return
        try:
            state = self._tell_all(held)
            if state == "cancelling" and not job.is_finished:
                self._end_here(job)
            if ended:
                self._conclude(held, job)
        except (JobLostError, UnknownJobError):
            if held.fate == RETURN:
                self._let_go(held, "given back")
            else:
                self._take_back(held)

    def _tell_all(self, held: Assignment) -> str:
        """Tell events and the log as far as they go; returns the state that the job is in at the server."""
        standing = self._positions.get(held.job_id) or self._report(held, [], 0, "")
        while True:
            after = max(standing.events, self._read.get(held.job_id, 0))
            events = list(self._queue.events(held.job_id, after, limit=_MOST_EVENTS))
            text = self._queue.log(held.job_id, standing.log_characters)[:_MOST_LOG]
            silent_s = time.monotonic() - self._beaten_s.get(held.job_id, 0.0)
            if not events and not text and silent_s < _BEAT_S:
                return standing.state
            told = [kept for event in events if (kept := _told(event)) is not None]
            if events:
                self._prepare_tables(events)
                self._deliver_rows()
            standing = self._report(held, told, standing.log_characters, text)
            if events:
                self._read[held.job_id] = events[-1]["number"]
            if not events and not text:
                return standing.state

    def _report(self, held: Assignment, events: list[dict[str, Any]], log_after: int, log: str) -> Standing:
        told = Told(source=held.source, events=events, log_after=log_after, log=log)
        try:
            standing = self._link.ask(RemoteWork.report, held.job_id, held.token, told)
        except _REFUSALS as error:
            if not events or events[0]["event"] == _LEFT_OUT:
                raise
            if len(events) > 1:
                half = len(events) // 2
                standing = self._report(held, events[:half], log_after, log)
                return self._report(held, events[half:], standing.log_characters, "")
            logger.warning("an event of job %s is left out: %s", held.job_id, error.message)
            left_out = {"event": _LEFT_OUT, "at": str(events[0].get("at", "")), "reason": error.message[:500]}
            return self._report(held, [{"number": events[0]["number"], **left_out}], log_after, log)
        self._positions[held.job_id] = standing
        self._beaten_s[held.job_id] = time.monotonic()
        return standing

    def _prepare_tables(self, events: list[dict[str, Any]]) -> None:
        """Make tables known that a job measures for: those of devices whose digests it tells of."""
        for event in events:
            digest = event.get("digest")
            if isinstance(digest, str) and any(record.digest == digest for record in self._store.devices()):
                self._register(digest)

    def _conclude(self, held: Assignment, job: Job) -> None:
        self._deliver_rows()
        self._deliver_documents()
        if held.fate == RETURN and not job.is_finished:
            self._link.ask(RemoteWork.give_back, job.id, held.token, "its agent was told to stop")
            self._close(held)
            return
        for file in self._queue.files(job.id):
            content = self._queue.file(job.id, file.name)
            self._link.ask(RemoteWork.put_file, job.id, held.token, file.name, content)
        self._tell_end(held, job)
        self._close(held)
        logger.info("job %s is %s, and the server has all of it", job.id, job.state)

    def _tell_end(self, held: Assignment, job: Job) -> None:
        try:
            result: dict[str, Any] | None = self._queue.result(job.id)
        except JobStateError:
            result = None
        state, error = job.state, job.error
        if state == "succeeded" and (reason := self._outbox.refused()) is not None:
            hint = "upgrade the server, or the agent, and start the agent again: the rows are kept there"
            state, error = "failed", _error(f"the server did not take all rows: {reason}", hint)
        try:
            self._link.ask(RemoteWork.end, job.id, held.token, state, result=result, error=error)
        except _REFUSALS as refusal:
            told = _error(f"the server did not take its end: {refusal.message}", refusal.hint)
            self._link.ask(RemoteWork.end, job.id, held.token, "failed", error=told)

    def _take_back(self, held: Assignment) -> None:
        """The server has given the job away, or it was ended there: go on with it, if it is still to be had."""
        self._positions.pop(held.job_id, None)
        fresh = self._assignments.renew(held)
        found = self._link.ask(
            RemoteWork.claim, self._name, fresh.token, self._kinds, self._devices, job_id=held.job_id
        )
        if found is not None:
            logger.warning("job %s was given away meanwhile, and is taken back", held.job_id)
            return
        if (state := self._link.ask(RemoteWork.state_of, held.job_id)) in ("created", "queued"):
            return  # the device is busy there; it may be had the next time
        self._let_go(held, state)

    def _let_go(self, held: Assignment, state: str) -> None:
        """Tell nothing more of a job, and end it here; its rows are delivered all the same."""
        logger.warning("job %s is %s, without this agent. Its rows are delivered", held.job_id, state)
        self._assignments.decide(held, LOST)
        self._end_here(self._queue.get(held.job_id))

    def _end_here(self, job: Job) -> None:
        with suppress(JobError):  # it has ended in this moment
            if not job.is_finished:
                self._queue.cancel(job.id)

    def _close(self, held: Assignment) -> None:
        self._assignments.close(held)
        for known in (self._positions, self._read, self._beaten_s):
            known.pop(held.job_id, None)

    # -- rows ---------------------------------------------------------------------------------------------

    def _deliver_rows(self) -> None:
        """Deliver all rows that wait, some at a time."""
        while (waiting := self._outbox.next(self._batch_bytes)) is not None:
            if not self._outbox.has_table(waiting.device.digest):
                self._register(waiting.device.digest)
                continue
            began_s = time.monotonic()
            try:
                self._link.ask(RemoteWork.add_rows, waiting.device.fingerprint, waiting.rows)
            except UnknownNameError:
                self._outbox.forget_table(waiting.device.digest)
                continue
            except _REFUSALS:
                self._deliver_singly(waiting)
                continue
            except UnreachableServerError:
                self._batch_bytes //= 4  # connections that break soon let less through at a time
                raise
            self._outbox.delivered(waiting.sequences)
            self._fit_batches(time.monotonic() - began_s)
            self._beat()

    def _fit_batches(self, seconds: float) -> None:
        """Send less at a time over slow networks, so that jobs are told of in between."""
        if seconds > _LATE_S:
            self._batch_bytes //= 2
        elif seconds < _SOON_S:
            self._batch_bytes = min(2 * self._batch_bytes + 1, MOST_BYTES)

    def _beat(self) -> None:
        """Say of each job that its agent is there, where that was not said lately."""
        for held in self._assignments.all():
            if held.fate == MINE and time.monotonic() - self._beaten_s.get(held.job_id, 0.0) >= _BEAT_S:
                with suppress(JobError):  # it is lost, as is found out when there is something to tell
                    self._report(held, [], 0, "")

    def _deliver_singly(self, waiting: Waiting) -> None:
        for row, sequence in zip(waiting.rows, waiting.sequences, strict=True):
            try:
                self._link.ask(RemoteWork.add_rows, waiting.device.fingerprint, [row])
            except UnknownNameError:
                return
            except _REFUSALS as error:
                logger.error("the server does not take the row of %s: %s", row.label, error.message)
                self._outbox.refuse([sequence], error.message)
                continue
            self._outbox.delivered([sequence])

    def _deliver_documents(self) -> None:
        for record in self._store.devices():
            if not self._outbox.has_table(record.digest):
                continue
            documents = self._outbox.documents_of(record.fingerprint)
            if documents is not None:
                self._link.ask(RemoteWork.add_rows, record.fingerprint, [], documents)
                self._outbox.documents_delivered(record.digest, documents)

    def _register(self, digest: str) -> None:
        record = self._store.device(digest)
        self._outbox.goes_into(self._link.ask(RemoteWork.register, record.fingerprint, record.name))

    def _sign(self) -> None:
        """Say for each device that its agent lives, and what it does."""
        waiting = len(self._outbox)
        state = {"kinds": self._kinds, "devices": self._devices, "job": self.running, "rows_waiting": waiting}
        for digest in self._outbox.tables():
            try:
                self._link.ask(RemoteWork.sign_of_life, digest, self._name, state)
            except UnknownNameError:
                self._outbox.forget_table(digest)


def _told(event: dict[str, Any]) -> dict[str, Any] | None:
    """An event as the server gets it: of the states that the job goes through here, only why."""
    if event["event"] != "state":
        return event
    reason = event.get("reason")
    return {"number": event["number"], "event": "agent", "at": event["at"], "reason": reason} if reason else None


def _error(message: str, hint: str | None) -> dict[str, Any]:
    return {"code": ServiceError.code, "message": message, "hint": hint}
