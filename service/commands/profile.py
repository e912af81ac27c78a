"""``lutra profile``: measure the kernels of networks on a device, and build its table."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    BatchOption,
    CacheOption,
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

if TYPE_CHECKING:
    from ...profiler import Plan


def profile(
    networks: NetworksArgument,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    precision: PrecisionOption = "float32",
    cache: CacheOption = "cold-weights",
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Measure the whole networks among the kernels too.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what the table has already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be measured.")] = False,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the kernels of networks on a device, each once, and put them into the device's table.

    The whole networks are measured among their kernels, and shown beside the sum of the kernels. Rows are committed
    as they are measured: Ctrl-C, or a crash, loses none, and the same command goes on where it stopped.
    """
    from ...predictors import TablePredictor
    from ...profiler import make_plan, resolve_device
    from .. import campaigns
    from ..reports import comparison
    from ..stores import open_store, require_store

    target = resolve_device(device, runtime=runtime, threads=threads, precision=precision, cache=cache)
    sources = sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape)
    work = make_plan(target, map(subject_of, sources), check=check)
    if dry_run:
        _show_plan(work, store, fresh, as_json)
        return
    with open_store(store, read_only=False, create=True) as opened:
        result = campaigns.run(work, require_store(opened), fresh=fresh)
        location = require_store(opened).location
    campaigns.summarise(result, location)
    assert result.table is not None
    predictor = TablePredictor(result.table)
    compared = comparison(predictor, sources, work) if check and not result.interrupted else None
    if as_json:
        document = {
            "device": str(target),
            "measured": result.measured,
            "skipped": result.skipped,
            "noisy": result.noisy,
            "failed": result.failed,
            "interrupted": result.interrupted,
        }
        echo_json(document | ({"networks": compared.to_dict()} if compared else {}))
    elif compared:
        typer.echo(compared.detailed())
    if result.interrupted:
        raise typer.Exit(5)
    if result.failed:
        raise typer.Exit(1)


def _show_plan(work: "Plan", store: str | None, fresh: bool, as_json: bool) -> None:
    from ..stores import open_store

    have: set[str] = set()
    with open_store(store) as opened:
        known = {record.digest for record in opened.devices()} if opened else set()
        if opened and not fresh and work.device.fingerprint.digest in known:
            have = opened.keys(work.device.fingerprint, "kernel", statuses=("ok", "noisy"))
    pending = [kernel for key, kernel in work.kernels.items() if key not in have]
    estimate_s = work.estimate_s(len(pending))
    if as_json:
        labels = [kernel.label for kernel in pending]
        echo_json({"kernels": len(work.kernels), "pending": labels, "estimate_s": round(estimate_s)})
        return
    typer.echo(
        f"{work.device}: {len(work.kernels)} distinct kernels, {len(pending)} to measure, about {estimate_s:.0f} s"
    )
    for kernel in pending:
        typer.echo(f"  {kernel.label}")
