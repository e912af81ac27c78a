"""The outermost layer: a number for each request, hosts, bytes, headers, counting, and faults that nothing else caught.

Written against ASGI itself, because every request passes through it.
"""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from ...networks.errors import BadRequestError, ForbiddenError, LutraError, RequestTooLargeError, ServerFaultError
from . import problems
from .context import set_request_id
from .metrics import Metrics
from .settings import Settings

logger = logging.getLogger(__name__)
access = logging.getLogger("lutra.service.access")

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HANDING_IN: Final = "/networks/file"
UPLOADING: Final = frozenset({"/v1/uploads", "/v1/predictions/onnx", "/v1/tables/import", HANDING_IN})
"""Addresses that take files."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts and styles from this server alone, none in the page itself; nobody may put a page into a frame."""

_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # "no-referrer" would make browsers hide a form's origin, too
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[^:\s/@]{1,253})(?::\d{1,5})?")


class Gate:
    """What every request passes first.

    Args:
        app: what answers.
        settings: limits and names of the host.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGI, *, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._hosts = frozenset(name.lower() for name in settings.host_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self._app, scope, receive, send, self._settings, self._metrics, self._hosts).run()


class _Exchange:
    """One request and its response."""

    def __init__(
        self,
        app: ASGI,
        scope: Scope,
        receive: Receive,
        send: Send,
        settings: Settings,
        metrics: Metrics,
        hosts: frozenset[str],
    ) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._metrics, self._hosts = metrics, hosts
        self._limit = settings.max_upload_bytes if scope["path"] in UPLOADING else settings.max_body_bytes
        self._number = secrets.token_hex(6)
        self._received = 0
        self._status = 0
        self._too_large = False

    async def run(self) -> None:
        set_request_id(self._number)
        begun = time.perf_counter()
        try:
            if (refused := self._refusal()) is not None:
                await self._answer(refused)
            else:
                await self._app(self._scope, self._received_message, self._sent_message)
        except Exception as error:
            if self._status:  # half an answer is out; closing the connection is all that can be done
                logger.exception("request %s failed after its answer had begun", self._number)
                raise
            await self._answer(self._fault(error))
        finally:
            self._count(time.perf_counter() - begun)

    def _refusal(self) -> LutraError | None:
        """Why the request is not answered at all."""
        host = length = b""
        for name, value in self._scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"content-length":
                length = value
        if self._hosts and not _is_one_of(host.decode("latin-1"), self._hosts):
            return ForbiddenError(
                "this server is not asked under that name",
                hint="use the address that it printed, or start it with --host-name",
            )
        if length and (not length.isdigit() or len(length) > 18):
            return BadRequestError("the header Content-Length is no number")
        if length and int(length) > self._limit:
            return RequestTooLargeError(self._limit)
        if b"\0" in self._scope.get("raw_path", b"") or "\0" in self._scope["path"]:
            return BadRequestError("the address has a null byte in it")
        return None

    async def _received_message(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                self._too_large = True
                raise RequestTooLargeError(self._limit)
        return message

    async def _sent_message(self, message: Message) -> None:
        if self._too_large and not self._status:
            # Whatever the app made of the body that was cut off.
            await self._answer(RequestTooLargeError(self._limit))
        if self._too_large:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            headers += [header for header in _HEADERS if header[0] not in names]
            if b"cache-control" not in names:
                headers.append(_NO_STORE)
            headers.append((b"x-request-id", self._number.encode()))
            message = {**message, "headers": headers}
        await self._send(message)

    async def _answer(self, error: LutraError) -> None:
        self._too_large = False
        response = problems.answer(error)
        if isinstance(error, RequestTooLargeError):
            response.headers["connection"] = "close"  # what is still coming is not read
        await response(self._scope, self._receive, self._sent_message)
        if isinstance(error, RequestTooLargeError):
            self._too_large = True

    def _fault(self, error: Exception) -> LutraError:
        if isinstance(error, LutraError):
            return error
        logger.error("request %s failed", self._number, exc_info=error)
        return ServerFaultError(self._number)

    def _count(self, seconds: float) -> None:
        route = self._scope.get("route")
        path = getattr(route, "path", "none")
        method = self._scope["method"]
        self._metrics.request(method, path, self._status, seconds)
        if access.isEnabledFor(logging.INFO):
            # Without the query, which may hold what is nobody else's business.
            who = self._scope.get("state", {}).get("principal", "-")
            access.info(
                "request=%s %s %s status=%d ms=%.1f by=%s",
                self._number,
                method,
                _plain(self._scope["path"]),
                self._status,
                1e3 * seconds,
                who,
            )


def _is_one_of(host: str, names: frozenset[str]) -> bool:
    match = _HOST.fullmatch(host)
    return match is not None and match[1].strip("[]").lower() in names


def _plain(path: str) -> str:
    """A path that cannot forge another line of the log."""
    return "".join(letter if letter.isprintable() else "?" for letter in path[:200])
