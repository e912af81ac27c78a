"""``/v1/tables``: the rows of each device; out and in as files, and one beside another."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import Field
from starlette.background import BackgroundTask

from ....luts import DeviceSummary, RowNumbers
from ....networks.errors import UnknownNameError
from ..access import Principal, requires
from ..etags import etag, is_unchanged, require_match
from ..importing import import_in_child
from ..paging import PagingOption
from ..presence import Sign
from ..schemas import NAME_PATTERN, Answer, Name, Page, problems
from ..service import Service
from .devices import DeviceOut, DevicePath, Reading, Server, described
from .predictions import require_bytes

router = APIRouter(prefix="/v1/tables", tags=["tables"])

Format = Literal["parquet", "csv", "json"]
Kind = Annotated[str, Query(max_length=16, pattern=r"^[a-z_]+$", description="kernel, network, constant, ...")]
_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8", "json": "application/json"}


class TableOut(DeviceOut):
    """A device's table in a few numbers."""

    etag: str = Field(description="Changes whenever a row does; also the header ETag")


class RowOut(Answer):
    """One row, without its samples."""

    subject_kind: str
    subject_key: str
    label: str
    status: str = Field(description="ok, noisy or failed")
    latency_ns: float | None
    rel_halfwidth: float | None = Field(description="Half the 95 % interval, relative to the latency")
    median_ns: float | None
    sample_count: int
    measured_at: str
    flags: list[str]


class RowPage(Answer):
    """Some rows of a table."""

    items: list[RowOut]
    next: str | None = Field(description="Address of the next page; null on the last one")


class ImportOut(Answer):
    """What became of the rows of one device in a file."""

    name: str
    digest: str
    rows: int
    written: int = Field(description="How many are new, or took the place of others")


class ChangeOut(Answer):
    """One row that both tables have."""

    subject_kind: str
    label: str
    left_ns: float
    right_ns: float
    ratio: float | None = Field(description="Null where the left one is 0")


class DiffOut(Answer):
    """Two tables beside each other."""

    device: list[str] = Field(description="What differs between the devices, a line each")
    only_left: list[str]
    only_right: list[str]
    failed: list[str]
    compared: int = Field(description="Rows with a number in both")
    ratio: dict[str, float | None] = Field(description="Right over left: quantiles p10, p50 and p90")
    outside_share: float | None = Field(description="Share whose intervals do not touch, of those that have one")
    beyond: list[ChangeOut] = Field(description="Those rows, the largest differences first")


