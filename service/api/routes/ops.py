"""``/v1/ops``, ``/v1/networks``, ``/v1/spaces``: the vocabulary."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import Field

from ...commands.ops import described
from ..paging import PagingOption
from ..schemas import Answer, Page, problems
from .devices import Reading, Server

router = APIRouter(prefix="/v1", tags=["ops"])


class AttributeOut(Answer):
    """An attribute of an op."""

    type: str
    meaning: str
    required: bool
    default: Any = None


class OpOut(Answer):
    """An op that networks may be made of."""

    op: str
    family: str
    summary: str
    attributes: dict[str, AttributeOut]


class NetworkOut(Answer):
    """A network of the zoo."""

    name: str


class DecisionOut(Answer):
    """One number of a code."""

    name: str
    choices: list[str]


class SpaceOut(Answer):
    """A search space."""

    name: str


class SpaceDetails(SpaceOut):
    """A search space with its decisions."""

    size: str = Field(description="Number of architectures, as text: there may be more than numbers of JSON can tell")
    decisions: list[DecisionOut]


@router.get("/ops", response_model=Page[OpOut], responses=problems())
async def list_ops(paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the op catalogue."""
    from ....networks import catalogue

    return paging.page([described(spec) for spec in catalogue()])


@router.get("/ops/{kind}", response_model=OpOut, responses=problems(404))
async def get_op(_: Reading, kind: Annotated[str, InPath(max_length=100)]) -> dict[str, Any]:
    """Show one op."""
    from ....networks import spec_of

    return described(spec_of(kind))


@router.get("/networks", response_model=Page[NetworkOut], responses=problems())
async def list_networks(paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the networks of the zoo."""
    from ....networks import zoo

    return paging.page([{"name": name} for name in zoo.names()])


@router.get("/spaces", response_model=Page[SpaceOut], responses=problems())
async def list_spaces(paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the search spaces."""
    from ....nas import spaces

    return paging.page([{"name": name} for name in spaces.names()])


@router.get("/spaces/{space}", response_model=SpaceDetails, responses=problems(404))
async def get_space(server: Server, _: Reading, space: Annotated[str, InPath(max_length=100)]) -> dict[str, Any]:
    """Show what the numbers of a space's codes decide."""
    found = await server.read(server.knowledge.space, space)
    decisions = [{"name": decision.name, "choices": list(decision.choices)} for decision in found.decisions]
    return {"name": space, "size": str(found.size), "decisions": decisions}
