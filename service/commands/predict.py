"""``lutra predict``: the latency of a network on a device that was profiled."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    InputShapesOption,
    JsonOption,
    OptionalNetworksArgument,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    echo_json,
    sources_of,
    split_decimals,
)

if TYPE_CHECKING:
    from ...predictors import Prediction


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
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a profiled device: number, interval, and where the time goes."""
    from ...networks.errors import UsageError

    networks = networks or []
    subjects = {"batch": batch, "resolution": resolution, "input_shapes": input_shape}
    if model is not None:
        given: dict[str, object] = {"--runtime": runtime, "--threads": threads, "--precision": precision}
        given |= {"--store": store, "--exact": exact or None, "--device": None if device == "host" else device}
        if any(value is not None for value in given.values()):
            names = ", ".join(name for name, value in given.items() if value is not None)
            raise UsageError(f"--model and {names}", hint="a saved predictor has its device in it")
        predictions = _asked(model, networks, encoding or [], coverage, subjects)
    elif encoding:
        raise UsageError("an encoding without --model", hint="name a predictor that was fitted to encodings")
    elif not networks:
        raise typer.BadParameter("name a network, such as mobilenet_v2", ctx=context)
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
        if error.what != "device" or device != "null":
            raise
        hint = f"profile it first: {command}"
        raise NotCoveredError("the null device has not been profiled yet", (), hint=hint) from None


def _profile_command(networks: list[str], options: dict[str, object], input_shapes: list[str]) -> str:
    """The command that measures what this one lacks."""
    import shlex

    words = ["lutra", "profile", *networks]
    for option, value in options.items():
        words += [] if value is None else [option, str(value)]
    for shape in input_shapes:
        words += ["--input-shape", shape]
    return shlex.join(words)
