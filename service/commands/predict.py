"""``lutra predict``: the latency of a network on a device that was profiled."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    EngineOption,
    InputShapesOption,
    JsonOption,
    OptionalNetworksArgument,
    ResolutionOption,
    RuntimeOption,
    ServerOption,
    StoreOption,
    echo_json,
    sources_of,
    split_decimals,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ...networks import Network
    from ...predictors import Prediction
    from ...profiler import Device


def predict(
    context: typer.Context,
    networks: OptionalNetworksArgument = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="FOLDER", help="A saved predictor (lutra fit) instead of --device."),
    ] = None,
    encoding: Annotated[
        list[str] | None,
        typer.Option("--encoding", metavar="N,N...", help="An encoding instead of a network; may be repeated."),
    ] = None,
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
            "--simulate/--no-simulate",
            help="On a simulated device: simulate kernels without a row, instead of interpolating them.",
        ),
    ] = True,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a profiled device: number, interval, and where the time goes.

    A simulated device needs no profile. On a microcontroller's board the machine code of int8 layers is run, with the
    cycles of each, memory, and whether the network fits; a GPU or CPU is a formula, with what bounds each kernel.
    """
    from ...networks.errors import UsageError

    networks = networks or []
    subjects: dict[str, Any] = {"batch": batch, "resolution": resolution, "input_shapes": input_shape}
    given: dict[str, object]
    if server is not None:
        from ..remote import refuse_local

        given = {"--store": store, "--encoding": encoding, "--exact": exact or None, "--engine": engine}
        given |= {"--no-simulate": None if simulate else True}
        refuse_local(given, "the server has a store of its own")
        asked = {"device": device, "model": model, "runtime": runtime, "threads": threads, "precision": precision}
        predictions = _of_server(server, asked, networks, coverage, subjects)
    elif model is not None:
        given = {"--runtime": runtime, "--threads": threads, "--precision": precision}
        given |= {"--store": store, "--exact": exact or None, "--device": None if device == "host" else device}
        given |= {"--engine": engine, "--no-simulate": None if simulate else True}
        if any(value is not None for value in given.values()):
            names = ", ".join(name for name, value in given.items() if value is not None)
            raise UsageError(f"--model and {names}", hint="a saved predictor has its device in it")
        predictions = _asked(model, networks, encoding or [], coverage, subjects)
    elif encoding:
        raise UsageError("an encoding without --model", hint="name a predictor that was fitted to encodings")
    elif not networks:
        raise typer.BadParameter("name a network, such as mobilenet_v2", ctx=context)
    elif _is_simulated(device):
        resolved = _resolved(device, engine, runtime, threads, precision)
        sources = sources_of(networks, **subjects)
        _simulated(resolved, sources, store, as_json, simulate=simulate or exact, coverage=coverage)
        return
    elif engine is not None or not simulate:
        raise UsageError(f"device {device!r} is not simulated", hint="leave --engine and --no-simulate out")
    else:
        wanted: dict[str, object] = {"--device": None if device == "host" else device, "--runtime": runtime}
        wanted |= {"--threads": threads, "--precision": None if precision == "float32" else precision}
        wanted |= {"--batch": batch, "--resolution": resolution, "--store": store}
        command = _profile_command(networks, wanted, input_shape or [])
        setting = {"store": store, "runtime": runtime, "threads": threads, "precision": precision}
        predictions = _of_device(device, setting, networks, coverage, subjects, exact=exact, command=command)
    if as_json:
        echo_json([prediction.to_dict() for prediction in predictions])
        return
    typer.echo("\n\n".join(map(str, predictions)))


def _asked(
    model: str, networks: list[str], encodings: list[str], coverage: float, subjects: dict[str, Any]
) -> "list[Prediction]":
    """What a saved predictor says of networks or encodings."""
    import numpy as np

    from ...networks.errors import UsageError
    from ...predictors import LatencyPredictor

    predictor = LatencyPredictor.load(model)
    if bool(networks) == bool(encodings):
        raise UsageError("networks and encodings" if networks else "nothing to predict", hint="give one of the two")
    if networks:
        return [predictor.explain(source, coverage=coverage) for source in sources_of(networks, **subjects)]
    rows = [np.array(split_decimals(text, "--encoding")) for text in encodings]
    return [predictor.explain(row, coverage=coverage) for row in rows]


def _of_server(
    server: str, asked: dict[str, Any], networks: list[str], coverage: float, subjects: dict[str, Any]
) -> "list[Prediction]":
    """What a server says of networks: from a device's table there, or a saved predictor of that name."""
    from ..client import Client

    with Client(server) as client:
        predictor = client.load_predictor(**asked)
        return [predictor.explain(source, coverage=coverage) for source in sources_of(networks, **subjects)]


def _of_device(
    device: str,
    setting: dict[str, Any],
    networks: list[str],
    coverage: float,
    subjects: dict[str, Any],
    *,
    exact: bool,
    command: str,
) -> "list[Prediction]":
    """What the rows of a device say of networks; ``command`` would measure what they lack."""
    from ...networks.errors import NotCoveredError, UnknownNameError
    from ...predictors import load_predictor

    sources = sources_of(networks, **subjects)
    try:
        predictor = load_predictor(device, **setting)
        if exact:
            predictor.set_params(interpolate=False)
        return [predictor.explain(source, coverage=coverage) for source in sources]
    except NotCoveredError as error:
        if device not in ("host", "null"):  # that has to be done on the device itself
            raise
        hint = f"measure them with: {command}" if error.missing else f"profile it first: {command}"
        raise NotCoveredError(error.message, error.missing, hint=hint) from None
    except UnknownNameError as error:
        if error.what != "device":
            raise
        if device != "null":
            from ...profiler.hardware import described_names

            raise UnknownNameError("device", device, {*error.known, *described_names()}) from None
        hint = f"profile it first: {command}"
        raise NotCoveredError("the null device has not been profiled yet", (), hint=hint) from None


def _is_simulated(device: str) -> bool:
    """Whether the device is simulated; without importing the profiler where the name alone tells."""
    if device in ("host", "null"):
        return False
    from ...profiler import is_simulated

    return is_simulated(device)


def _resolved(
    device: str, engine: str | None, runtime: str | None, threads: int | None, precision: str | None
) -> "Device":
    from ...profiler import resolve_device

    chosen = {} if precision is None else {"precision": precision}
    return resolve_device(device, engine=engine, runtime=runtime, threads=threads or 1, **chosen)


def _simulated(
    device: "Device",
    sources: "list[Network | Path]",
    store: str | None,
    as_json: bool,
    *,
    simulate: bool,
    coverage: float,
) -> None:
    """Predict networks on a simulated device."""
    from ..simulated import simulated_reports

    reports = simulated_reports(device, sources, store=store, simulate=simulate, coverage=coverage)
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
