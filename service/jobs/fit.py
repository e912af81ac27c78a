"""Jobs that do what ``lutra fit`` does."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from .context import Context
from .kinds import JOB_KINDS, JobKind, Request
from .reading import HasFiles, write_files
from .sources import Columns, Name, SpaceName, require_columns, write_columns

if TYPE_CHECKING:
    from ...luts import Table

PREDICTOR: Final = "predictor/"
"""What the names of a predictor's files begin with."""


class FitRequest(Request):
    """What to learn from: samples, a table, or networks that are chosen and measured for it."""

    data: Annotated[Columns, AfterValidator(require_columns)] | None = Field(
        None, description="Samples by columns: latencies, and networks or numbers that stand for them."
    )
    table: Name | None = Field(None, description="Device in the store whose table joins in.")
    device: Name | None = Field(None, description="What to call the device; with `samples`, what is measured.")
    samples: int | None = Field(None, ge=1, description="Choose so many networks, measure them, and learn from those.")
    space: SpaceName | None = Field(None, description="With `samples`: the space of the networks.")
    sources: list[Name] = Field([], description="With `samples`: columns or devices with latencies on other devices.")
    costs: list[Name] = Field([], description="With `samples`: columns that are counted, as MACs.")
    latency: Name | None = Field(None, description="Column of latencies, ending in its unit; latency_ms.")
    networks: Name | None = Field(None, description="Column of networks; `network` if there is one.")
    encoding: list[Name] = Field([], description="Columns of numbers; all others if omitted.")
    models: list[Name] = Field([], description="Which to compare; all that can if omitted.")
    test_share: float = Field(0.2, gt=0, lt=1, description="Share of the samples that the models are judged by.")
    coverage: float = Field(0.9, gt=0, lt=1, description="Probability that the intervals are to hold.")
    seed: int = Field(0, ge=0, description="Of the split and of the training.")
    runtime: Name | None = Field(None, description="Of the device.")
    threads: int | None = Field(None, ge=1, description="Of the device.")
    precision: Name | None = Field(None, description="Of the device.")
    new_table: bool = Field(False, description="With `samples`: where the machine has changed, begin a new table.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.samples is None and self.data is None and self.table is None:
            raise ValueError("give data, a table, or a number of samples to measure")
        without = ("space", "sources", "costs", "new_table")
        unmeant = without if self.samples is None else ("table", "latency", "models", "test_share", "coverage")
        # A request is stored with its defaults, and checked again by who takes it: those say nothing.
        if told := [name for name in unmeant if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(
                f"{', '.join(told)} does not apply {'without' if self.samples is None else 'with'} samples"
            )
        return self


@JOB_KINDS.register("fit")
class FitJob(JobKind[FitRequest]):
    """Fit predictors, and keep the best as files of the job."""

    request_type = FitRequest

    @classmethod
    def device_of(cls, request: FitRequest) -> str | None:
        return None if request.samples is None else request.device or "host"

    def run(self, request: FitRequest, context: Context) -> Mapping[str, Any]:
        data = None
        if request.data is not None:
            data = context.folder / "data.parquet"
            write_columns(request.data, data)
        if request.samples is not None:
            return _fit_new(request, request.samples, data, context)
        return _fit(request, data, context)


def fetch_predictor(queue: HasFiles, job_id: str, folder: str, *, overwrite: bool) -> Path:
    """Save the predictor that a fit job left in a folder of this machine, which is returned.

    Args:
        queue: where the job is.
        job_id: one that succeeded.
        folder: is made.
        overwrite: replace an earlier predictor there.

    Raises:
        LutraError: the files cannot be had, are damaged, or cannot be written.
    """
    from ...predictors._artifact import read_artifact, write_artifact

    with tempfile.TemporaryDirectory() as there:
        write_files(queue, job_id, Path(there), PREDICTOR)
        return write_artifact(read_artifact(there), folder, overwrite=overwrite)


def _fit(request: FitRequest, data: Path | None, context: Context) -> dict[str, Any]:
    from ..fitting import fit_best, samples_of

    table, device = None, request.device
    if request.table is not None:
        table, device = _table(request, context)
    fitted = fit_best(
        samples_of(data, table, latency=request.latency, networks=request.networks, encoding=request.encoding),
        device or "unnamed device",
        table,
        kinds=request.models,
        test_share=request.test_share,
        coverage=request.coverage,
        seed=request.seed,
    )
    context.keep_folder(fitted.predictor.save(context.folder / PREDICTOR, overwrite=True), PREDICTOR)
    return fitted.to_dict()


def _table(request: FitRequest, context: Context) -> "tuple[Table, str]":
    """The table that joins in, and what to call its device."""
    from ...predictors import TablePredictor, load_predictor

    assert request.table is not None
    found = load_predictor(
        request.table,
        store=context.store,
        runtime=request.runtime,
        threads=request.threads,
        precision=request.precision,
    )
    assert isinstance(found, TablePredictor)  # of a name in the store it is
    return found.table, request.device or found.device


def _fit_new(request: FitRequest, samples: int, data: Path | None, context: Context) -> dict[str, Any]:
    from ..campaigns import measure
    from ..fitting import NewDevice
    from ..offers import Offer

    device = context.resolve_device(
        request.device or "host",
        runtime=request.runtime,
        threads=request.threads or 1,
        precision=request.precision or "float32",
    )
    offer = Offer(
        file=None if data is None else str(data),
        space=request.space,
        networks=request.networks,
        encoding=request.encoding,
        sources=request.sources,
        costs=request.costs,
    )
    chosen = NewDevice.choose(device, offer, samples, context.store, seed=request.seed)
    result = measure(
        chosen.plan,
        context.store,
        new_table=request.new_table,
        wait_s=math.inf,
        events=lambda event: context.event(event.to_dict()),
        cancel=context.cancel,
    )
    told = {"failed": result.failed, "noisy": result.noisy, "interrupted": result.interrupted}
    if result.interrupted:
        return told
    found = chosen.learn(result)
    context.keep_folder(chosen.predictor.save(context.folder / PREDICTOR, overwrite=True), PREDICTOR)
    return found.to_dict() | told
