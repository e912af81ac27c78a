"""Adding rows to tables, some at a time: what agents send as they measure."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from ....luts import Measurement
from ....luts.table import ALIASES_DOCUMENT
from ....networks.errors import UsageError
from ..schemas import Answer, Form, problems
from ..service import Service
from .devices import DevicePath, Profiling, Server

router = APIRouter(prefix="/v1/tables", tags=["tables"])

_MOST_ROWS = 256
_MOST_DOCUMENTS = 20


class RowsIn(Form):
    """Rows of one device."""

    rows: list[dict[str, Any]] = Field(
        default_factory=list, max_length=_MOST_ROWS, description="Each as `Measurement.to_dict` writes it, with samples"
    )
    documents: dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], dict[str, Any]] = Field(
        default_factory=dict, max_length=_MOST_DOCUMENTS, description="What is known of the device beside its rows"
    )


class RowsOut(Answer):
    """What became of rows."""

    taken: int = Field(description="How many there are; each took the place of an earlier one of its subject")


@router.post("/{device}/rows", response_model=RowsOut, responses=problems(404))
async def add_rows(server: Server, _: Profiling, device: DevicePath, body: RowsIn) -> dict[str, Any]:
    """Write rows into a device's table in place of earlier ones of the same subjects: all of them, or none."""
    taken = await server.read(_written, server, device, body)
    server.notice()
    return {"taken": taken}


def _written(server: Service, device: str, body: RowsIn) -> int:
    rows = [_row(document) for document in body.rows]
    record = server.store.device(device)
    with server.store.transaction():
        server.store.record_many(record, rows, replace=True)
        for name, value in body.documents.items():
            if name == ALIASES_DOCUMENT:  # each machine of this kind knows those of the networks that it has measured
                value = _united(server.store.document(record, name), value)
            server.store.set_document(record, name, value)
    return len(rows)


def _row(document: dict[str, Any]) -> Measurement:
    try:
        return Measurement.from_dict(document)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        where = f"{document.get('subject_kind')} {document.get('subject_key')}"[:200]
        raise UsageError(
            f"the row {where} makes no sense: {error}", hint="send what Measurement.to_dict gives"
        ) from None


def _united(held: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    from ....networks.lowering import Aliases

    known = Aliases() if held is None else Aliases.from_json(held)
    known.units.update(Aliases.from_json(new).units)
    return known.to_json()
