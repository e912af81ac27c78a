"""``lutra calibrate``: a simulated device fitted to latencies that were measured on the real one."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import JsonOption, PrecisionOption, StoreOption, ThreadsOption, echo_json


def calibrate(
    device: Annotated[
        str, typer.Argument(metavar="DEVICE", help="A simulated GPU or CPU: a name, or the path of its .yaml.")
    ],
    samples: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SAMPLES.csv]",
            help="Columns network and latency_ms for a CPU; op, dtype, sizes and latency_us for a GPU.",
        ),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option("--from", metavar="DEVICE", help="Of a GPU: a real one, whose kernels the store has, instead."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What the calibrated device is called.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="TEXT", help="Where the samples are from; else the file's name.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Instead of a device that was added before.")] = False,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = 1,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a simulated device to what was measured on the real one, and keep it under a name of its own.

    A CPU takes five networks or more, a GPU ten kernels or more of a class. Intervals of predictions follow the errors
    of samples that were left out of the fit.
    """
    from ...networks.errors import UsageError
    from ...profiler.hardware import family_of, require_free
    from ..calibration import calibrate_cpu, calibrate_gpu

    kind = family_of(device).kind
    if kind == "board":
        raise UsageError(
            f"{device} is a board, whose factor stands in its file", hint="lutra validate-mcu tells it; docs/mcu.md"
        )
    if (samples is None) == (measured is None) or (measured is not None and kind == "cpu"):
        what = "SAMPLES.csv" if kind == "cpu" else "SAMPLES.csv or --from DEVICE"
        raise UsageError(f"a {kind.upper()} is calibrated with {what}", hint="give one")
    called = name or f"{Path(device).stem}-calibrated"
    require_free(called, replace=replace)
    if kind == "cpu":
        assert samples is not None
        made = calibrate_cpu(
            device, samples, called, source or samples.name, replace=replace, precision=precision, threads=threads
        )
    else:
        made = calibrate_gpu(device, samples, measured, called, replace=replace, store=store)
    if as_json:
        echo_json(made.to_dict())
    else:
        typer.echo(str(made))
