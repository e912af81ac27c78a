"""A job's events as they happen, as server-sent events (HTML standard, 9.2)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from ...networks.errors import LutraError
from ..jobs.job import FINISHED

if TYPE_CHECKING:
    from .service import Service

_LOOK_EVERY_S: Final = 0.25
_SIGN_EVERY_S: Final = 15.0
_LONGEST_S: Final = 3600.0  # then the client comes again, with the number of the last event


async def stream(server: "Service", job: str, after: int) -> AsyncIterator[bytes]:
    """The events of a job with numbers above ``after``, until it has ended.

    Each has its number as ``id``, its name as ``event`` and the whole of it as JSON ``data``; the last one is called
    ``end`` and holds the job's state. A comment now and then keeps the connection alive. A client that comes back with
    ``Last-Event-ID`` misses none.

    Args:
        server: where from.
        job: id of a job that there is.
        after: number of the last event that the client knows.
    """
    begun = silent_since = time.monotonic()
    mark = ""
    while time.monotonic() - begun < _LONGEST_S:
        # Nothing can have happened while nobody has written to the store.
        if mark != server.mark:
            mark = server.mark
            try:
                found = await server.read(server.jobs.events, job, after)
                state = (await server.read(server.jobs.get, job)).state if not found else None
            except LutraError as error:  # deleted meanwhile
                yield _event("end", None, {"state": "deleted", "detail": error.message})
                return
            for event in found:
                after = event["number"]
                yield _event(str(event["event"]), after, event)
            if found:
                silent_since, mark = time.monotonic(), ""  # there may be more than one page
                continue
            if state in FINISHED:
                yield _event("end", None, {"state": state})
                return
        if time.monotonic() - silent_since > _SIGN_EVERY_S:
            silent_since = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)


def _event(name: str, number: int | None, content: object) -> bytes:
    safe = "".join(letter for letter in name if letter.isprintable())
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {safe}\ndata: {json.dumps(content)}\n\n".encode()
