"""``lutra validate``: predict and measure networks side by side."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BatchOption,
    DeviceOption,
    InputShapesOption,
    JsonOption,
    PrecisionOption,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    echo_json,
    sources_of,
    split_names,
    split_numbers,
    subject_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ...luts import Store
    from ...networks import Network
    from ...profiler import Device
    from ..reports import Validation


def validate(
    networks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NETWORK]...", help="Names from the zoo (* matches any), .onnx files, or .json files."),
    ] = None,
    more: Annotated[
        str | None,
        typer.Option("--networks", "-n", metavar="NAMES", help="The same, separated by commas; 'zoo' is all names."),
    ] = None,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: Annotated[
        str, typer.Option("--threads", "-t", metavar="N[,N]", help="Threads the runtime may use; one run for each.")
    ] = "1",
    precision: PrecisionOption = "float32",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure kernels again that the table has already.")] = False,
    explain: Annotated[
        int, typer.Option("--explain", metavar="N", min=0, help="Replay the N networks that are furthest off.")
    ] = 3,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict and measure networks side by side: MAPE, share within 5 % and 10 %, rank correlations, and the reason.

    Kernels that the table lacks are measured first; whole networks are always measured anew. For the networks that
    come out furthest off, kernels are replayed in place to tell which of them the error comes from.
    """
    from ...networks.errors import NotSupportedError
    from ...profiler import resolve_device
    from ..stores import open_store, require_store

    sources = sources_of(
        [*(networks or ()), *split_names(more)], batch=batch, resolution=resolution, input_shapes=input_shape
    )
    targets = [
        resolve_device(device, runtime=runtime, threads=number, precision=precision)
        for number in split_numbers(threads, "--threads")
    ]
    if targets[0].simulator is not None:
        raise NotSupportedError(
            f"{device} is simulated: there is no clock to compare with",
            hint="compare with what was measured on a real one: lutra validate-mcu, or lutra calibrate",
        )
    done: list[Validation] = []
    with open_store(store, read_only=False, create=True) as opened:
        for target in targets:
            done.append(_validated(target, sources, require_store(opened), fresh, explain))
            if not as_json:
                typer.echo(f"{target}\n" * (len(targets) > 1) + f"{done[-1]}\n" * (not done[-1].interrupted), nl=False)
            if done[-1].interrupted:
                break
    if as_json:
        echo_json({"runs": [run.to_dict() for run in done]})
    if done[-1].interrupted:
        raise typer.Exit(5)
    if any(run.comparison.missing for run in done):
        raise typer.Exit(1)


def _validated(
    target: "Device", sources: "list[Network | Path]", store: "Store", fresh: bool, explain: int
) -> "Validation":
    """One device's campaign, its comparison, and the reasons of the largest errors."""
    from ...predictors import TablePredictor
    from ...profiler import make_plan
    from .. import campaigns
    from ..reports import Validation, comparison, reasons

    work = make_plan(target, map(subject_of, sources), check=True)
    result = campaigns.run(work, store, fresh=fresh, recheck=True)
    campaigns.summarise(result, store.location)
    assert result.table is not None
    compared = comparison(TablePredictor(result.table), sources, work)
    told: dict[str, Any] = {}
    if explain and not result.interrupted and target.kind == "real":
        told = reasons(compared, work, result.table, explain)
    return Validation(target, compared, told, result.interrupted)
