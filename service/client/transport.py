"""Requests to a server, and its problems turned into the errors that they were made of."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from ...networks import errors
from ...networks.errors import (
    LutraError,
    MissingDependencyError,
    ServiceError,
    UnauthenticatedError,
    UnreachableServerError,
    UsageError,
)
from ..api.settings import LOOPBACK

logger = logging.getLogger(__name__)

SERVER: Final = "LUTRA_SERVER"
TOKEN: Final = "LUTRA_TOKEN"  # the variable's name
_ATTEMPTS: Final = 3
_AGAIN_AFTER_S: Final = 0.5
_PATIENCE_S: Final = 300.0  # for the answer of a long computation; connecting has less


class Transport:
    """One server, asked over connections that are kept.

    Args:
        url: where it is; None for the environment's ``LUTRA_SERVER``.
        token: who asks; None for the environment's ``LUTRA_TOKEN``.
        timeout_s: how long to wait for an answer.

    Raises:
        MissingDependencyError: the extra ``client`` is not installed.
        UsageError: no address, or one that is none.
        UnauthenticatedError: no token.
    """

    def __init__(self, url: str | None, token: str | None, *, timeout_s: float = _PATIENCE_S) -> None:
        try:
            import httpx2
        except ImportError:
            raise MissingDependencyError("httpx2", "client", "asking a server") from None
        self.url = _checked(url or os.environ.get(SERVER, ""))
        held = token or os.environ.get(TOKEN, "")
        if not held:
            raise UnauthenticatedError(
                f"no token for {self.url}", hint=f"set {TOKEN}; lutra serve prints one, lutra token create makes others"
            )
        if self.url.startswith("http://") and (urlsplit(self.url).hostname or "") not in LOOPBACK:
            logger.warning("the token goes to %s unencrypted: use https", self.url)
        self._httpx2 = httpx2
        self._client = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {held}", "Accept": "application/json"},
            timeout=httpx2.Timeout(timeout_s, connect=10.0),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        document: Any = None,
        content: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What a request is answered with; None where that is nothing.

        Args:
            method: HTTP method.
            path: behind the server's address.
            document: sent as JSON.
            content: sent as it is, instead.
            query: parameters; those that are None are left out.
            headers: more of them.

        Raises:
            LutraError: as the server says, of the class that it says.
            UnreachableServerError: it does not answer.
        """
        answer = self._ask(method, path, document, content, query, headers)
        return answer.json() if answer.content else None

    def content(self, path: str, *, query: Mapping[str, Any] | None = None) -> bytes:
        """What a GET is answered with, as it is; the errors of `json`."""
        content: bytes = self._ask("GET", path, None, None, query, None).content
        return content

    @contextmanager
    def lines(self, path: str, *, headers: Mapping[str, str]) -> "Iterator[Iterator[str]]":
        """The lines of an answer as they come; the errors of `json`."""
        try:
            with self._client.stream("GET", path, headers=dict(headers)) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                yield answer.iter_lines()
        except self._httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _ask(
        self,
        method: str,
        path: str,
        document: Any,
        content: bytes | None,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        # What changes nothing, or is known again by its key, may be sent twice.
        repeatable = method in ("GET", "PUT", "DELETE") or "Idempotency-Key" in (headers or {})
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self._client.request(
                    method,
                    path,
                    params=given or None,
                    json=document,
                    content=content,
                    headers=dict(headers or {}) or None,
                )
            except self._httpx2.TransportError as error:
                if not repeatable or attempt == _ATTEMPTS:
                    raise self._unreachable(error) from error
                time.sleep(_AGAIN_AFTER_S * attempt)
                continue
            if answer.is_error:
                raise _error(answer)
            return answer
        raise AssertionError("the last attempt answers or raises")

    def _unreachable(self, error: Exception) -> UnreachableServerError:
        return UnreachableServerError(
            f"{self.url} does not answer ({type(error).__name__})", hint="check the address, and that the server runs"
        )


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        shown = f"{parts.scheme}://{parts.hostname}" if parts.username else url
        raise UsageError(f"{shown!r} is no address of a server", hint="write it as http://127.0.0.1:8000")
    return url.rstrip("/")


def _error(answer: Any) -> LutraError:
    """The error that a problem document tells of, of its own class where this version knows it."""
    try:
        document = answer.json()
        code, detail, hint, data = (document[name] for name in ("code", "detail", "hint", "data"))
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the server answered {answer.status_code} without saying why", hint="is it Lutra's?")
    return error_of(str(code), str(detail), hint, data)


def error_of(code: str, message: str, hint: object, data: object) -> LutraError:
    """The error of a code.

    Args:
        code: a heading of ``docs/errors.md``; of a newer version it gives a ServiceError.
        message: what is wrong.
        hint: what to do, or None.
        data: the error's attributes by name.
    """
    cls = _BY_CODE.get(code, ServiceError)
    error: LutraError = cls.__new__(cls)
    LutraError.__init__(error, message, hint=None if hint is None else str(hint))
    if isinstance(data, dict):
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        vars(error).update(known)
    return error


_BY_CODE: Final[dict[str, type[LutraError]]] = {
    cls.code: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, LutraError) and cls.__module__ == errors.__name__
}
