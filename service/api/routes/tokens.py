"""``/v1/tokens``: who may ask for what. For administrators."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as InPath
from pydantic import Field

from ...tokens import LONGEST_DAYS
from ..access import Principal, requires
from ..paging import PagingOption
from ..schemas import Answer, Form, Page, problems
from .devices import Server

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

Administrator = Annotated[Principal, Depends(requires("admin"))]


class TokenIn(Form):
    """A token to be made."""

    name: str = Field(min_length=1, max_length=100, description="What it is for")
    scope: Literal["read", "profile", "admin"] = "read"
    days: float | None = Field(90.0, gt=0, le=LONGEST_DAYS, description="How long it is valid; null for ever")


class TokenOut(Answer):
    """A token, without its secret."""

    id: str
    name: str
    scope: str
    created_at: str = Field(description="ISO 8601 in UTC")
    expires_at: str | None
    revoked_at: str | None
    valid: bool


class NewToken(TokenOut):
    """A token that was just made."""

    token: str = Field(description="The token itself: shown this once")


@router.get("", response_model=Page[TokenOut], responses=problems())
async def list_tokens(server: Server, paging: PagingOption, _: Administrator) -> dict[str, Any]:
    """List all tokens, those that are not valid any more too."""
    return paging.page([record.to_dict() for record in await server.read(server.access.tokens.list)])


@router.post("", status_code=201, response_model=NewToken, responses=problems())
async def create_token(
    server: Server, _: Administrator, body: TokenIn, request: Request, response: Response
) -> dict[str, Any]:
    """Make a token."""
    record, text = await server.read(lambda: server.access.tokens.create(body.name, body.scope, days=body.days))
    server.notice()
    response.headers["Location"] = f"{request.url.path}/{record.id}"
    return record.to_dict() | {"token": text}


@router.delete("/{token}", response_model=TokenOut, responses=problems(404))
async def revoke_token(
    server: Server, _: Administrator, token: Annotated[str, InPath(max_length=100, description="Its id")]
) -> dict[str, Any]:
    """End a token's validity, at once."""
    record = await server.read(server.access.tokens.revoke, token)
    server.notice()
    return record.to_dict()
