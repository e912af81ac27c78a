"""``/v1/work``: jobs that agents do on machines of their own, and what they tell of them."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from fastapi import Path as InPath
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from ....luts.leases import leased_devices
from ....networks.errors import UsageError
from ...jobs._streams import Standing, Told
from ...jobs.job import Claim, State, Worker
from ...jobs.kinds import self_contained_kinds
from ..schemas import Answer, Form, Name, problems
from ..service import Service
from .devices import Profiling, Server
from .jobs import JobOut, JobPath, shown
from .predictions import require_bytes

router = APIRouter(prefix="/v1/work", tags=["work"])

_MOST_EVENTS = 1000
_LONGEST_LOG = 1 << 20

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
ClaimToken = Annotated[
    str,
    Header(
        alias="Lutra-Claim",
        pattern=r"^[0-9a-f]{32}$",
        description="The digits that the job was claimed with: whoever has others has lost it",
    ),
]


class ClaimIn(Form):
    """A wish for something to do."""

    agent: Name = Field(description="Who asks, such as a host's name")
    token: Digits = Field(
        description="32 hexadecimal digits of one's own choice, for all that is told of the job. Asked again with the "
        "same ones, one gets the same job for as long as one has it"
    )
    kinds: list[Name] = Field(min_length=1, max_length=50, description="Kinds of jobs that the agent can run")
    devices: list[Name] = Field(min_length=1, max_length=1000, description="Devices that it measures")
    job: Digits | None = Field(None, description="Only this job, to go on with it")


class ClaimOut(Answer):
    """Something to do."""

    job: JobOut | None = Field(description="Null where there is nothing to do")


_RESERVED = ("state", "end", "tried")  # of the server itself, and of searches, which no agent runs
_NEEDED = {
    "row": {"kind", "label", "status", "latency_ms", "flags"},
    "failed": {"kind", "label", "reason"},
}
"""What pages show of events, so that these have to have it."""


class EventIn(Form):
    """Something that happened; the rest of an event is its own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    number: int = Field(ge=1, le=2**53, description="Within what the agent has written down, ascending")
    event: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,39}$")]
    at: str = Field(max_length=40, description="ISO 8601 in UTC, by the agent's clock")
    label: str = ""
    kind: str = ""
    status: str = ""
    reason: str = ""
    latency_ms: float = Field(0.0, ge=0, le=1e15)
    rel_halfwidth: float | None = Field(None, ge=0, le=1e9)
    flags: list[str] = Field(default_factory=list)
    done: int = Field(0, ge=0, le=2**53)
    total: int = Field(0, ge=0, le=2**53)
    eta_s: float | None = Field(None, le=1e15)
    estimate_s: float = Field(0.0, le=1e15)

    @model_validator(mode="after")
    def _shown_by_pages(self) -> "EventIn":
        if self.event in _RESERVED or "state" in (self.model_extra or {}):
            raise ValueError("that is not an agent's to say")
        if missing := _NEEDED.get(self.event, set()) - self.model_fields_set:
            raise ValueError(f"an event {self.event!r} has {', '.join(sorted(missing))} too")
        return self

    def content(self) -> dict[str, Any]:
        """The event with its number, and nothing that was not sent."""
        return self.model_dump(exclude_unset=True)


class ReportIn(Form):
    """What an agent has written down of a job since it last told; what was told before counts once."""

    source: Digits = Field(description="Where the agent has written it down: numbers count within that")
    events: list[EventIn] = Field(default_factory=list, max_length=_MOST_EVENTS)
    log_after: int = Field(0, ge=0, le=2**53, description="Characters of the log before `log`")
    log: str = Field("", max_length=_LONGEST_LOG, description="Text of the log")

    @model_validator(mode="after")
    def _in_order(self) -> "ReportIn":
        numbers = [event.number for event in self.events]
        if any(after <= before for before, after in pairwise(numbers)):
            raise ValueError("the events are not in order")
        return self


