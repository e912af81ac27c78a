"""``lutra jobs``: what is asked of workers, and what became of it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..options import JsonOption, ServerOption, StoreOption, echo_json, seconds_of

if TYPE_CHECKING:
    from ..client import RemoteJobs
    from ..jobs.job import Job
    from ..jobs.queue import JobQueue

app = typer.Typer(no_args_is_help=True, help="Queue jobs for workers, look at them, stop them.")

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or the first digits of it.")]

_FOLLOW_S: Final = 0.5
_SHOWN: Final = 8  # digits of an id


@contextmanager
def _queue(store: str | None, server: str | None, *, create: bool = False) -> "Iterator[JobQueue | RemoteJobs]":
    """The jobs of the store, which is made where there is none if ``create``, or of a server."""
    from ..jobs.queue import JobQueue
    from ..stores import open_server, open_store, require_store

    if server is not None:
        with open_server(server, store) as client:
            yield client.jobs
        return
    with open_store(store, read_only=False, create=create) as opened:
        yield JobQueue(require_store(opened))


def _found(queue: "JobQueue | RemoteJobs", text: str) -> str:
    """The id of the one job whose id begins with ``text``."""
    return queue.named(text).id


@app.command()
def submit(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="profile, fit, search, or a plug-in's.")],
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="What to do: JSON, the .json file that holds it, or - for stdin.")
    ],
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher ones are taken first.")] = 0,
    limit: Annotated[
        str | None, typer.Option("--limit", metavar="TIME", help="How long an attempt may run: 90s, 10m or 2h.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="TEXT", help="Names the request: sent again, it gives the same job."),
    ] = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a job for a worker."""
    asked = _request(request)
    with _queue(store, server, create=True) as queue:
        job = queue.submit(kind, asked, priority=priority, limit_s=seconds_of(limit), idempotency_key=key)
    _say(job, as_json)


def _request(text: str) -> dict[str, Any]:
    """The JSON object that an argument is, or names."""
    import json
    from pathlib import Path

    from ...networks.errors import UsageError

    example = 'write it as {"networks": ["mobilenet_v2"]}'
    try:
        if text == "-":
            text = sys.stdin.read()
        elif not text.lstrip().startswith("{"):
            text = Path(text).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise UsageError(f"{text} cannot be read: {error.strerror}", hint=example) from None
    except ValueError as error:
        raise UsageError(f"the request is no JSON: {error}", hint=example) from None
    if not isinstance(document, dict):
        raise UsageError("the request is no JSON object", hint=example)
    return document


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="Only jobs in that state.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only jobs of that kind.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", metavar="NAME", help="Only jobs that measure that device.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many at most.")] = 50,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    from ...networks.errors import UnknownNameError
    from ..jobs.job import STATES

    if state is not None and state not in STATES:
        raise UnknownNameError("state of jobs", state, STATES)
    with _queue(store, server) as queue:
        jobs: list[Job] = []
        after = None
        while len(jobs) < limit:
            page = queue.list(kind=kind, state=state, device=device, after=after, limit=limit - len(jobs))
            jobs += page.jobs
            after = page.after
            if after is None:
                break
    if as_json:
        echo_json([job.to_dict() for job in jobs])
        return
    if not jobs:
        typer.echo("no such jobs")
        return
    from ..render import console, grid

    headings = ["job", "kind", "state", "device", "created", "events", "attempts"]
    cells = [
        [j.id[:_SHOWN], j.kind, j.state, j.device or "", j.created_at, str(j.events), str(j.attempts)] for j in jobs
    ]
    console().print(grid(headings, cells, left=5))


@app.command()
def fetch(
    job: JobArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of the job's files: lutra jobs show lists them.")],
    output: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    store: StoreOption = None,
    server: ServerOption = None,
) -> None:
    """Write a file that a job left."""
    from ...luts.exchange.files import replacing
    from ...networks.errors import UsageError

    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="give another name, or --force")
    with _queue(store, server) as queue:
        content = queue.file(_found(queue, job), name)
    with replacing(output) as part:
        part.write_bytes(content)
    typer.echo(f"{len(content)} bytes to {output}")


@app.command()
def show(job: JobArgument, store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show a job: where it stands, what it was asked, what it found, and its files."""
    with _queue(store, server) as queue:
        found = queue.named(job)
        files = queue.files(found.id)
        events = queue.events(found.id, max(0, found.events - 1))
        result = queue.result(found.id) if found.state == "succeeded" else None
    if as_json:
        plain = [{"name": f.name, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in files]
        echo_json(found.to_dict() | {"result": result, "files": plain, "last_event": events[-1] if events else None})
        return
    typer.echo("\n".join(_described(found)))
    for file in files:
        typer.echo(f"file       {file.name} ({file.size_bytes} bytes)")
    if result is not None:
        echo_json(result)


def _described(job: "Job") -> list[str]:
    import json

    told: list[tuple[str, Any]] = [
        ("job", job.id),
        ("kind", job.kind),
        ("state", job.state),
        ("device", job.device),
        ("created", job.created_at),
        ("started", job.started_at),
        ("finished", job.finished_at),
        ("worker", job.worker),
        ("attempts", job.attempts),
        ("waits for", job.waits_for),
        ("clone of", job.cloned_from),
        ("request", json.dumps(job.request)),
    ]
    if job.error is not None:
        told.append(("error", f"{job.error['message']}  [{job.error['code']}]"))
        told.append(("fix", job.error.get("hint")))
    return [f"{name:10} {value}" for name, value in told if value is not None]


@app.command()
def cancel(
    job: JobArgument, store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Stop a job: at once if it waits, else as soon as what is being measured is committed."""
    with _queue(store, server) as queue:
        stopped = queue.cancel(_found(queue, job))
    _say(stopped, as_json)


@app.command()
def clone(
    job: JobArgument, store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """Queue a job once more; a profile goes on where the earlier one stopped."""
    with _queue(store, server) as queue:
        copy = queue.clone(_found(queue, job))
    _say(copy, as_json)


def _say(job: "Job", as_json: bool) -> None:
    if as_json:
        echo_json(job.to_dict())
    else:
        typer.echo(f"{job.id} is {job.state}")


@app.command()
def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has finished.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Show its events, as lines of JSON, instead.")] = False,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a job has printed, or what happened to it."""
    import json

    from ..jobs.reading import every_event

    with _queue(store, server) as queue:
        job_id = _found(queue, job)
        if as_json:
            echo_json({"job": job_id, "log": queue.log(job_id), "events": every_event(queue, job_id)})
            return
        seen = 0
        while True:
            finished = queue.get(job_id).is_finished
            if events:
                new = queue.events(job_id, seen)
                seen += len(new)
                sys.stdout.write("".join(json.dumps(event) + "\n" for event in new))
            else:
                text = queue.log(job_id, seen)
                new = [{}] * bool(text)
                seen += len(text)
                sys.stdout.write(text)
            sys.stdout.flush()
            if not new and (finished or not follow):
                return
            if not new:
                time.sleep(_FOLLOW_S)
