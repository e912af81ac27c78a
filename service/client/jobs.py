"""`RemoteJobs`: the queue of a server, with the methods of `JobQueue`."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from ...networks.errors import UnknownJobError, UnreachableServerError
from ..jobs._files import JobFile
from ..jobs.job import FINISHED, Job, Page, State
from .transport import Transport

_PATIENCE_S = 300.0
_DIGITS = 32  # of an id


class RemoteJobs:
    """The jobs of a server.

    Args:
        transport: the server.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(
        self,
        kind: str,
        request: Mapping[str, Any],
        *,
        priority: int = 0,
        limit_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Have a job done; as `JobQueue.submit`. A request that is lost on the way is sent again, and counts once."""
        document = {"kind": kind, "request": dict(request), "priority": priority, "limit_s": limit_s}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return job_from(self._transport.json("POST", "/v1/jobs", document=document, headers=headers))

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            UnknownJobError: there is none.
        """
        return job_from(self._transport.json("GET", _path(job_id)))

    def named(self, text: str) -> Job:
        """The job whose id is ``text``, or the only one of the newest whose id begins with it.

        Raises:
            UnknownJobError: there is none, or there are several.
        """
        if len(text) == _DIGITS:
            return self.get(text)
        found = [job for job in self.list(limit=200).jobs if text and job.id.startswith(text)]
        if len(found) != 1:
            hint = "several begin so; give more digits" if found else None
            raise UnknownJobError(text, hint=hint) if hint else UnknownJobError(text)
        return found[0]

    def list(
        self,
        *,
        kind: str | None = None,
        state: State | None = None,
        device: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Jobs, the newest first; as `JobQueue.list`."""
        query = {"kind": kind, "state": state, "device": device, "after": after, "limit": limit}
        page = self._transport.json("GET", "/v1/jobs", query=query)
        following = parse_qs(urlsplit(page["next"]).query)["after"][0] if page["next"] else None
        return Page(tuple(map(job_from, page["items"])), following)

    def cancel(self, job_id: str) -> Job:
        """Stop a job; as `JobQueue.cancel`."""
        return job_from(self._transport.json("POST", f"{_path(job_id)}/cancel"))

    def clone(self, job_id: str) -> Job:
        """Take a job once more; as `JobQueue.clone`."""
        return job_from(self._transport.json("POST", f"{_path(job_id)}/clone"))

    def delete(self, job_id: str) -> None:
        """Remove a finished job with all that belongs to it."""
        self._transport.json("DELETE", _path(job_id))

    def events(self, job_id: str, after: int = 0, *, limit: int = 1000) -> Sequence[dict[str, Any]]:
        """What happened to a job with higher numbers than ``after``; as `JobQueue.events`."""
        query = {"after": after, "limit": limit}
        items: Sequence[dict[str, Any]] = self._transport.json("GET", f"{_path(job_id)}/events", query=query)["items"]
        return items

    def follow(self, job_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """What happens to a job, as it happens, until it has ended. A connection that breaks is made again.

        Raises:
            UnknownJobError: there is none.
            UnreachableServerError: the server has not answered for minutes.
        """
        last_heard = time.monotonic()
        while True:
            try:
                for event in self._stream(job_id, after):
                    last_heard = time.monotonic()
                    if event is None:
                        return
                    after = event["number"]
                    yield event
            except UnreachableServerError:
                if time.monotonic() - last_heard > _PATIENCE_S:
                    raise
            time.sleep(1.0)

    def wait(self, job_id: str) -> Job:
        """Wait until a job has ended; Ctrl-C ends the waiting, not the job."""
        for _ in self.follow(job_id):
            pass
        while (job := self.get(job_id)).state not in FINISHED:
            time.sleep(1.0)
        return job

    def log(self, job_id: str, after: int = 0) -> str:
        """What a job wrote for people, behind the first ``after`` characters."""
        return self._transport.content(f"{_path(job_id)}/log", query={"after": after}).decode()

    def result(self, job_id: str) -> dict[str, Any]:
        """What a job found.

        Raises:
            JobStateError: it has no result, or none yet.
        """
        found: dict[str, Any] = self._transport.json("GET", f"{_path(job_id)}/result")
        return found

    def files(self, job_id: str) -> tuple[JobFile, ...]:
        """The files that a job left, by name."""
        return tuple(JobFile(**file) for file in self._transport.json("GET", f"{_path(job_id)}/files"))

    def file(self, job_id: str, name: str) -> bytes:
        """The content of a file that a job left."""
        return self._transport.content(f"{_path(job_id)}/files/{quote(name)}")

    def _stream(self, job_id: str, after: int) -> Iterator[dict[str, Any] | None]:
        """Events as they come, and None when there will be no more."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._transport.lines(f"{_path(job_id)}/events", headers=headers) as lines:
            name = ""
            for line in lines:
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    if name == "end":
                        yield None
                        return
                    yield json.loads(value)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def job_from(document: Mapping[str, Any]) -> Job:
    """The job that a server's document tells of; what a newer server adds is left out."""
    return Job(**{name: document[name] for name in Job.__dataclass_fields__})
