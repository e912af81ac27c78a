"""Logging a browser in: by the one-time link that ``lutra serve`` prints, or by a token in a form."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from ...networks.errors import LutraError, RateLimitedError, UnauthenticatedError
from ..api.access import COOKIE, SESSION_S, Principal, address_of, require_own_page
from ..api.problems import status_of
from ..api.service import Service
from .page import Page
from .pages import LOGIN, shown

router = APIRouter(include_in_schema=False)


@router.get(LOGIN)
async def show_login(request: Request, code: str | None = None) -> Response:
    """The form; or, with a one-time code, straight on to the first page."""
    server: Service = request.app.state.service
    if code is None:
        return _form("")
    try:
        server.access.refuse_guessing(address_of(request))
    except RateLimitedError as error:
        return _form(error.message, error)
    principal = server.access.redeem(code)
    if principal is None:
        server.access.count_failure(address_of(request))
        return _form("the link has been used, or is of an earlier start of the server")
    return _logged_in(server, principal)


@router.post(LOGIN)
async def log_in(request: Request, token: Annotated[str, Form(max_length=200)]) -> Response:
    """Begin a session with a token."""
    server: Service = request.app.state.service
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        return _form("the form was sent from another site")
    address = address_of(request)
    try:
        server.access.refuse_guessing(address)
        return _logged_in(server, await server.read(server.access.verify, token.strip()))
    except UnauthenticatedError as error:
        server.access.count_failure(address)
        return _form(error.message, error)
    except RateLimitedError as error:
        return _form(error.message, error)


@router.post("/logout")
async def log_out(request: Request, csrf: Annotated[str, Form(max_length=200)]) -> Response:
    """End the session."""
    server: Service = request.app.state.service
    cookie = request.cookies.get(COOKIE, "")
    principal = server.access.session(cookie)
    if principal is not None:
        require_own_page(request, principal, csrf)
        server.access.close_session(cookie)
    answer = RedirectResponse(LOGIN, status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


def _form(message: str, error: LutraError | None = None) -> Response:
    status = 200 if not message else 401 if error is None else status_of(error)
    return shown(Page(template="login.html", title="Log in", data={"message": message}), status=status)


def _logged_in(server: Service, principal: Principal) -> Response:
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        server.access.open_session(principal),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=server.settings.secure_cookies,
    )
    return answer
