"""`page`: one function gives a page's data; it is shown as HTML at its path, and as JSON at the path with ``.json``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, select_autoescape

from ...networks.errors import ForbiddenError, UnauthenticatedError
from ..api.access import Principal, identified
from ..api.service import Service
from ..scopes import Scope, includes

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
LOGIN: Final = "/login"

templates = Jinja2Templates(
    env=Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
)


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


Data = Callable[..., Awaitable[dict[str, Any]]]


def page(router: APIRouter, path: str, template: str, *, scope: Scope = "read") -> Callable[[Data], Data]:
    """Decorator: make a function's data a page.

    The function takes a `View`, and the parameters of the path by name; it returns plain JSON data. The template finds
    them by their names, and ``principal`` and ``twin`` (the address of the JSON) beside them.

    Args:
        router: gets the two routes.
        path: of the page; ``/`` has its twin at ``/index.json``.
        template: file in ``templates``.
        scope: what the token or session must allow.
    """
    twin = "/index.json" if path == "/" else f"{path}.json"

    def decorate(work: Data) -> Data:
        async def html(request: Request) -> Response:
            try:
                view = await _looking(request, scope)
            except UnauthenticatedError:
                return RedirectResponse(LOGIN, status_code=303)
            data = await work(view, **request.path_params)
            address = twin.format(**request.path_params)
            query = f"?{request.url.query}" if request.url.query else ""
            more = {"principal": view.principal, "twin": address + query}
            return templates.TemplateResponse(request, template, data | more)

        async def document(request: Request) -> Response:
            view = await _looking(request, scope)
            return JSONResponse(await work(view, **request.path_params))

        # The twin first: a parameter at the end of the path would take the suffix in.
        router.add_api_route(twin, document, include_in_schema=False, response_model=None)
        router.add_api_route(path, html, include_in_schema=False, response_model=None)
        return work

    return decorate


async def _looking(request: Request, scope: Scope) -> View:
    header = request.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    principal = await identified(request, text.strip() if kind.lower() == "bearer" else None)
    request.state.principal = principal.id
    request.app.state.service.ordinary.take(principal.id)
    if not includes(principal.scope, scope):
        raise ForbiddenError(
            f"this page needs scope {scope!r}; yours is {principal.scope!r}", hint="log in with another"
        )
    return View(request, principal)
