"""Whether the server lives, whether it can work, and what it counts."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from ....networks.errors import LutraError
from .. import problems as telling
from ..schemas import Answer, Problem, problems
from .devices import Reading, Server

router = APIRouter(tags=["health"])


class HealthOut(Answer):
    """A sign of life."""

    status: Literal["ok"]


@router.get("/healthz", response_model=HealthOut)
async def healthz() -> dict[str, Any]:
    """Say that the process lives; looks at nothing."""
    return {"status": "ok"}


@router.get("/readyz", response_model=HealthOut, responses={503: {"model": Problem, "description": "Not ready"}})
async def readyz(server: Server) -> Any:
    """Say whether the store can be read."""
    try:
        await server.read(server.store.change_mark)
        await server.read(server.store.devices)
    except LutraError as error:
        return telling.answer(error, status=503)
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses=problems() | {200: {"content": {"text/plain": {}}}})
async def metrics(server: Server, _: Reading) -> Response:
    """What Prometheus reads; give it a token in `authorization.credentials_file`."""
    return Response(await server.read(server.measured), media_type=CONTENT_TYPE_LATEST)
