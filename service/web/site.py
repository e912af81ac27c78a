"""The pages of the service, and the files that they ask for."""

from hashlib import sha256
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...networks import Network, zoo
from ...networks.errors import NotCoveredError, UsageError
from ...predictors import Prediction
from ..api.knowledge import Setting
from ..api.service import Service
from ..jobs.job import Job
from ..jobs.reading import every_event
from ..options import split_numbers
from ..scopes import includes
from .page import DIGEST_DIGITS, Page, SiteLinks
from .pages import View, page
from .rendering import ASSETS, asset
from .views.comparing import compare_page
from .views.devices import device_page, devices_page
from .views.jobs import job_page, jobs_page
from .views.measured import measured_page, work_page
from .views.network import network_page, no_network_page
from .views.runs import runs_page
from .views.searches import asked_of, search_page
from .views.table import describe, row_page, table_page

router = APIRouter(include_in_schema=False)

_LINKS: Final = SiteLinks()
_JOBS: Final = 50


@page(router, "/")
@page(router, "/devices")
async def devices(view: View) -> Page:
    """Devices, the one used last first."""
    return await view.server.read(_devices, view.server)


def _devices(server: Service) -> Page:
    health = {
        digest: {"heard_at": sign.seen_at, "agent": sign.agent, "state": dict(sign.state)}
        for digest, sign in server.presence.last_seen().items()
    }
    return devices_page(server.store, _LINKS, health=health)


@page(router, "/devices/{device}")
async def device(view: View, device: str) -> Page:
    """One device."""
    return await view.server.read(device_page, view.server.store, device, _LINKS)


@page(router, "/tables/{device}")
async def table(view: View, device: str) -> Page:
    """Kernels as a heat map; the query's ``family`` chooses one family."""
    server, family = view.server, view.state("family")
    return await server.read(lambda: table_page(server.store, device, _LINKS, family=family))


@page(router, "/tables/{device}/rows/{kind}/{key:path}")
async def row(view: View, device: str, kind: str, key: str) -> Page:
    """One row with its samples."""
    return await view.server.read(row_page, view.server.store, device, kind, key)


@page(router, "/tables/{device}/networks")
async def measured(view: View, device: str) -> Page:
    """Whole networks, predicted and measured."""
    return await view.server.read(measured_page, view.server.store, device, _LINKS)


@page(router, "/work")
async def work(view: View) -> Page:
    """MACs beside latency across devices."""
    return await view.server.read(work_page, view.server.store, _LINKS)


@page(router, "/compare")
async def compare(view: View) -> Page:
    """Two tables side by side; the query's ``left`` and ``right`` name them."""
    return await view.server.read(_compared, view)


def _compared(view: View) -> Page:
    store = view.server.store
    known = [record.digest for record in store.devices()]
    if len(known) < 2:
        raise NotCoveredError(
            f"{len(known)} table{'s' * (len(known) != 1)} to compare", (), hint="profile another device or runtime"
        )
    return compare_page(store, view.state("left") or known[0], view.state("right") or known[1], _LINKS)


@page(router, "/compare/searches")
async def compare_searches(view: View) -> Page:
    """Two searches side by side; the query's ``left`` and ``right`` are ids of jobs."""
    return await view.server.read(_compared_searches, view)


def _compared_searches(view: View) -> Page:
    jobs = view.server.jobs
    known = [job.to_dict() for job in jobs.list(kind="search", state="succeeded", limit=_JOBS).jobs]
    asked = [view.state("left"), view.state("right")]
    others = iter([job["id"] for job in known if job["id"] not in asked])
    left, right = (job or next(others, None) for job in asked)
    if left is None or right is None:
        return runs_page(None, None, known)
    return runs_page(_found(view.server, left), _found(view.server, right), known)


def _found(server: Service, job: str) -> dict[str, Any]:
    """A search and what it found.

    Raises:
        UnknownJobError: there is none, or it has found nothing.
        UsageError: it is no search.
    """
    return {"id": job, "request": _search_job(server, job).request, "result": _document(server, job, "result.json")}


