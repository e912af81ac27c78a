"""`RemoteWork`: what an agent tells a server: which job it takes, what happens to it, rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from ...luts import Fingerprint, Measurement
from ...networks.errors import UnknownJobError
from ..jobs._streams import Standing, Told
from ..jobs.job import Job, State
from .jobs import job_from
from .transport import Transport

_CLAIM = "Lutra-Claim"


@dataclass(frozen=True, kw_only=True)
class TableThere:
    """A device's table on a server, in a few numbers.

    Attributes:
        digest: of the device.
        created_at: when the table began to be; another moment means another table.
        counts: rows by kind.
    """

    digest: str
    created_at: str
    counts: Mapping[str, int]


class RemoteWork:
    """The half of a server that agents use. Every method may be repeated when its answer was lost.

    Args:
        transport: the server.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def claim(
        self, agent: str, token: str, kinds: Sequence[str], devices: Sequence[str], *, job_id: str | None = None
    ) -> Job | None:
        """Take the next job; as `JobQueue.claim`.

        Args:
            agent: who asks.
            token: 32 hexadecimal digits of one's own choice; the same ones give the same job.
            kinds: of jobs that it can do.
            devices: that it can measure.
            job_id: take no other job than this one.

        Raises:
            NothingHereError: the server is too old to have work for agents.
        """
        document = {"agent": agent, "token": token, "kinds": [*kinds], "devices": [*devices], "job": job_id}
        found = self._transport.json("POST", "/v1/work/claims", document=document)["job"]
        return None if found is None else job_from(found)

    def report(self, job_id: str, token: str, told: Told) -> Standing:
        """Tell what happened; as `JobQueue.report`.

        Raises:
            JobLostError: the job is not the agent's any more.
        """
        document = asdict(told) | {"events": [*told.events]}
        return Standing(**self._job(job_id, "report", token, document))

    def state_of(self, job_id: str) -> str:
        """The state that a job is in; "deleted" where there is none any more."""
        try:
            return job_from(self._transport.json("GET", f"/v1/jobs/{job_id}")).state
        except UnknownJobError:
            return "deleted"

    def put_file(self, job_id: str, token: str, name: str, content: bytes) -> None:
        """Keep a file with a job; as `JobQueue.put_file`."""
        path = f"/v1/work/{job_id}/files/{quote(name)}"
        self._transport.json("PUT", path, content=content, headers={_CLAIM: token})

    def end(
        self,
        job_id: str,
        token: str,
        state: State,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> Job:
        """Say how a job ended; as `JobQueue.finish`."""
        return job_from(self._job(job_id, "end", token, {"state": state, "result": result, "error": error}))

    def give_back(self, job_id: str, token: str, reason: str) -> Job:
        """Give a job back to the queue; as `JobQueue.give_back`."""
        return job_from(self._job(job_id, "return", token, {"reason": reason}))

    def add_rows(
        self, device: Fingerprint, rows: Iterable[Measurement], documents: Mapping[str, Any] | None = None
    ) -> int:
        """Write rows into a device's table in place of earlier ones of the same subjects; how many there are.

        Raises:
            UnknownNameError: the server does not know the device.
            UsageError: a row makes no sense to the server.
        """
        document = {"rows": [row.to_dict() for row in rows], "documents": dict(documents or {})}
        path = f"/v1/tables/{device.digest}/rows"
        taken: int = self._transport.json("POST", path, document=document)["taken"]
        return taken

    def register(self, fingerprint: Fingerprint, name: str) -> TableThere:
        """Make a device known, and known as the one used last of that name."""
        document = {"name": name, "fingerprint": fingerprint.to_dict()}
        return _table(self._transport.json("POST", "/v1/devices", document=document))

    def table_called(self, name: str) -> TableThere:
        """The table of the device used last of that name.

        Raises:
            UnknownNameError: there is none.
        """
        return _table(self._transport.json("GET", f"/v1/devices/{quote(name, safe='')}"))

    def sign_of_life(self, digest: str, agent: str, state: Mapping[str, Any]) -> None:
        """Say that a device's agent lives.

        Raises:
            UnknownNameError: the server does not know the device.
        """
        document = {"agent": agent, "state": dict(state)}
        self._transport.json("POST", f"/v1/devices/{digest}/heartbeat", document=document)

    def _job(self, job_id: str, what: str, token: str, document: Mapping[str, Any]) -> Any:
        path = f"/v1/work/{job_id}/{what}"
        return self._transport.json("POST", path, document=document, headers={_CLAIM: token})


def _table(found: Mapping[str, Any]) -> TableThere:
    return TableThere(digest=found["digest"], created_at=found["created_at"], counts=found["counts"])
