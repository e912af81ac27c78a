"""The first page: devices and their tables."""

from typing import Any

from fastapi import APIRouter

from ..api.routes.devices import described
from ..api.service import Service
from .pages import View, page

router = APIRouter(include_in_schema=False)


@page(router, "/", "home.html")
async def home(view: View) -> dict[str, Any]:
    """Devices, the one used last first, with how many rows there are of each."""
    return {"devices": await view.server.read(_devices, view.server)}


def _devices(server: Service) -> list[dict[str, Any]]:
    seen = server.presence.last_seen()
    return [described(summary, seen.get(summary.device.digest)) for summary in server.summaries()]
