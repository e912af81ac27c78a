"""``/v1/jobs``: work that takes longer than a request: profiling, fitting, searching."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import Field

from ....networks.errors import BadRequestError
from ...jobs.job import STATES, Job, State
from ..access import Principal, requires
from ..events import stream
from ..schemas import Answer, Form, problems
from .devices import Profiling, Reading, Server

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobPath = Annotated[str, InPath(max_length=64, pattern=r"^[A-Za-z0-9_-]+$", description="A job's id")]
Heavy = Annotated[Principal, Depends(requires("profile", heavy=True))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Names the request: sent again with the same key, it gives the job that there is already",
    ),
]


class JobIn(Form):
    """A job to be taken."""

    kind: str = Field(max_length=32, description="profile, fit, search, or a plug-in's: `/v1/job-kinds`")
    request: dict[str, Any] = Field(description="What to do, as the kind takes it: `/v1/job-kinds` has the schema")
    priority: int = Field(0, ge=-1000, le=1000, description="Higher ones are taken first")
    limit_s: float | None = Field(None, gt=0, le=30 * 86_400, description="How long an attempt may run, in s")


class JobOut(Answer):
    """A job as it stands."""

    id: str
    kind: str
    request: dict[str, Any]
    device: str | None = Field(description="What it measures; null where it measures nothing")
    state: State
    priority: int
    limit_s: float | None
    waits_for: str | None
    cloned_from: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempts: int
    events: int
    worker: str | None
    error: dict[str, Any] | None = Field(description="Why it failed: code, message, hint")
    links: dict[str, str]


class JobPage(Answer):
    """Some jobs, the newest first."""

    items: list[JobOut]
    next: str | None = Field(description="Address of the next page; null on the last one")


class EventPage(Answer):
    """Some events of a job, in order."""

    items: list[dict[str, Any]]
    next: str | None = Field(description="Address of the events that follow, or will")


class FileOut(Answer):
    """A file that a job left."""

    name: str
    size_bytes: int
    sha256: str


def shown(job: Job) -> dict[str, Any]:
    """A job as `JobOut` shows it."""
    own = f"/v1/jobs/{job.id}"
    links = {name: f"{own}/{name}" for name in ("events", "log", "result", "files")}
    return job.to_dict() | {"request": dict(job.request), "links": {"self": own, **links}}


@router.post("", status_code=202, response_model=JobOut, responses=problems(404, 409, 413))
async def submit_job(server: Server, _: Heavy, body: JobIn, response: Response, key: Key = None) -> dict[str, Any]:
    """Take a job: it is kept when this answers, and done when a worker is free."""
    job = await server.read(
        lambda: server.jobs.submit(
            body.kind, body.request, priority=body.priority, limit_s=body.limit_s, idempotency_key=key
        )
    )
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return shown(job)


@router.get("", response_model=JobPage, responses=problems(404))
async def list_jobs(
    server: Server,
    request: Request,
    _: Reading,
    kind: Annotated[str | None, Query(max_length=32)] = None,
    state: Literal[STATES] | None = None,  # type: ignore[valid-type]  # the states are declared once
    device: Annotated[str | None, Query(max_length=200)] = None,
    after: Annotated[str | None, Query(max_length=64, description="From the address of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List jobs, the newest first."""
    page = await server.read(lambda: server.jobs.list(kind=kind, state=state, device=device, after=after, limit=limit))
    follows = None if page.after is None else str(request.url.include_query_params(after=page.after).query)
    return {"items": [shown(job) for job in page.jobs], "next": None if follows is None else f"/v1/jobs?{follows}"}


@router.get("/{job}", response_model=JobOut, responses=problems(404))
async def get_job(server: Server, _: Reading, job: JobPath) -> dict[str, Any]:
    """Show one job."""
    return shown(await server.read(server.jobs.get, job))


@router.delete("/{job}", status_code=204, responses=problems(404, 409))
async def delete_job(server: Server, _: Profiling, job: JobPath) -> None:
    """Delete a finished job with its events, log, result and files."""
    await server.read(server.jobs.delete, job)