@page(router, "/networks")
async def networks(view: View) -> Page:
    """A network on a device; the query names ``network`` (of the zoo) or ``upload``, ``resolution`` and ``device``."""
    return await view.server.read(_network, view)


def _network(view: View) -> Page:
    server = view.server
    known = server.store.devices()
    device = view.state("device") or (known[0].digest[:DIGEST_DIGITS] if known else "")
    name, upload, resolution = view.state("network"), view.state("upload"), view.state("resolution")
    state: dict[str, Any] = {
        "devices": [describe(record) for record in known],
        "device": device,
        "zoo": list(zoo.names()),
        "asked": name or "",
        "resolution": resolution,
        "may_hand_in": includes(view.principal.scope, "profile"),
    }
    if name is None and upload is None:
        return no_network_page(**state)
    network = _asked(server, name, upload, resolution)
    if not device:
        return network_page(network, [], doubts=["No device has a table yet: lutra profile mobilenet_v2"], **state)
    doubts, predictions = [], list[Prediction]()
    try:
        predictions.append(server.knowledge.known(Setting(device)).predictor.explain(network))
    except NotCoveredError as error:
        doubts.append(f"{error.message}. {error.hint or ''}")
    return network_page(network, predictions, doubts=doubts, **state)


def _asked(server: Service, name: str | None, upload: str | None, resolution: str | None) -> Network:
    if upload is not None:
        return server.knowledge.checked(server.uploads.network(upload))
    assert name is not None
    options = {} if resolution is None else {"resolution": split_numbers(resolution, "resolution")[0]}
    return server.knowledge.network_of_zoo(name, options)


@page(router, "/jobs")
async def jobs(view: View) -> Page:
    """Jobs, the newest first; the query chooses by ``kind``, ``state`` and ``device``."""
    return await view.server.read(_jobs, view)


def _jobs(view: View) -> Page:
    chosen = {name: view.state(name) for name in ("kind", "state", "device")}
    found = view.server.jobs.list(**chosen, after=view.state("after"), limit=_JOBS)  # type: ignore[arg-type]
    return jobs_page([job.to_dict() for job in found.jobs], after=found.after, chosen=chosen)


@page(router, "/jobs/{job}")
async def job(view: View, job: str) -> Page:
    """One job, followed while it runs."""
    return await view.server.read(_job, view.server, job)


def _job(server: Service, job: str) -> Page:
    found = server.jobs.get(job)
    files = [file.name for file in server.jobs.files(job)]
    return job_page(found.to_dict(), every_event(server.jobs, job), server.jobs.log(job), files)


@page(router, "/searches/{job}")
async def search(view: View, job: str) -> Page:
    """A search job: its front, followed while it runs."""
    return await view.server.read(_search, view.server, job)


def _search(server: Service, job: str) -> Page:
    found = _search_job(server, job)
    events = [event for event in every_event(server.jobs, job) if event.get("event") == "tried"]
    tried = [item for event in events for item in event["items"]]
    if not found.is_finished:
        return search_page(asked_of(found.request, events), tried, live=found.to_dict())
    names = {file.name for file in server.jobs.files(job)}
    chosen = Network.from_json(_document(server, job, "best.json")) if "best.json" in names else None
    result = _document(server, job, "result.json") if "result.json" in names else asked_of(found.request, events)
    whole = "front" in result
    return search_page(result, tried, chosen, live=None if whole else found.to_dict(), job=job if whole else None)


def _search_job(server: Service, job: str) -> Job:
    found = server.jobs.get(job)
    if found.kind != "search":
        raise UsageError(f"job {job} is a {found.kind}, no search", hint=f"look at it under /jobs/{job}")
    return found


def _document(server: Service, job: str, name: str) -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(server.jobs.file(job, name))
    return document


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """A file that pages ask for; nobody has to be known for it."""
    if name not in ASSETS:
        return Response(status_code=404)
    content = asset(name)
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}  # asked again each time, sent again when it has changed
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=ASSETS[name], headers=headers)
