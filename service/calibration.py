"""Calibrations from files and from the store: what was measured, read with care, and the fitted device kept."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .options import sources_of, subject_of

if TYPE_CHECKING:
    from ..networks import Network
    from ..profiler.gpu_sim.ops import GpuOp

_NETWORKS: Final = ("network", "latency_ms")
_NETWORKS_HINT: Final = "the first line is network,latency_ms, and each other one as in mobilenet_v2,41.5"
_KERNELS: Final = ("op", "dtype", "sizes", "latency_us")
_KERNELS_HINT: Final = (
    "the first line is op,dtype,sizes,latency_us, and each other one as in linear,fp16,1x512x512x64,8.1"
)


@dataclass(frozen=True)
class Made:
    """A device that was fitted and kept.

    Attributes:
        device: its name.
        file: where it is kept.
        samples: how many it was fitted on.
        error_before: mean relative error of the samples before.
        error_after: the same afterwards; of samples that were left out, where ``held_out``.
        held_out: the error afterwards is of samples that the fit did not see.
        simulated: always true.
    """

    device: str
    file: str
    samples: int
    error_before: float
    error_after: float
    held_out: bool
    simulated: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        left_out = "on samples left out" if self.held_out else "on the same samples"
        return (
            f"{self.device}, simulated: mean error {self.error_before:.1%} before, {self.error_after:.1%} after "
            f"{left_out} ({self.samples} samples)\n"
            f"kept in {self.file}: lutra predict mobilenet_v2 --device {self.device}"
        )


def calibrate_cpu(
    device: str, samples: Path, name: str, source: str, *, replace: bool, precision: str, threads: int
) -> Made:
    """Fit a simulated CPU to the networks of a file, and keep it.

    Raises:
        TableFileError: the file cannot be read, has other columns, or a latency that is no positive number.
        UsageError: too few samples, or latencies that seem to be in another unit.
    """
    from ..networks.lowering import lower
    from ..profiler import resolve_device
    from ..profiler.cpu_sim.calibrate import Sample, calibrate
    from ..profiler.cpu_sim.device import CPUS
    from ..profiler.hardware import keep_hardware

    runtime = resolve_device(device, precision=precision, threads=threads).runtime
    measured = [
        Sample(lower(_network(row["network"]), runtime, precision=precision), latency_ms)
        for row, latency_ms in _rows(samples, _NETWORKS, _NETWORKS_HINT)
    ]
    found = calibrate(CPUS.of(device), measured, source=source, precision=precision, threads=threads)
    kept = keep_hardware(found.device.model_copy(update={"name": name}), replace=replace)
    return Made(name, str(kept), len(measured), found.error_before, found.error_after, held_out=True)


def calibrate_gpu(
    device: str, samples: Path | None, measured: str | None, name: str, *, replace: bool, store: str | None
) -> Made:
    """Fit a simulated GPU to the kernels of a file, or of a real GPU in the store, and keep it.

    Raises:
        TableFileError: the file cannot be read, or a line is no kernel.
        UsageError: no class has enough samples.
        NotCoveredError: the device in the store has no kernels of CUDA.
    """
    import numpy as np

    from ..profiler.descriptions import CALIBRATION_SUFFIX
    from ..profiler.gpu_sim.calibrate import calibrate
    from ..profiler.gpu_sim.device import GPUS
    from ..profiler.gpu_sim.model import GpuModel
    from ..profiler.hardware import keep_hardware

    gpu = GPUS.of(device).model_copy(update={"name": name})
    pairs = list(_kernels(samples) if samples is not None else _stored(measured or "", store))
    ops, known = [op for op, _ in pairs], np.array([ns for _, ns in pairs])
    calibration = calibrate(gpu, ops, known)
    used = np.array([_is_in(op, gpu, calibration.parts) for op in ops])
    before = GpuModel(gpu).estimate(ops).latency_ns[used] / known[used]
    after = GpuModel(gpu, calibration=calibration).estimate(ops).latency_ns[used] / known[used]
    kept = keep_hardware(gpu, replace=replace)
    calibration.save(kept.with_suffix(CALIBRATION_SUFFIX))
    off, left = (float(np.mean(np.abs(ratio - 1))) for ratio in (before, after))
    return Made(name, str(kept), int(used.sum()), off, left, held_out=False)


def _is_in(op: "GpuOp", gpu: Any, parts: Any) -> bool:
    from ..profiler.gpu_sim.constants import part_of

    return part_of(op.op_class, op.dtype, gpu) in parts


def _kernels(path: Path) -> "Iterator[tuple[GpuOp, float]]":
    """The kernels of a file, with their latencies in ns."""
    from ..networks.errors import LutraError, TableFileError
    from ..profiler.gpu_sim.ops import CLASSES, GpuOp

    for number, (row, latency_us) in enumerate(_rows(path, _KERNELS, _KERNELS_HINT), start=2):
        try:
            sizes = tuple(int(size) for size in row["sizes"].split("x"))
            if row["op"] not in CLASSES:
                raise ValueError(f"op is {row['op']!r}, none of {', '.join(CLASSES)}")
            op = GpuOp(row["op"], row["dtype"], sizes)  # type: ignore[arg-type]  # checked by GpuOp
        except (ValueError, LutraError) as error:
            raise TableFileError(path, str(error), row=number, hint=_KERNELS_HINT) from None
        yield op, 1e3 * latency_us


def _stored(name: str, store: str | None) -> "Iterator[tuple[GpuOp, float]]":
    """The kernels of a real GPU in the store that are one op of the model, with their latencies in ns."""
    from ..networks.errors import NotCoveredError
    from ..networks.lowering import Kernel
    from ..networks.lowering.cuda import RUNTIME
    from ..profiler.gpu_sim.describe import ops_of
    from .stores import open_store, record_of, require_store

    with open_store(store) as opened:
        record = record_of(require_store(opened), name, None)
        table = require_store(opened).table(record)
    if record.fingerprint.runtime_name != RUNTIME or record.fingerprint.kind != "real":
        raise NotCoveredError(
            f"{name} is no real GPU that was measured", (), hint=f"profile one: lutra profile --runtime {RUNTIME}"
        )
    for row in table:
        if row.subject_kind == "kernel" and row.status == "ok" and row.spec and row.latency_ns:
            ops = ops_of(Kernel.from_json(row.spec))
            if len(ops) == 1:
                yield ops[0], float(row.latency_ns)


def _rows(path: Path, columns: tuple[str, ...], hint: str) -> Iterator[tuple[dict[str, str], float]]:
    """The lines of a file with these columns, the last of which is a latency.

    Raises:
        TableFileError: the file cannot be read, has other columns, or a latency that is no positive number.
    """
    from ..networks.errors import TableFileError

    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restkey="rest"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableFileError(path, f"cannot be read: {error}", hint=hint) from None
    if not rows or not set(columns) <= set(rows[0]):
        raise TableFileError(path, f"has not the columns {', '.join(columns)}", hint=hint)
    for number, row in enumerate(rows, start=2):
        if None in row.values() or "rest" in row:
            raise TableFileError(path, "has not as many cells as the first line", row=number, hint=hint)
        yield row, _positive(path, number, columns[-1], row[columns[-1]], hint)


def _positive(path: Path, row: int, column: str, text: str, hint: str) -> float:
    from ..networks.errors import TableFileError

    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise TableFileError(path, f"{text!r} is no positive number", row=row, column=column, hint=hint)
    return value


def _network(text: str) -> "Network":
    (source,) = sources_of([text], batch=None, resolution=None, input_shapes=None)
    subject = subject_of(source)
    return subject[0] if isinstance(subject, tuple) else subject
