"""``/v1/predictions``: the latency of one network, or of very many."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import Field, StringConstraints, ValidationError, model_validator

from ....networks.errors import LutraError, MediaTypeError
from ..access import Principal, known_by_token, requires
from ..knowledge import Setting
from ..predicting import Subject, Wish
from ..schemas import Answer, DeviceSetting, Form, Name, NetworkDocument, Sha256, problems
from ..service import Service
from .devices import Reading, Server


class QuickRoute(APIRoute):
    """Answers what can be answered at once without resolving dependencies, which takes longer than the answer.

    Whatever is out of the ordinary goes the usual way, where all of it is checked again and refused as everywhere.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual_way = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await _at_once(request) or await usual_way(request)

        return handle


router = APIRouter(prefix="/v1/predictions", tags=["predictions"])

Number = Annotated[int, Field(ge=0, le=1_000_000)]
Code = Annotated[list[Number], Field(min_length=1, max_length=1000)]
Coverage = Annotated[float, Field(gt=0, lt=1)]
ModelName = Annotated[Name | None, Field(description="A saved predictor (`/v1/models`) instead of a device's table")]
JSON = "application/json"


class Source(DeviceSetting):
    """A device's table, or a saved predictor."""

    model: ModelName = None

    def source(self) -> Setting | str:
        """What is asked."""
        if self.model is not None:
            return self.model
        return Setting(self.device, self.runtime, self.threads, self.precision)


ZooName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\w.-]+(/\d{1,9})?$")]
AnyNetwork = ZooName | NetworkDocument


class NetworkChoice(Form):
    """A network: a name of the zoo, or a document."""

    network: AnyNetwork = Field(description="A name of the zoo (`/v1/networks`), or a network in Lutra's JSON form")
    batch: int | None = Field(None, ge=1, le=65536, description="Batch size, for a name of the zoo")
    resolution: int | None = Field(None, ge=1, le=65536, description="Input resolution, for a name of the zoo")

    def subject(self) -> Subject:
        """What is to be predicted."""
        if isinstance(self.network, NetworkDocument):
            return Subject(document=self.network.model_dump())
        given = {"batch": self.batch, "resolution": self.resolution}
        options = tuple((name, value) for name, value in given.items() if value is not None)
        return Subject(zoo=self.network, options=options)