class StandingOut(Answer):
    """Where a job stands, and how much was taken over."""

    state: State = Field(description="running; or cancelling: it is to end as soon as what is being measured stands")
    events: int = Field(description="Number of the last event that was taken over from that source")
    log_characters: int = Field(description="Characters of the log that were taken over from that source")


class ErrorIn(Form):
    """Why a job failed."""

    code: Annotated[str, StringConstraints(pattern=r"^LUTRA-E\d{3}$")]
    message: str = Field(max_length=20_000)
    hint: str | None = Field(None, max_length=20_000)


class EndIn(Form):
    """How a job ended."""

    state: Literal["succeeded", "failed", "timed_out", "cancelled"]
    result: dict[str, Any] | None = Field(None, description="What it found")
    error: ErrorIn | None = None


class ReturnIn(Form):
    """Why a job is given back."""

    reason: str = Field(min_length=1, max_length=1000)


@router.post("/claims", response_model=ClaimOut, responses=problems())
async def claim_job(server: Server, _: Profiling, body: ClaimIn) -> dict[str, Any]:
    """Take the next job of these devices, to do it elsewhere. It is another's after a minute of silence."""
    found = await server.read(_claimed, server, body)
    return {"job": None if found is None else shown(found.job)}


def _claimed(server: Service, body: ClaimIn) -> Claim | None:
    known = self_contained_kinds()
    if not set(body.kinds) <= set(known):
        others = ", ".join(sorted(set(body.kinds) - set(known)))
        raise UsageError(f"no agent can run {others} jobs", hint=f"ask for {', '.join(known)}")
    taken = leased_devices(server.store.database)  # by somebody who measures without a job
    free = [name for name in body.devices if name not in taken]
    worker = Worker.remote(body.agent)
    claim = server.jobs.claim(worker, body.kinds, free, token=body.token, job_id=body.job)
    if claim is not None and claim.job.device is not None:
        server.leases.keep(body.token, claim.job.device, server.jobs.limits.stale_after_s)
    return claim


@router.post("/{job}/report", response_model=StandingOut, responses=problems(404, 409))
async def report_job(server: Server, _: Profiling, job: JobPath, claim: ClaimToken, body: ReportIn) -> Standing:
    """Tell events and the log of a claimed job; as good as a sign of life."""
    told = Told(
        source=body.source,
        events=[event.content() for event in body.events],
        log_after=body.log_after,
        log=body.log,
    )
    return await server.read(_reported, server, job, claim, told)


def _reported(server: Service, job: str, claim: str, told: Told) -> Standing:
    standing = server.jobs.report(job, claim, told)
    device = server.jobs.get(job).device
    if device is not None:
        server.leases.keep(claim, device, server.jobs.limits.stale_after_s)
    return standing


@router.put(
    "/{job}/files/{name:path}",
    status_code=204,
    responses=problems(404, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_file(
    server: Server,
    request: Request,
    _: Profiling,
    job: JobPath,
    claim: ClaimToken,
    name: Annotated[str, InPath(max_length=255)],
) -> None:
    """Keep a file, whose bytes are the request's body, with a claimed job."""
    require_bytes(request)
    content = await request.body()
    await server.read(server.jobs.put_file, job, claim, name, content)


@router.post("/{job}/end", response_model=JobOut, responses=problems(404, 409))
async def end_job(server: Server, _: Profiling, job: JobPath, claim: ClaimToken, body: EndIn) -> dict[str, Any]:
    """Say how a claimed job ended. Said twice, it counts once."""
    error = None if body.error is None else body.error.model_dump()
    ended = await server.read(lambda: server.jobs.finish(job, claim, body.state, result=body.result, error=error))
    await server.read(server.leases.release, claim)
    return shown(ended)


@router.post("/{job}/return", response_model=JobOut, responses=problems(404, 409))
async def return_job(server: Server, _: Profiling, job: JobPath, claim: ClaimToken, body: ReturnIn) -> dict[str, Any]:
    """Give a claimed job back to the queue."""
    returned = await server.read(server.jobs.give_back, job, claim, body.reason)
    await server.read(server.leases.release, claim)
    return shown(returned)
