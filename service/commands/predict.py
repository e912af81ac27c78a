"""``lutra predict``: the latency of a network on a device that was profiled."""

from typing import Annotated

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    InputShapesOption,
    JsonOption,
    NetworksArgument,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    echo_json,
    sources_of,
)


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
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a profiled device: number, interval, and where the time goes."""
    from ...networks.errors import NotCoveredError, UnknownNameError
    from ...predictors import load_predictor

    sources = sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape)
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


def _profile_command(networks: list[str], options: dict[str, object], input_shapes: list[str]) -> str:
    """The command that measures what this one lacks."""
    import shlex

    words = ["lutra", "profile", *networks]
    for option, value in options.items():
        words += [] if value is None else [option, str(value)]
    for shape in input_shapes:
        words += ["--input-shape", shape]
    return shlex.join(words)