class PredictionIn(Source):
    """One network, by exactly one of `network`, `upload`, and `code` with `space`."""

    network: AnyNetwork | None = Field(
        None, description="A name of the zoo (`/v1/networks`), or a network in Lutra's JSON form"
    )
    batch: int | None = Field(None, ge=1, le=65536, description="Batch size, for a name of the zoo")
    resolution: int | None = Field(None, ge=1, le=65536, description="Input resolution, for a name of the zoo")
    upload: Sha256 | None = Field(None, description="Id of an uploaded file (`/v1/uploads`)")
    code: Code | None = Field(None, description="Numbers of one architecture of `space`")
    space: Name | None = Field(None, description="A search space (`/v1/spaces`)")
    coverage: Coverage = Field(0.9, description="Probability that the interval is to hold")
    detail: bool = Field(True, description="With the split by kernel; without it, codes are answered quickest")
    exact: bool = Field(False, description="Refuse what has kernels without a row, instead of judging them")

    @model_validator(mode="after")
    def _one_subject(self) -> "PredictionIn":
        given = [self.network is not None, self.upload is not None, self.code is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of network, upload and code")
        if (self.code is None) != (self.space is None):
            raise ValueError("code and space go together")
        if not isinstance(self.network, str) and (self.batch is not None or self.resolution is not None):
            raise ValueError("batch and resolution are for names of the zoo")
        return self

    def subject(self) -> Subject:
        """What is to be predicted."""
        if self.network is not None:
            return NetworkChoice.model_construct(
                network=self.network, batch=self.batch, resolution=self.resolution
            ).subject()
        return Subject(upload=self.upload, code=None if self.code is None else tuple(self.code), space=self.space)


class BatchIn(Source):
    """Many networks: codes of one space, or networks."""

    space: Name | None = None
    codes: list[Code] | None = Field(None, min_length=1, description="Architectures of `space`")
    networks: list[NetworkChoice] | None = Field(None, min_length=1, max_length=1000)
    coverage: Coverage | None = Field(0.9, description="Of the intervals; null for none")

    @model_validator(mode="after")
    def _one_kind(self) -> "BatchIn":
        if (self.codes is None) == (self.networks is None):
            raise ValueError("give either codes or networks")
        if (self.codes is None) != (self.space is None):
            raise ValueError("codes and space go together")
        return self


class OnnxQuery(DeviceSetting):
    """Whom a file is predicted for."""

    coverage: Coverage = Field(0.9, description="Probability that the interval is to hold")


class PartOut(Answer):
    """One kernel of the network, with all its occurrences."""

    label: str
    count: int
    latency_us: float
    share: float
    source: Literal["measured", "interpolated", "extrapolated"]
    rel_halfwidth: float | None


class PredictionOut(Answer):
    """A latency with how sure it is, and where the time goes."""

    network: str
    device: str
    runtime: str
    threads: int
    latency_ms: float
    low_ms: float
    high_ms: float
    coverage: float
    parts: list[PartOut] | None = Field(description="Null without detail")
    overhead_us: float | None
    simulated: bool
    extrapolated: bool
    notes: list[str] | None
    measured_share: float | None
    interpolated_share: float | None
    extrapolated_share: float | None
    table: str = Field(description="Changes whenever what it was predicted from does")


class BatchOut(Answer):
    """Latencies of many networks, in the order of the request."""

    device: str
    latencies_ms: list[float]
    low_ms: list[float] | None
    high_ms: list[float] | None
    coverage: float | None
    simulated: bool
    table: str


async def predict(server: Server, _: Reading, body: PredictionIn) -> Response:
    """Predict one network: latency, interval, and the time of each kernel."""
    wish = Wish(body.coverage, body.detail, body.exact)
    answer = await server.read(server.predicting.answer, body.source(), body.subject(), wish)
    server.metrics.predicted("single", 1)
    return Response(answer, media_type=JSON)


router.add_api_route(
    "",
    predict,
    methods=["POST"],
    response_model=PredictionOut,
    responses=problems(404, 409, 413),
    route_class_override=QuickRoute,
)


async def _at_once(request: Request) -> Response | None:
    """What `predict` answers, where that takes no looking up; None where it does, or where anything is amiss."""
    server: Service = request.app.state.service
    principal = known_by_token(request, "read")
    if principal is None or request.headers.get("content-type") != JSON:
        return None
    content = await request.body()  # which the usual way finds again
    try:
        body = PredictionIn.model_validate_json(content)
        wish = Wish(body.coverage, body.detail, body.exact)
        answer = server.predicting.at_once(body.source(), body.subject(), wish)
    except (ValidationError, LutraError):
        return None
    if answer is None:
        return None
    server.ordinary.take(principal.id)
    server.metrics.predicted("single", 1)
    return Response(answer, media_type=JSON)


@router.post("/batch", response_model=BatchOut, responses=problems(404, 409, 413))
async def predict_batch(server: Server, _: Reading, body: BatchIn) -> Response:
    """Predict many architectures of a search space, or several networks, in one request."""
    if body.codes is not None:
        assert body.space is not None  # validated together
        server.require_batch(len(body.codes))
        found = await server.read(server.predicting.latencies, body.source(), body.space, body.codes, body.coverage)
    else:
        subjects = [choice.subject() for choice in body.networks or ()]
        server.require_batch(len(subjects))
        found = await server.read(server.predicting.networks, body.source(), subjects, body.coverage)
    server.metrics.predicted("batch", len(found["latencies_ms"]))
    return JSONResponse(found)


@router.post(
    "/onnx",
    response_model=PredictionOut,
    responses=problems(404, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def predict_onnx(
    server: Server,
    request: Request,
    _: Annotated[Principal, Depends(requires("read", heavy=True))],
    asked: Annotated[OnnxQuery, Query()],
) -> Response:
    """Predict an ONNX file, whose bytes are the request's body. It is not kept."""
    require_bytes(request)
    part = await server.uploads.receive(request.stream())
    network = await server.parse(server.uploads.read_once, part)
    source = Setting(asked.device, asked.runtime, asked.threads, asked.precision)
    answer = await server.read(server.predicting.of_network, source, network, Wish(asked.coverage))
    server.metrics.predicted("single", 1)
    return Response(answer, media_type=JSON)


def require_bytes(request: Request) -> None:
    """Refuse a body that is not plain bytes.

    Raises:
        MediaTypeError: it is a form, or compressed.
    """
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind.startswith("multipart/") or kind == "application/x-www-form-urlencoded":
        raise MediaTypeError(f"a body of type {kind}", hint="send the file itself: application/octet-stream")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise MediaTypeError(f"a body in the encoding {encoding[:40]}", hint="send it uncompressed")