@router.get("", response_model=Page[DeviceOut], responses=problems())
async def list_tables(server: Server, paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the devices that have rows, the one used last first."""
    return paging.page(await server.read(_with_rows, server))


def _with_rows(server: Service) -> list[dict[str, Any]]:
    seen = server.presence.last_seen()
    return [described(s, seen.get(s.device.digest)) for s in server.summaries() if s.counts]


@router.get("/diff", response_model=DiffOut, responses=problems(404))
async def diff_tables(
    server: Server,
    _: Reading,
    left: Annotated[Name, Query(description="A device")],
    right: Annotated[Name, Query(description="Another device")],
    most: Annotated[int, Query(ge=0, le=10_000, description="Most labels and rows that are listed of each kind")] = 100,
) -> dict[str, Any]:
    """Compare two tables: what differs between the devices, and between their rows."""
    return await server.read(_compared, server, left, right, most)


def _compared(server: Service, left: str, right: str, most: int) -> dict[str, Any]:
    from ....luts.diff import compare

    first, second = server.store.device(left), server.store.device(right)
    found = compare(server.store.numbers(first), server.store.numbers(second))
    document = found.to_dict()
    shown = {name: document[name][:most] for name in ("only_left", "only_right", "beyond")}
    differences = first.fingerprint.differences(second.fingerprint)
    return {"device": differences, "failed": list(found.failed[:most])} | document | shown


@router.post(
    "/import",
    status_code=201,
    response_model=list[ImportOut],
    responses=problems(404, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_table(
    server: Server,
    request: Request,
    _: Annotated[Principal, Depends(requires("profile", heavy=True))],
    format: Annotated[Format, Query(description="What the body is")],  # noqa: A002  # its name in the contract
    name: Annotated[
        str | None,
        Query(min_length=1, max_length=200, pattern=NAME_PATTERN, description="What to call the device; else as in it"),
    ] = None,
    replace: Annotated[bool, Query(description="Let the file's rows take the place of those that disagree")] = False,
) -> list[dict[str, Any]]:
    """Take the table in a file, whose bytes are the request's body, over into the store: all of it, or nothing."""
    require_bytes(request)
    part = await server.uploads.receive(request.stream())
    try:
        return await server.parse(_imported, server, part, format, name, replace)
    finally:
        part.unlink(missing_ok=True)
        server.notice()


def _imported(server: Service, part: Path, form: str, name: str | None, replace: bool) -> list[dict[str, Any]]:
    return import_in_child(part, store=server.store_url, format_name=form, name=name, replace=replace)


@router.get("/{device}", response_model=TableOut, responses=problems(404) | {304: {"description": "Not changed"}})
async def get_table(server: Server, request: Request, _: Reading, device: DevicePath) -> Response:
    """Show how many rows a table has; `ETag` says whether it has changed."""
    mark, summary, seen = await server.read(_summary, server, device)
    headers = {"ETag": etag(mark), "Cache-Control": "no-cache"}
    if is_unchanged(request, mark):
        return Response(status_code=304, headers=headers)
    return JSONResponse(described(summary, seen) | {"etag": etag(mark)}, headers=headers)


def _summary(server: Service, device: str) -> tuple[str, DeviceSummary, Sign | None]:
    record = server.store.device(device)
    mark = server.store.content_mark(record)
    found = next((s for s in server.summaries() if s.device.digest == record.digest), None)
    seen = server.presence.last_seen().get(record.digest)
    return mark, found or DeviceSummary(device=record, counts={}), seen


@router.get("/{device}/rows", response_model=RowPage, responses=problems(404))
async def list_rows(
    server: Server,
    _: Reading,
    device: DevicePath,
    paging: PagingOption,
    kind: Kind | None = None,
    after: Annotated[int, Query(ge=0, le=2**62, description="From the address of the page before")] = 0,
) -> dict[str, Any]:
    """List the rows of a table, without samples. `after` leads on; `offset` does not apply."""
    found = await server.read(_rows, server, device, kind, after, paging.limit)
    follows = None if found[1] is None else paging.next(after=found[1])
    return {"items": found[0], "next": follows}


def _rows(
    server: Service, device: str, kind: str | None, after: int, limit: int
) -> tuple[list[RowNumbers], int | None]:
    return server.store.number_page(device, kind, after=after, limit=limit)


@router.get("/{device}/row", response_model=dict[str, Any], responses=problems(404))
async def get_row(
    server: Server,
    _: Reading,
    device: DevicePath,
    kind: Kind,
    key: Annotated[str, Query(min_length=1, max_length=20_000, description="Its key, from the list of rows")],
) -> dict[str, Any]:
    """Show one row with all its samples, in ns."""
    row = await server.read(server.store.get, device, kind, key)
    if row is None:
        raise UnknownNameError("row", f"{kind} {key[:80]}", ())
    return row.to_dict()


@router.get(
    "/{device}/export",
    response_class=FileResponse,
    responses=problems(404)
    | {
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TYPES.values()}},
        304: {"description": "Not changed"},
    },
)
async def export_table(
    server: Server,
    request: Request,
    _: Reading,
    device: DevicePath,
    format: Annotated[Format, Query(description="What to write")] = "parquet",  # noqa: A002
) -> Response:
    """Give a table as a file. Parquet and JSON hold everything, CSV the numbers."""
    mark, summary, _seen = await server.read(_summary, server, device)
    headers = {"ETag": etag(f"{mark}-{format}"), "Cache-Control": "no-cache"}
    if is_unchanged(request, f"{mark}-{format}"):
        return Response(status_code=304, headers=headers)
    path = await server.read(_exported, server, summary.device.digest, format)
    return FileResponse(
        path,
        media_type=_TYPES[format],
        headers=headers,
        filename=f"{summary.device.digest[:12]}.{format}",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


def _exported(server: Service, digest: str, form: str) -> Path:
    from ....luts.exchange.stores import export_device

    path = _temporary(server.uploads.folder, form)
    try:
        export_device(server.store, digest, path, format=form)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _temporary(folder: Path, suffix: str) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(16)}.{suffix}.part"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


@router.delete("/{device}", status_code=204, responses=problems(404, 412))
async def delete_table(
    server: Server,
    request: Request,
    _: Annotated[Principal, Depends(requires("admin"))],
    device: DevicePath,
) -> None:
    """Delete a device with all its rows; with `If-Match`, only as it was seen."""
    await server.read(_deleted, server, request, device)
    server.notice()


def _deleted(server: Service, request: Request, device: str) -> None:
    record = server.store.device(device)
    require_match(request, server.store.content_mark(record))
    server.store.delete_device(record)
