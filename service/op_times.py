"""What single ops take on a simulated device."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..networks.ops import Op
    from ..profiler import Device
    from ..profiler.simulation import Simulator


@dataclass(frozen=True)
class OpTime:
    """An op of the catalogue on a simulated device.

    Attributes:
        op: its kind.
        example: the op with its shapes.
        latency_us: simulated, in us; None where the device does not run it.
        bound: what bounds it, or why it does not run; "" where the simulator does not say.
        simulated: always true.
    """

    op: str
    example: str
    latency_us: float | None
    bound: str
    simulated: bool = True


def op_times(
    name: str, runtime: str | None, threads: int, precision: str, *, kind: str | None
) -> "tuple[Device, list[OpTime]]":
    """What all examples of one op, or the first of each op, take on a simulated device.

    Raises:
        NotSupportedError: the device is not simulated.
        UnknownNameError: no such device or op.
    """
    from ..networks import catalogue, spec_of
    from ..networks.errors import NotSupportedError
    from ..profiler import resolve_device

    device = resolve_device(name, runtime=runtime, threads=threads, precision=precision)
    if device.simulator is None:
        raise NotSupportedError(f"{name} is not simulated", hint="leave --device out, or name a simulated device")
    examples = spec_of(kind).examples() if kind else [next(iter(spec.examples())) for spec in catalogue()]
    return device, [_timed(op, device, device.simulator) for op in examples]


def _timed(op: "Op", device: "Device", simulator: "Simulator") -> OpTime:
    from ..networks import NetworkBuilder
    from ..networks.errors import LutraError
    from ..networks.lowering import lower
    from ..profiler.simulation import simulated_row

    builder = NetworkBuilder(op.kind)
    outputs = builder.ops(op.kind, *(builder.input(t.shape, t.dtype) for t in op.inputs), **op.attributes)
    try:
        lowered = lower(builder.build(*outputs), device.runtime, precision=device.precision, threads=device.threads)
    except LutraError as error:
        return OpTime(op.kind, op.key, None, error.message)
    rows = [simulated_row(simulator, kernel) for kernel in lowered.kernels]
    failed = next((row.reason for row in rows if row.status == "failed"), "")
    if failed:
        return OpTime(op.kind, op.key, None, failed)
    times = [(row.latency_ns or 0.0, str(row.conditions.get("bound", ""))) for row in rows]
    _, bound = max(times, default=(0.0, "nothing: only renames memory"))
    return OpTime(op.kind, op.key, sum(ns for ns, _ in times) / 1e3, bound)
