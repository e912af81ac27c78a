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
    ThreadsOption,
    echo_json,
    sources_of,
)


def predict(
    networks: NetworksArgument,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    coverage: Annotated[float, typer.Option("--coverage", help="Probability that the interval is to hold.")] = 0.9,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of networks on a profiled device: number, interval, and where the time goes."""
    from ...predictors import load_predictor

    sources = sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape)
    predictor = load_predictor(device, store=store, runtime=runtime, threads=threads)
    predictions = [predictor.explain(source, coverage=coverage) for source in sources]
    if as_json:
        echo_json([prediction.to_dict() for prediction in predictions])
        return
    typer.echo("\n\n".join(map(str, predictions)))
