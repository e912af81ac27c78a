"""`make_app`: the server as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from ..web import forms, login, site
from . import problems
from .gate import Gate
from .metrics import Metrics
from .routes import devices, health, jobs, models, ops, predictions, tables, tokens, uploads
from .service import Service
from .settings import Settings

DESCRIPTION = """\
Latency tables of devices, predictions from them, and the jobs that make them.

Errors are `application/problem+json`; their `code` is a heading of docs/errors.md. Latencies are in the unit that their
name ends in. Every address but `/healthz` and `/readyz` needs a token: `Authorization: Bearer TOKEN`.
"""

# The most asked first: they are looked through in this order.
_MODULES = (predictions, health, devices, tables, jobs, ops, uploads, models, tokens)
_ROUTERS = (*(module.router for module in _MODULES), jobs.kinds)


def make_app(settings: Settings | None = None, *, own_digest: str | None = None) -> FastAPI:
    """The server.

    Args:
        settings: what it is told; by default all as it comes.
        own_digest: `lutra.service.tokens.digest_of` of a token of full scope that is valid while the server runs.

    Returns:
        The application; its ``state.service`` is there from start-up on.

    Raises:
        StoreError: at start-up, where the store cannot be opened.
    """
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = Service(settings, metrics, own_digest)
        app.state.service = service
        watching = asyncio.create_task(service.watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            service.close()

    app = FastAPI(
        title="Lutra",
        version=_version(),
        description=DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in (*_ROUTERS, site.router, forms.router, login.router):
        app.include_router(router)
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    return app


def contract() -> dict[str, Any]:
    """The OpenAPI document."""
    return make_app().openapi()


def scopes() -> dict[tuple[str, str], str]:
    """The scope that each operation of the contract needs, by method and path; those without one need no token."""
    found = {}
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                asked = [getattr(part.call, "scope", None) for part in route.dependant.dependencies]
                found.update({(m, route.path): scope for m in route.methods or () for scope in asked if scope})
    return found


def _operation_id(route: APIRoute) -> str:
    return route.name


def _version() -> str:
    try:
        return version("lutra")
    except PackageNotFoundError:  # run from a source tree
        return "0"
