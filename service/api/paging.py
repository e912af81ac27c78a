"""Lists page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

Item = TypeVar("Item")

_FARTHEST = 1_000_000_000


@dataclass(frozen=True)
class Paging:
    """Which page is wanted.

    Attributes:
        limit: the most items on it, already within the server's cap.
        offset: items before it.
        path: of the list.
        query: the other parameters of its address.
    """

    limit: int
    offset: int
    path: str
    query: Mapping[str, str]

    def page(self, items: Sequence[Item], total: int | None = None) -> dict[str, Any]:
        """The page of a list: ``items`` are all of them, or with ``total`` those of this page alone."""
        shown = items[self.offset : self.offset + self.limit] if total is None else items
        count = len(items) if total is None else total
        follows = self.offset + len(shown)
        return {"items": shown, "total": count, "next": self.next(offset=follows) if 0 < follows < count else None}

    def next(self, **changed: object) -> str:
        """The address of another page."""
        told = {**self.query, "limit": self.limit, **changed}
        return f"{self.path}?{urlencode(told)}"


async def paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items on a page; the server may give fewer")] = 100,
    offset: Annotated[int, Query(ge=0, le=_FARTHEST, description="Items before the page")] = 0,
) -> Paging:
    """The page that a request asks for."""
    most = request.app.state.service.settings.max_page
    others = {name: value for name, value in request.query_params.items() if name not in ("limit", "offset")}
    return Paging(min(limit, most), offset, request.url.path, others)


PagingOption = Annotated[Paging, Depends(paging)]
