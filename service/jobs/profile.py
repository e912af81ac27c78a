"""Jobs that do what ``lutra profile`` does."""

import math
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from .context import Context
from .kinds import JOB_KINDS, JobKind, Request
from .sources import Name, NetworkSource, SpaceName, networks_of, space_named


class ProfileRequest(Request):
    """What to measure, on what, and how carefully."""

    networks: list[NetworkSource] = Field([], description="Names of the zoo, or networks in Lutra's JSON form.")
    spaces: list[SpaceName] = Field([], description="Search spaces all of whose kernels are wanted.")
    device: Name = Field("host", description="What is measured; a worker takes jobs of its own devices only.")
    engine: Name | None = Field(None, description="What runs networks on a board: lean or tflm-like.")
    runtime: Name | None = Field(None, description="What runs the networks; the best one installed if omitted.")
    threads: int = Field(1, ge=1, description="Threads that the runtime may use.")
    precision: Name = Field("float32", description="Number format to run in.")
    cache: Name = Field("cold-weights", description="What a kernel finds in the caches.")
    check: bool = Field(True, description="Measure the whole networks among the kernels too.")
    check_networks: int = Field(8, ge=0, description="Random networks of each space to measure whole.")
    budget_s: float | None = Field(None, gt=0, description="Stop in time, the most informative first.")
    target_error: float | None = Field(None, gt=0, lt=1, description="Stop where interpolation is as good as that.")
    fresh: bool = Field(False, description="Measure again what the table has already.")
    new_table: bool = Field(False, description="Where the machine has changed, begin a new table.")
    batch: int | None = Field(None, ge=1, description="Batch size of networks of the zoo.")
    resolution: int | None = Field(None, ge=1, description="Input resolution of networks of the zoo.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.networks and not self.spaces:
            raise ValueError("name a network or a space")
        return self


@JOB_KINDS.register("profile")
class ProfileJob(JobKind[ProfileRequest]):
    """Measure kernels, and build a device's table. A job that was killed goes on where it stopped."""

    request_type = ProfileRequest
    self_contained = True

    @classmethod
    def device_of(cls, request: ProfileRequest) -> str | None:
        return request.device

    def run(self, request: ProfileRequest, context: Context) -> Mapping[str, Any]:
        from ..campaigns import measure
        from ..profiling import document, work_of

        device = context.resolve_device(
            request.device,
            runtime=request.runtime,
            threads=request.threads,
            precision=request.precision,
            cache=request.cache,
            engine=request.engine,
        )
        work = work_of(
            device,
            networks_of(request.networks, batch=request.batch, resolution=request.resolution),
            [space_named(name) for name in request.spaces],
            check=request.check,
            check_networks=request.check_networks,
        )
        result = measure(
            work.plan,
            context.store,
            fresh=request.fresh,
            new_table=request.new_table,
            wait_s=math.inf,  # somebody who profiles by hand has the device for a while
            budget_s=request.budget_s,
            target_error=request.target_error,
            events=lambda event: context.event(event.to_dict()),
            cancel=context.cancel,
        )
        return document(result, work, work.compared(result)) | {"digest": device.fingerprint.digest}