@router.post("/{job}/cancel", status_code=202, response_model=JobOut, responses=problems(404, 409))
async def cancel_job(server: Server, _: Profiling, job: JobPath) -> dict[str, Any]:
    """Stop a job: at once if it waits, else as soon as what is being measured is committed."""
    return shown(await server.read(server.jobs.cancel, job))


@router.post("/{job}/clone", status_code=202, response_model=JobOut, responses=problems(404, 409))
async def clone_job(server: Server, _: Heavy, job: JobPath, response: Response) -> dict[str, Any]:
    """Take a job once more, under another id."""
    copy = await server.read(server.jobs.clone, job)
    response.headers["Location"] = f"/v1/jobs/{copy.id}"
    return shown(copy)


@router.get(
    "/{job}/events",
    response_model=EventPage,
    responses=problems(404)
    | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}},
)
async def list_events(
    server: Server,
    request: Request,
    _: Reading,
    job: JobPath,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only events with higher numbers")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    last_event_id: Annotated[str | None, Header(max_length=20, description="As a browser sends it")] = None,
) -> Response:
    """List a job's events; with `Accept: text/event-stream`, send them as they happen until the job has ended."""
    if last_event_id:
        if not last_event_id.isascii() or not last_event_id.isdecimal():
            raise BadRequestError(f"Last-Event-ID is {last_event_id!r}", hint="send the number of an event")
        after = max(after, int(last_event_id))
    await server.read(server.jobs.get, job)
    if "text/event-stream" in request.headers.get("accept", ""):
        lines: AsyncIterator[bytes] = stream(server, job, after)
        return StreamingResponse(lines, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
    found = await server.read(lambda: server.jobs.events(job, after, limit=limit))
    last = found[-1]["number"] if found else after
    return JSONResponse({"items": list(found), "next": f"/v1/jobs/{job}/events?after={last}"})


@router.get("/{job}/log", response_class=PlainTextResponse, responses=problems(404))
async def get_log(
    server: Server, _: Reading, job: JobPath, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> PlainTextResponse:
    """Show what a job wrote for people, behind the first `after` characters."""
    return PlainTextResponse(await server.read(server.jobs.log, job, after))


@router.get("/{job}/result", response_model=dict[str, Any], responses=problems(404, 409))
async def get_result(server: Server, _: Reading, job: JobPath) -> JSONResponse:
    """Show what a job found; 409 while there is nothing."""
    return JSONResponse(await server.read(server.jobs.result, job))


@router.get("/{job}/files", response_model=list[FileOut], responses=problems(404))
async def list_files(server: Server, _: Reading, job: JobPath) -> list[dict[str, Any]]:
    """List the files that a job left."""
    from dataclasses import asdict

    return [asdict(file) for file in await server.read(server.jobs.files, job)]


@router.get(
    "/{job}/files/{name:path}",
    response_class=Response,
    responses=problems(404)
    | {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_file(server: Server, _: Reading, job: JobPath, name: Annotated[str, InPath(max_length=255)]) -> Response:
    """Give a file that a job left. Its name is looked up in the store, and is no path of the server's."""
    content = await server.read(server.jobs.file, job, name)
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": "attachment"})


kinds = APIRouter(prefix="/v1/job-kinds", tags=["jobs"])


class KindOut(Answer):
    """A kind of job."""

    kind: str
    request: dict[str, Any] = Field(description="JSON schema of what it takes")


@kinds.get("", response_model=list[KindOut], responses=problems())
async def list_job_kinds(server: Server, _: Reading) -> list[dict[str, Any]]:
    """List the kinds of jobs, with what each takes."""
    return await server.read(_kinds)


def _kinds() -> list[dict[str, Any]]:
    from ...jobs.kinds import JOB_KINDS

    return [
        {"kind": name, "request": JOB_KINDS.get(name).request_type.model_json_schema()} for name in JOB_KINDS.names()
    ]
