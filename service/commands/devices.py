"""``lutra devices``: what can be profiled here, what the store has rows of, and hardware of one's own to simulate."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import JsonOption, ServerOption, StoreOption, echo_json

app = typer.Typer(invoke_without_command=True, help="What can be profiled, what has a table, and devices of your own.")


@app.callback()
def devices(
    context: typer.Context, store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False
) -> None:
    """List the devices that can be profiled from here and those that the store, or a server, has tables of."""
    if context.invoked_subcommand is not None:
        return
    from ...profiler import devices as profilable
    from ..stores import open_source

    here = profilable()
    with open_source(store, server) as opened:
        summaries = opened.summaries() if opened else []
    records = [summary.device for summary in summaries]
    rows = {summary.device.digest: summary.counts.get("kernel", 0) for summary in summaries}
    if as_json:
        stored = [
            {
                "name": record.name,
                "digest": record.digest,
                "runtime": record.fingerprint.runtime_name,
                "threads": record.fingerprint.threads,
                "precision": record.fingerprint.precision,
                "kind": record.fingerprint.kind,
                "kernels": rows[record.digest],
                "used_at": record.used_at,
            }
            for record in records
        ]
        echo_json({"here": [vars(device) for device in here], "stored": stored})
        return
    from ..render import console, grid

    out = console()
    cells = [[d.name, d.runtime, d.kind, "yes" if d.available else "no", d.note] for d in here]
    out.print(grid(["device", "runtime", "kind", "usable", "note"], cells, left=5))
    out.print()
    if not records:
        out.print("no tables yet: lutra profile mobilenet_v2")
        return
    cells = [
        [r.name, r.fingerprint.runtime_name, str(r.fingerprint.threads), str(rows[r.digest]), r.digest[:12], r.used_at]
        for r in records
    ]
    out.print(grid(["table of", "runtime", "threads", "kernels", "digest", "last used"], cells, left=2))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="A board, GPU or CPU, or the path of its .yaml.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a simulated device is described by, and where the numbers are from."""
    from ...profiler.hardware import hardware_of

    described = hardware_of(name).model_dump(mode="json", exclude_none=True)
    if as_json:
        echo_json(described)
        return
    import yaml

    typer.echo(yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=110).rstrip())


@app.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="What describes a board, GPU or CPU.")],
    replace: Annotated[bool, typer.Option("--replace", help="Instead of one that was added before.")] = False,
) -> None:
    """Check the file of a device of your own, and keep a copy, so that --device takes its name."""
    from ...profiler.hardware import add_hardware

    kept = add_hardware(path, replace=replace)
    typer.echo(f"{kept.stem} is simulated from now on, kept in {kept}: lutra predict mobilenet_v2 --device {kept.stem}")


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="DEVICE", help="One that was added.")]) -> None:
    """Forget a device that was added; rows of it stay in the store."""
    from ...profiler.hardware import remove_hardware

    typer.echo(f"removed {remove_hardware(name)}")
