"""Errors as ``application/problem+json`` (RFC 9457): one handler for every `LutraError`, and never a traceback."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ...networks import errors
from ...networks.errors import LutraError
from .context import request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

# The first class that an error is an instance of decides.
_STATUS: Final[tuple[tuple[type[LutraError], int], ...]] = (
    (errors.UnauthenticatedError, 401),
    (errors.ForbiddenError, 403),
    (errors.NothingHereError, 404),
    (errors.PreconditionError, 412),
    (errors.BadRequestError, 422),
    (errors.RequestTooLargeError, 413),
    (errors.MediaTypeError, 415),
    (errors.RateLimitedError, 429),
    (errors.ServerFaultError, 500),
    (errors.UnknownNameError, 404),
    (errors.UnknownJobError, 404),
    (errors.JobRequestError, 422),
    (errors.JobStateError, 409),
    (errors.QueueFullError, 429),
    (errors.IdempotencyError, 409),
    (errors.JobLostError, 409),
    (errors.JobError, 422),
    (errors.UsageError, 422),
    (errors.NotSupportedError, 422),
    (errors.ModelTooLargeError, 413),
    (errors.ModelFileError, 422),
    (errors.FormatVersionError, 422),
    (errors.FingerprintMismatchError, 409),
    (errors.StoreReadOnlyError, 409),
    (errors.StoreLockedError, 409),
    (errors.StoreFullError, 507),
    (errors.StoreCorruptError, 500),
    (errors.StoreError, 503),
    (errors.CorruptArtifactError, 422),
    (errors.ArtifactError, 422),
)
_TITLES: Final = {"LutraError": "Lutra error"}
_PLAIN: Final = str | int | float | bool | tuple | list | dict


def status_of(error: LutraError) -> int:
    """The HTTP status that tells an error."""
    return next((status for cls, status in _STATUS if isinstance(error, cls)), 500)


def problem(error: LutraError, *, status: int | None = None) -> dict[str, Any]:
    """An error as a problem document.

    Members beside those of RFC 9457: ``code`` (a heading of ``docs/errors.md``), ``hint`` (what to do about it),
    ``request`` (its number in the server's log) and ``data`` (what the error carries).
    """
    data = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(error).items()
        if name not in ("message", "hint") and not name.startswith("_") and isinstance(value, _PLAIN)
    }
    return {
        "type": f"urn:lutra:error:{error.code}",
        "title": _title(type(error)),
        "status": status_of(error) if status is None else status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "request": request_id(),
        "data": data,
    }


def answer(error: LutraError, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that tells an error."""
    document = problem(error, status=status)
    told = dict(headers or {})
    if isinstance(error, errors.UnauthenticatedError):
        told["WWW-Authenticate"] = 'Bearer realm="lutra"'
    if isinstance(error, errors.RateLimitedError):
        told["Retry-After"] = str(max(1, round(error.retry_after_s + 0.5)))
    return JSONResponse(document, document["status"], media_type=MEDIA_TYPE, headers=told)


def install(app: FastAPI) -> None:
    """Let an app answer with problem documents whatever goes wrong."""
    app.add_exception_handler(LutraError, _lutra)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)


async def _lutra(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LutraError)
    if status_of(error) >= 500:
        logger.error("request %s: %s [%s]", request_id(), error.message, error.code)
    # Where the store lies is the business of those who run the server.
    where = request.app.state.service.store.location
    error.message = error.message.replace(where, "the store")
    error.hint = error.hint and error.hint.replace(where, "STORE")
    return answer(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = {".".join(map(str, item["loc"])): _told(item["msg"]) for item in error.errors()[:20]}
    first = next(iter(fields.items()), ("body", "malformed"))
    more = f" (and {len(fields) - 1} more)" * (len(fields) > 1)
    return answer(
        errors.BadRequestError(
            f"{first[0]}: {first[1]}{more}", fields, hint="see the contract at /v1/openapi.json, or docs/api.md"
        )
    )


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, error.headers
    if status in (404, 405):
        what = "nothing here" if status == 404 else "this address takes another method"
        allowed = f": {headers['Allow']}" if headers and "Allow" in headers else ""
        return answer(
            errors.NothingHereError(f"{what}{allowed}", hint="see /v1/openapi.json"), status=status, headers=headers
        )
    return answer(errors.BadRequestError(str(error.detail)), status=status, headers=headers)


async def _fault(_: Request, error: Exception) -> JSONResponse:
    logger.error("request %s failed", request_id(), exc_info=error)
    return answer(errors.ServerFaultError(request_id()))


def _title(cls: type[LutraError]) -> str:
    """``UnknownNameError`` as "unknown name"."""
    if cls.__name__ in _TITLES:
        return _TITLES[cls.__name__]
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in cls.__name__).split()
    return " ".join(word for word in words if word != "error").capitalize()


def _told(message: str) -> str:
    return message[:200]
