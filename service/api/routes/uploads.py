"""``/v1/uploads``: networks that are handed in as files."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath
from pydantic import Field

from ..access import Principal, requires
from ..paging import PagingOption
from ..schemas import Answer, Page, problems
from .devices import Profiling, Reading, Server
from .predictions import require_bytes

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

UploadPath = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file")]


class UploadOut(Answer):
    """A network that was handed in."""

    id: str = Field(description="SHA-256 of the file's content")
    kind: str = Field(description="onnx, or network (Lutra's JSON form)")
    bytes: int
    name: str
    nodes: int
    macs: int
    params: int
    uploaded_at_s: float = Field(description="Seconds since the epoch")


@router.post(
    "",
    status_code=201,
    response_model=UploadOut,
    responses=problems(413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    server: Server,
    request: Request,
    response: Response,
    _: Annotated[Principal, Depends(requires("profile", heavy=True))],
    name: Annotated[str | None, Query(max_length=100, pattern=r"^[\w .+-]+$")] = None,
) -> dict[str, Any]:
    """Hand in an ONNX file, or a network in Lutra's JSON form, whose bytes are the request's body."""
    require_bytes(request)
    part = await server.uploads.receive(request.stream())
    found = await server.parse(server.uploads.take, part, name)
    response.headers["Location"] = f"{request.url.path}/{found.id}"
    return asdict(found)


@router.get("", response_model=Page[UploadOut], responses=problems())
async def list_uploads(server: Server, paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the uploads, the newest first."""
    return paging.page([asdict(found) for found in await server.read(server.uploads.list)])


@router.get("/{upload}", response_model=UploadOut, responses=problems(404))
async def get_upload(server: Server, _: Reading, upload: UploadPath) -> dict[str, Any]:
    """Show one upload."""
    return asdict(await server.read(server.uploads.get, upload))


@router.delete("/{upload}", status_code=204, responses=problems(404))
async def delete_upload(server: Server, _: Profiling, upload: UploadPath) -> None:
    """Delete an upload and its file."""
    await server.read(server.uploads.delete, upload)
