"""`Page`: what one view shows, and `Links`: where its parts lead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

DIGEST_DIGITS = 12
"""Digits by which a device is named in addresses."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one view shows.

    Attributes:
        template: its file in ``templates``.
        title: its heading.
        data: everything it says, as plain JSON data with units in the names; its JSON twin is this and nothing else.
        charts: pictures by name, as SVG.
        place: which entry of the site's navigation it belongs to.
    """

    template: str
    title: str
    data: Mapping[str, Any]
    charts: Mapping[str, str] = field(default_factory=dict)
    place: str = ""


class Links(Protocol):
    """Where things lead; None where they lead nowhere."""

    def table(self, digest: str, family: str | None = None) -> str | None:
        """The rows of a device, or those of one family of kernels."""

    def row(self, digest: str, kind: str, key: str) -> str | None:
        """One row with its samples."""

    def measured(self, digest: str) -> str | None:
        """Whole networks, predicted and measured."""

    def network(self, name: str, digest: str | None = None) -> str | None:
        """A network, and its latency on a device."""


class SiteLinks:
    """Addresses of the service's pages."""

    def table(self, digest: str, family: str | None = None) -> str:
        """See `Links`."""
        return _address("tables", digest[:DIGEST_DIGITS], family=family)

    def row(self, digest: str, kind: str, key: str) -> str:
        """See `Links`."""
        return _address("tables", digest[:DIGEST_DIGITS], "rows", kind, key)

    def measured(self, digest: str) -> str:
        """See `Links`."""
        return _address("tables", digest[:DIGEST_DIGITS], "networks")

    def network(self, name: str, digest: str | None = None) -> str:
        """See `Links`."""
        return _address("networks", network=name, device=digest and digest[:DIGEST_DIGITS])


class FileLinks:
    """A file stands alone: nothing leads out of it."""

    def table(self, digest: str, family: str | None = None) -> None:
        """See `Links`."""

    def row(self, digest: str, kind: str, key: str) -> None:
        """See `Links`."""

    def measured(self, digest: str) -> None:
        """See `Links`."""

    def network(self, name: str, digest: str | None = None) -> None:
        """See `Links`."""


def _address(*segments: str, **state: str | None) -> str:
    """The address of a page; ``state`` is its query, without what is None."""
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    query = urlencode({name: value for name, value in state.items() if value is not None})
    return f"{path}?{query}" if query else path
