"""``lutra predict``: the latency of a network on a device that was profiled."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    EngineOption,
    InputShapesOption,
    JsonOption,
    NetworksArgument,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    echo_json,
    sources_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ...networks import Network
    from ...profiler import Device


def predict(
    networks: NetworksArgument,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", "-t", metavar="N", help="Threads the runtime may use; if omitted 1 for the host, else any."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="NAME",
            help="Number format: float32 or int8; if omitted float32 for the host, else any.",
        ),
    ] = None,
    coverage: Annotated[
        float, typer.Option("--coverage", metavar="P", help="Probability that the interval is to hold.")
    ] = 0.9,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Refuse what has kernels without a row, instead of judging them by their like."),
    ] = False,
    engine: EngineOption = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate/--no-simulate", help="On a board: simulate layers without a row, instead of interpolating them."
        ),
    ] = True,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a profiled device: number, interval, and where the time goes.

    A microcontroller's board needs no profile: the machine code of its int8 layers is simulated, with the cycles of
    each, memory, and whether the network fits.
    """
    from ...networks.errors import NotCoveredError, UnknownNameError, UsageError
    from ...predictors import load_predictor

    sources = sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape)
    if _is_board(device):
        resolved = _resolved(device, engine, runtime, threads)
        _on_board(resolved, sources, store, as_json, simulate=simulate or exact, coverage=coverage)
        return
    if engine is not None or not simulate:
        raise UsageError(f"device {device!r} is not simulated", hint="leave --engine and --no-simulate out")
    wanted: dict[str, object] = {"--device": None if device == "host" else device, "--runtime": runtime}
    wanted |= {"--threads": threads, "--precision": None if precision == "float32" else precision, "--batch": batch}
    wanted |= {"--resolution": resolution, "--store": store}
    command = _profile_command(networks, wanted, input_shape or [])
    try:
        predictor = load_predictor(device, store=store, runtime=runtime, threads=threads, precision=precision)
        if exact:
            predictor.set_params(interpolate=False)
        predictions = [predictor.explain(source, coverage=coverage) for source in sources]
    except NotCoveredError as error:
        if device not in ("host", "null"):  # that has to be done on the device itself
            raise
        hint = f"measure them with: {command}" if error.missing else f"profile it first: {command}"
        raise NotCoveredError(error.message, error.missing, hint=hint) from None
    except UnknownNameError as error:
        if error.what != "device" or device != "null":
            raise
        hint = f"profile it first: {command}"
        raise NotCoveredError("the null device has not been profiled yet", (), hint=hint) from None
    if as_json:
        echo_json([prediction.to_dict() for prediction in predictions])
        return
    typer.echo("\n\n".join(map(str, predictions)))


def _is_board(device: str) -> bool:
    """Whether the device is simulated; without importing the profiler where the name alone tells."""
    if device in ("host", "null"):
        return False
    from ...profiler import is_simulated

    return is_simulated(device)


def _resolved(device: str, engine: str | None, runtime: str | None, threads: int | None) -> "Device":
    from ...profiler import resolve_device

    return resolve_device(device, engine=engine, runtime=runtime, threads=threads or 1)


def _on_board(
    device: "Device",
    sources: "list[Network | Path]",
    store: str | None,
    as_json: bool,
    *,
    simulate: bool,
    coverage: float,
) -> None:
    """Predict networks on a simulated board."""
    from ..boards import board_reports

    reports = board_reports(device, sources, store=store, simulate=simulate, coverage=coverage)
    if as_json:
        echo_json([report.to_dict() for report in reports])
        return
    typer.echo("\n\n".join(map(str, reports)))


def _profile_command(networks: list[str], options: dict[str, object], input_shapes: list[str]) -> str:
    """The command that measures what this one lacks."""
    import shlex

    words = ["lutra", "profile", *networks]
    for option, value in options.items():
        words += [] if value is None else [option, str(value)]
    for shape in input_shapes:
        words += ["--input-shape", shape]
    return shlex.join(words)
