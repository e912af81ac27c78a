"""What the pages' forms do: stop a job, hand in a network. Each is a POST of a session, with the page's own token."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from ...networks.errors import LutraError, UsageError
from ..api.access import COOKIE, Principal, require_own_page
from ..api.gate import HANDING_IN
from ..api.problems import status_of
from ..api.service import Service
from ..scopes import require_scope
from .pages import LOGIN, error_page, shown

router = APIRouter(include_in_schema=False)

_BLOCK: Final = 1 << 20
_LONGEST: Final = 200


@router.post("/jobs/{job}/cancel")
async def cancel(request: Request, job: str, csrf: Annotated[str, Form(max_length=_LONGEST)]) -> Response:
    """Stop a job, as the button of its page asks."""

    async def work(server: Service, principal: Principal) -> str:
        require_own_page(request, principal, csrf)
        await server.read(server.jobs.cancel, job)
        return f"/jobs/{job}"

    return await _done(request, work)


@router.post(HANDING_IN)
async def hand_in(request: Request) -> Response:
    """Keep a network's file, and show the network."""

    async def work(server: Service, principal: Principal) -> str:
        server.weighty.take(principal.id)
        async with request.form(max_files=1, max_fields=3) as form:  # only now: strangers' files are not read
            require_own_page(request, principal, _text(form.get("csrf")))
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise UsageError("no file was chosen", hint="choose an ONNX file, or a network as Lutra's JSON")
            part = await server.uploads.receive(_blocks(file))
            found = await server.parse(server.uploads.take, part, None)
            state = {"upload": found.id, "device": _text(form.get("device"))}
        return f"/networks?{urlencode({name: text for name, text in state.items() if text})}"

    return await _done(request, work)


async def _done(request: Request, work: Callable[[Service, Principal], Awaitable[str]]) -> Response:
    """Do what a form asks, for a session that may do it, and go on to the page whose address ``work`` gives."""
    server: Service = request.app.state.service
    principal = server.access.session(request.cookies.get(COOKIE, ""))
    if principal is None:
        return RedirectResponse(LOGIN, status_code=303)
    try:
        require_scope(principal.scope, "profile")
        address = await work(server, principal)
    except LutraError as error:
        return shown(error_page(error), principal, status=status_of(error))
    return RedirectResponse(address, status_code=303)


def _text(value: UploadFile | str | None) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


async def _blocks(file: UploadFile) -> AsyncIterator[bytes]:
    while block := await file.read(_BLOCK):
        yield block
