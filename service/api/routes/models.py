"""``/v1/models``: saved predictors."""

import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import Field

from ..access import Principal, requires
from ..knowledge import Knowledge
from ..paging import PagingOption
from ..schemas import NAME_PATTERN, Answer, Page, problems
from .devices import Reading, Server

router = APIRouter(prefix="/v1/models", tags=["models"])

ModelPath = Annotated[str, InPath(max_length=200, pattern=NAME_PATTERN)]


class ModelOut(Answer):
    """A saved predictor."""

    name: str
    kind: str = Field(description="Kind of predictor, such as table or gnn")
    device: dict[str, Any] = Field(description="What it predicts for")
    training: dict[str, Any] = Field(description="What it was fitted to, and how well")


@router.get("", response_model=Page[ModelOut], responses=problems())
async def list_models(server: Server, paging: PagingOption, _: Reading) -> dict[str, Any]:
    """List the saved predictors."""
    names = await server.read(server.knowledge.model_names)
    shown = names[paging.offset : paging.offset + paging.limit]
    items = [await server.read(_card, server.knowledge, name) for name in shown]
    return paging.page(items, total=len(names))


@router.get("/{model}", response_model=ModelOut, responses=problems(404))
async def get_model(server: Server, _: Reading, model: ModelPath) -> dict[str, Any]:
    """Show one saved predictor."""
    return await server.read(_card, server.knowledge, model)


@router.delete("/{model}", status_code=204, responses=problems(404))
async def delete_model(server: Server, _: Annotated[Principal, Depends(requires("admin"))], model: ModelPath) -> None:
    """Delete a saved predictor."""
    await server.read(_delete, server.knowledge, model)


def _card(knowledge: Knowledge, name: str) -> dict[str, Any]:
    from ....predictors._artifact import read_artifact

    artifact = read_artifact(knowledge.model_folder(name))
    device, training = dict(artifact.device), dict(artifact.training)
    return {"name": name, "kind": artifact.kind, "device": device, "training": training}


def _delete(knowledge: Knowledge, name: str) -> None:
    shutil.rmtree(knowledge.model_folder(name))
