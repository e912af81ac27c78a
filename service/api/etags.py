"""Versions of things: ``ETag`` out, ``If-None-Match`` and ``If-Match`` in (RFC 9110, section 13)."""

import re
from typing import Final

from fastapi import Request

from ...networks.errors import PreconditionError

_ETAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(mark: str) -> str:
    """The header of a thing whose content has this mark."""
    return f'"{mark}"'


def is_unchanged(request: Request, mark: str) -> bool:
    """Whether the client has this very content already."""
    return _names(request.headers.get("if-none-match"), mark)


def require_match(request: Request, mark: str) -> None:
    """Refuse a change of what the client has not seen as it is.

    Raises:
        PreconditionError: it says another content, in ``If-Match``.
    """
    wanted = request.headers.get("if-match")
    if wanted is not None and not _names(wanted, mark):
        raise PreconditionError("the table has changed since you read it", hint="read it again, and decide anew")


def _names(header: str | None, mark: str) -> bool:
    return header is not None and (header.strip() == "*" or mark in _ETAG.findall(header))
