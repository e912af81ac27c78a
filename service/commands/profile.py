"""``lutra profile``: measure the kernels of networks and of search spaces on a device, and build its table."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BatchOption,
    BudgetOption,
    CacheOption,
    CheckNetworksOption,
    DeviceOption,
    EngineOption,
    EventsOption,
    InputShapesOption,
    JsonOption,
    ModelsOption,
    NewTableOption,
    OptionalNetworksArgument,
    PrecisionOption,
    ResolutionOption,
    RuntimeOption,
    ServerOption,
    SpacesOption,
    StoreOption,
    TargetErrorOption,
    ThreadsOption,
    WaitOption,
    echo_json,
    seconds_of,
    share_of,
    sources_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ...networks import Network
    from ...profiler import Device
    from ..profiling import Work


def profile(
    networks: OptionalNetworksArgument = None,
    model: ModelsOption = None,
    space: SpacesOption = None,
    device: DeviceOption = "host",
    engine: EngineOption = None,
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    precision: PrecisionOption = "float32",
    cache: CacheOption = "cold-weights",
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Measure the whole networks among the kernels too.")
    ] = True,
    check_networks: CheckNetworksOption = 8,
    budget: BudgetOption = None,
    target_error: TargetErrorOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what the table has already.")] = False,
    new_table: NewTableOption = False,
    wait: WaitOption = False,
    events: EventsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be measured.")] = False,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the kernels of networks or search spaces on a device, each once, and put them into the device's table.

    The whole networks are measured among their kernels, and shown beside the sum of the kernels. Rows are committed
    as they are measured: Ctrl-C, or a crash, loses none, and the same command goes on where it stopped. Hardware
    that is not there is simulated.
    """
    from ...networks.errors import UsageError
    from ...profiler import resolve_device
    from .. import campaigns
    from ..plans import covered_shares
    from ..profiling import document, work_of
    from ..remote import refuse_local
    from ..spaces import space_of
    from ..stores import open_store, require_store

    budget_s, target = seconds_of(budget), share_of(target_error)
    campaigns.require_one_on_output(as_json, events)
    if server is not None:
        refuse_local({"--store": store, "--events": events, "--dry-run": dry_run or None, "--wait": wait or None})
        _on_a_server(
            server,
            [*(model or ()), *(networks or ())],
            input_shape,
            {
                "spaces": space or [],
                "device": device,
                "engine": engine,
                "runtime": runtime,
                "threads": threads,
                "precision": precision,
                "cache": cache,
                "check": check,
                "check_networks": check_networks,
                "budget_s": budget_s,
                "target_error": target,
                "fresh": fresh,
                "new_table": new_table,
                "batch": batch,
                "resolution": resolution,
            },
            as_json,
        )
        return
    profiled = resolve_device(device, runtime=runtime, threads=threads, precision=precision, cache=cache, engine=engine)
    spaces = [space_of(text) for text in dict.fromkeys(space or ())]
    named = [*(model or ()), *(networks or ())]
    sources: list[Network | Path] = []
    if named:
        sources = sources_of(named, batch=batch, resolution=resolution, input_shapes=input_shape)
    elif spaces and (batch or resolution or input_shape):
        raise UsageError(
            "--batch, --resolution and --input-shape do not apply to a space", hint="write sizes behind it: fbnet@96"
        )
    work = work_of(profiled, sources, spaces, check=check, check_networks=check_networks)
    if dry_run:
        _show_plan(work, store, fresh, as_json)
        return
    for name, share in covered_shares(spaces, work.plan).items():
        if share < 1:
            sys.stderr.write(
                f"{name}: about {share:.0%} of its networks covered: the others have kernels of their own\n"
            )
    with open_store(store, read_only=False, create=True) as opened:
        result = campaigns.run(
            work.plan,
            require_store(opened),
            fresh=fresh,
            new_table=new_table,
            wait=wait,
            budget_s=budget_s,
            target_error=target,
            events=events,
        )
        location = require_store(opened).location
    campaigns.summarise(result, location)
    compared = work.compared(result)
    if profiled.simulator is not None and not (result.interrupted or result.failed or as_json):
        _show_simulated(profiled, work.subjects, store)
    if as_json:
        echo_json(document(result, work, compared))
    elif compared and events != campaigns.STANDARD_OUTPUT:
        typer.echo(compared.detailed())
    if result.interrupted:
        raise typer.Exit(5)
    if result.failed:
        raise typer.Exit(1)


def _on_a_server(
    server: str, names: list[str], input_shapes: list[str] | None, request: dict[str, Any], as_json: bool
) -> None:
    """Have a server's worker measure."""
    from ..remote import networks_for_a_server, run_job

    asked = networks_for_a_server(names, input_shapes) if names else []
    run_job(server, "profile", request | {"networks": asked}, as_json=as_json)


def _show_simulated(device: "Device", sources: "list[Network | Path]", store: str | None) -> None:
    """What the networks that were simulated take on their device."""
    from ..simulated import simulated_reports

    if sources:
        typer.echo("\n\n".join(map(str, simulated_reports(device, sources, store=store))))


def _show_plan(work: "Work", store: str | None, fresh: bool, as_json: bool) -> None:
    from ..plans import outlook
    from ..stores import open_store

    with open_store(store) as opened:
        shown = outlook(work.plan, work.spaces, opened, fresh=fresh)
    if as_json:
        echo_json(shown.to_dict())
    else:
        typer.echo(str(shown))
