"""`page`: one function gives a `Page`; it is shown as HTML at its path, and as JSON at the path with ``.json``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from ...networks.errors import LutraError, UnauthenticatedError
from ..api.access import Principal, identified
from ..api.problems import status_of
from ..api.service import Service
from ..scopes import Scope, require_scope
from .page import Page
from .rendering import to_html

LOGIN: Final = "/login"


@dataclass(frozen=True)
class View:
    """One look at a page.

    Attributes:
        request: what was asked; its query holds the page's state.
        principal: who looks.
    """

    request: Request
    principal: Principal

    @cached_property
    def server(self) -> Service:
        """The server that answers."""
        found: Service = self.request.app.state.service
        return found

    def state(self, name: str) -> str | None:
        """A value of the query; None where it is absent or empty."""
        return self.request.query_params.get(name) or None


Work = Callable[..., Awaitable[Page]]


def page(router: APIRouter, path: str, *, scope: Scope = "read") -> Callable[[Work], Work]:
    """Decorator: make what a function gives a page with a JSON twin.

    The function takes a `View`, and the parameters of the path by name.

    Args:
        router: gets the two routes.
        path: of the page; ``/`` has its twin at ``/index.json``.
        scope: what the token or session must allow.
    """
    twin = "/index.json" if path == "/" else f"{path}.json"

    def decorate(work: Work) -> Work:
        async def html(request: Request) -> Response:
            try:
                view = await _looking(request, scope)
            except UnauthenticatedError:
                return RedirectResponse(LOGIN, status_code=303)
            try:
                found = await work(view, **request.path_params)
            except LutraError as error:
                return shown(error_page(error), view.principal, status=status_of(error))
            address = "/index.json" if request.url.path == "/" else f"{request.url.path}.json"
            query = f"?{request.url.query}" if request.url.query else ""
            return shown(found, view.principal, twin=address + query)

        async def document(request: Request) -> Response:
            view = await _looking(request, scope)
            return JSONResponse((await work(view, **request.path_params)).data)

        # The twin first: a parameter at the end of the path would take the suffix in.
        router.add_api_route(twin, document, include_in_schema=False, response_model=None)
        router.add_api_route(path, html, include_in_schema=False, response_model=None)
        return work

    return decorate


def shown(found: Page, principal: Principal | None = None, *, twin: str = "", status: int = 200) -> HTMLResponse:
    """A page as the answer to a request."""
    csrf = "" if principal is None else principal.csrf or ""
    html = to_html(found, twin=twin, csrf=csrf, signed_in=bool(csrf), guest=principal is None)
    return HTMLResponse(html, status_code=status)


def error_page(error: LutraError) -> Page:
    """What went wrong, and what to do about it."""
    return Page(template="error.html", title="That did not work", data=error.to_dict())


async def _looking(request: Request, scope: Scope) -> View:
    header = request.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    principal = await identified(request, text.strip() if kind.lower() == "bearer" else None)
    request.state.principal = principal.id
    request.app.state.service.ordinary.take(principal.id)
    require_scope(principal.scope, scope)
    return View(request, principal)
