"""The forms of requests and answers that several routes share: the contract, which OpenAPI shows."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Item = TypeVar("Item")

NAME_PATTERN = r"^[^/\\\x00-\x1f\x7f]+$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NAME_PATTERN)]
"""What people call a thing: neither a path nor anything that does not print."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Form(BaseModel):
    """A request: what it does not know is an error, so that a mistyped name is not silently left out."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="URN of the error's code")
    title: str
    status: int
    detail: str = Field(description="What is wrong, with the offending value")
    code: str = Field(description="A heading of docs/errors.md", examples=["LUTRA-E101"])
    hint: str | None = Field(description="What to do about it")
    request: str = Field(description="Number of the request in the server's log")
    data: dict[str, Any] = Field(description="What the error carries, such as the names that are known")


class Page(Answer, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    total: int = Field(description="Items on all pages")
    next: str | None = Field(description="Address of the next page; null on the last one")


class DeviceSetting(Form):
    """Which table is asked."""

    device: Name = Field("host", description="Name of a device, or the first six or more digits of its digest")
    runtime: Name | None = Field(None, description="Runtime, where several tables have that name")
    threads: int | None = Field(None, ge=1, le=4096, description="Threads, where several tables have that name")
    precision: Name | None = Field(None, description="Number format, where several tables have that name")


class NetworkDocument(BaseModel):
    """A network in Lutra's JSON form, as `Network.to_json` writes it."""

    model_config = ConfigDict(extra="allow")

    format: Literal["lutra.network"]
    version: int
    name: str
    inputs: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    outputs: list[str]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, as OpenAPI wants them; those that every route has are added."""
    described = {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}
    common = {status: {"model": Problem, "description": _MEANING[status]} for status in (400, 401, 403, 422, 429)}
    return {
        status: entry | {"content": {"application/problem+json": {}}} for status, entry in (common | described).items()
    }


_MEANING = {
    400: "Not a request that can be read",
    401: "No token, or none that is valid",
    403: "The token's scope is too small, or the request comes from another site",
    404: "No such thing",
    409: "In use, or of another device",
    412: "It has changed since you read it",
    413: "Over the limit on bytes or nodes",
    415: "Content of a kind that is not taken",
    422: "A value that makes no sense, or something that is not possible here",
    429: "Too many requests",
    503: "Not ready",
}
