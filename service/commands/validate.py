"""``lutra validate``: predict and measure networks side by side."""

from typing import Annotated

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    InputShapesOption,
    JsonOption,
    NetworksArgument,
    PrecisionOption,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    ThreadsOption,
    echo_json,
    sources_of,
    subject_of,
)


def validate(
    networks: NetworksArgument,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    precision: PrecisionOption = "float32",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure kernels again that the table has already.")] = False,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict and measure networks side by side: MAPE, share within 5 % and 10 %, rank correlations.

    Kernels that the table lacks are measured first; whole networks are always measured anew.
    """
    from ...predictors import TablePredictor
    from ...profiler import make_plan, resolve_device
    from .. import campaigns
    from ..reports import comparison
    from ..stores import open_store, require_store

    target = resolve_device(device, runtime=runtime, threads=threads, precision=precision)
    sources = sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape)
    work = make_plan(target, map(subject_of, sources), check=True)
    with open_store(store, read_only=False, create=True) as opened:
        result = campaigns.run(work, require_store(opened), fresh=fresh, recheck=True)
        location = require_store(opened).location
    campaigns.summarise(result, location)
    if result.interrupted:
        raise typer.Exit(5)
    assert result.table is not None
    compared = comparison(TablePredictor(result.table), sources, work)
    if as_json:
        echo_json(compared.to_dict())
    else:
        typer.echo(compared)
    if compared.missing:
        raise typer.Exit(1)
