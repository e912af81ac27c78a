"""``lutra calibrate``: a simulated device fitted to latencies that were measured on the real one."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    echo_json,
    sources_of,
)

if TYPE_CHECKING:
    from ...networks import Network

_COLUMNS = ("network", "latency_ms")


def calibrate(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A simulated CPU: a name, or the path of its .yaml.")],
    samples: Annotated[
        Path,
        typer.Argument(metavar="SAMPLES.csv", help="What was measured: columns network and latency_ms, a line each."),
    ],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="What the calibrated device is called.")],
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="TEXT", help="Where the samples are from; else the file's name."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of a device that was added before.")] = False,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Fit a simulated device to networks that were measured on the real one, and keep it under a name of its own.

    The error that is told is that of networks that were left out of the fit; intervals of predictions follow it.
    """
    from ...networks.errors import NotSupportedError
    from ...networks.lowering import lower
    from ...profiler import resolve_device
    from ...profiler.cpu_sim.calibrate import Sample
    from ...profiler.cpu_sim.calibrate import calibrate as fit
    from ...profiler.cpu_sim.simulator import CpuSimulator
    from ...profiler.hardware import keep_hardware, require_free

    target = resolve_device(device, precision=precision, threads=threads)
    simulator = target.simulator
    if not isinstance(simulator, CpuSimulator):
        raise NotSupportedError(f"{device} is no simulated CPU", hint="name one: lutra devices")
    require_free(name, replace=replace)
    measured = [
        Sample(lower(network, target.runtime, precision=precision), latency_ms)
        for network, latency_ms in _read(samples)
    ]
    told = source or samples.name
    found = fit(simulator.device, measured, source=told, precision=precision, threads=threads)
    kept = keep_hardware(found.device.model_copy(update={"name": name}), replace=replace)
    if as_json:
        calibration = found.device.calibration
        assert calibration is not None
        errors = {"error_before": found.error_before, "error_after": found.error_after}
        echo_json({"device": name, "file": str(kept), **errors, "calibration": calibration.model_dump()})
        return
    typer.echo(
        f"{name}: mean error {found.error_before:.1%} before, {found.error_after:.1%} after on networks left out "
        f"({len(measured)} samples), simulated\nkept in {kept}: lutra predict mobilenet_v2 --device {name}"
    )


def _read(path: Path) -> "list[tuple[Network, float]]":
    """The networks of a file and their latencies in ms.

    Raises:
        TableFileError: the file cannot be read, has other columns, or a latency that is no positive number.
    """
    from ...networks.errors import TableFileError

    hint = "the first line is network,latency_ms, and each other one as in mobilenet_v2,41.5"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restkey="rest"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableFileError(path, f"cannot be read: {error}", hint=hint) from None
    if not rows or set(rows[0]) != set(_COLUMNS):
        raise TableFileError(path, f"has not the columns {' and '.join(_COLUMNS)}", hint=hint)
    found = []
    for number, row in enumerate(rows, start=2):
        if None in row.values() or "rest" in row:
            raise TableFileError(path, "has not two cells", row=number, hint=hint)
        found.append((_network(row["network"]), _positive(path, number, row["latency_ms"], hint)))
    return found


def _network(text: str) -> "Network":
    from ..options import subject_of

    (source,) = sources_of([text], batch=None, resolution=None, input_shapes=None)
    subject = subject_of(source)
    return subject[0] if isinstance(subject, tuple) else subject


def _positive(path: Path, row: int, text: str, hint: str) -> float:
    from ...networks.errors import TableFileError

    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise TableFileError(path, f"{text!r} is no positive number", row=row, column="latency_ms", hint=hint)
    return value
