"""Jobs that do what ``lutra search`` does."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import Field, model_validator

from ._trying import Tried
from .context import Context
from .fit import PREDICTOR
from .kinds import JOB_KINDS, JobKind, Request
from .sources import JobId, Name, SpaceName

if TYPE_CHECKING:
    from ...luts import Store
    from ...nas.gradient import EpochReport
    from ...profiler import CampaignResult, Plan
    from ..searching.runs import Prepared, Run
    from ..searching.settings import Settings

_FOLDER: Final = "search"


class SearchRequest(Request):
    """What to search for, and within which budgets."""

    space: SpaceName = Field(description="What to search: a space, or one for images of other sizes: fbnet@160.")
    device: Name = Field("host", description="Whose latency: a device of the store, or a board.")
    model: JobId | None = Field(None, description="A fit job, whose predictor is asked instead of the device's table.")
    runtime: Name | None = Field(None, description="Of the device's table.")
    threads: int | None = Field(None, ge=1, description="Of the device's table.")
    precision: Name | None = Field(None, description="Of the device's table.")
    engine: Name | None = Field(None, description="Of a board.")
    max_ms: float | None = Field(None, gt=0, description="Budget: the largest latency allowed.")
    also: dict[Name, float] = Field({}, description="Other devices with budgets of their own, in ms.")
    max_macs: float | None = Field(None, gt=0, description="The most MACs allowed.")
    max_params: float | None = Field(None, gt=0, description="The most parameters allowed.")
    margin: float | None = Field(None, gt=0.5, lt=1, description="Probability that the budget is to be kept.")
    accuracy: Name = Field("macs", description="What is made large: macs, params, or an estimator of accuracy.")
    data: Literal["digits"] | None = Field(None, description="Images, for what learns from some.")
    trade: list[Name] = Field([], description="What is made small beside it.")
    strategy: Name = Field("evolution", description="How to search.")
    parameters: dict[str, bool | int | float | str | None] = Field({}, description="Of the strategy.")
    evaluations: int = Field(1000, ge=1, description="Networks to evaluate.")
    batch: int | None = Field(None, ge=1, description="Networks asked for at once; as the strategy likes it.")
    seed: int = Field(0, ge=0, description="Of all random choices.")
    remeasure: int = Field(0, ge=0, description="Measure so many of the best afterwards, on the worker's machine.")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.model is not None:
            told = [name for name in ("device", "runtime", "threads", "precision", "engine") if getattr(self, name)]
            if told != ["device"] or self.device != "host":
                raise ValueError("a model has its device in it: leave device, runtime, threads, precision, engine out")
            if self.remeasure:
                raise ValueError("networks cannot be measured on a model: leave remeasure out")
        elif self.remeasure and self.device not in ("host", "null"):
            raise ValueError("networks are measured on the worker's own machine: leave remeasure out")
        return self


@JOB_KINDS.register("search")
class SearchJob(JobKind[SearchRequest]):
    """Search a space, and keep the result as files of the job. One that was interrupted goes on where it stopped."""

    request_type = SearchRequest

    @classmethod
    def device_of(cls, request: SearchRequest) -> str | None:
        return request.device if request.remeasure else None

    @classmethod
    def waits_for(cls, request: SearchRequest) -> str | None:
        return request.model

    def run(self, request: SearchRequest, context: Context) -> Mapping[str, Any]:
        from ..searching import runs
        from ..searching.folder import write_files
        from ..searching.measuring import measured
        from ..searching.report import SearchReport
        from ..searching.settings import FILE, Settings

        folder = context.folder / _FOLDER
        known = (folder / FILE).exists()
        prepared = runs.prepare(Settings.load(folder) if known else _settings(request, context), folder)
        folder.mkdir(exist_ok=True)
        prepared.settings.save(folder)
        done = _run(prepared, folder, context)
        told = {"evaluated": len(done.result), "stopped": done.result.stopped}
        if done.result.stopped == "cancelled":
            return told
        report = SearchReport.of(done)
        if request.remeasure:
            report = measured(report, request.remeasure, measure=_measure_for(context))
        for name in write_files(report, folder):
            if name.endswith("/"):
                context.keep_folder(folder / name, name)
            else:
                context.keep(name, (folder / name).read_bytes())
        return report.to_dict() | told


def _settings(request: SearchRequest, context: Context) -> "Settings":
    from ..searching.parameters import require_known
    from ..searching.settings import BOUNDS, SAME, Settings

    require_known(request.strategy, request.parameters)
    model = None
    if request.model is not None:
        model = str(context.fetch_folder(request.model, PREDICTOR, context.folder / "model"))
    bounds = {name: getattr(request, asked) for name, asked in BOUNDS.items()}
    return Settings(
        model=model,
        store=None,  # that of the environment, which a worker's processes share
        trade=tuple(request.trade),
        bounds={name: bound for name, bound in bounds.items() if bound is not None},
        **{name: getattr(request, name) for name in SAME},
    )


def _run(prepared: "Prepared", folder: Path, context: Context) -> "Run":
    from ..searching import gradient, runs

    def epoch(report: "EpochReport") -> None:
        context.event({"event": "epoch", **asdict(report)})

    if gradient.is_kind(prepared.settings.strategy):
        return gradient.train(prepared, folder, epoch, context.cancel)
    return runs.search_in(prepared, folder, None, Tried(prepared, context), context.cancel)


def _measure_for(context: Context) -> Any:
    """Measures as `lutra.service.campaigns.run` does, but tells the job's events."""
    from ..campaigns import measure

    def run(plan: "Plan", store: "Store", **options: Any) -> "CampaignResult":
        return measure(
            plan,
            store,
            wait_s=math.inf,
            events=lambda event: context.event(event.to_dict()),
            cancel=context.cancel,
            **options,
        )

    return run
