"""``lutra table``: look at a device's table, and hand it on. Its other verbs are in modules of their own."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, JsonOption, StoreOption, echo_json
from . import table_compare, table_upkeep

if TYPE_CHECKING:
    from ...luts import Table

app = typer.Typer(no_args_is_help=True, help="Look at tables, compare, merge, check and keep them.")
app.command()(table_upkeep.check)
app.command()(table_upkeep.salvage)
app.command()(table_upkeep.compact)
app.command()(table_upkeep.backup)
app.command()(table_compare.diff)
app.command()(table_compare.merge)

DeviceArgument = Annotated[
    str,
    typer.Argument(metavar="DEVICE", help="A device's name (the one used last), or the first digits of its digest."),
]


def _table(device: str, store: str | None, precision: str | None) -> "Table":
    from ..sides import device_in
    from ..stores import open_store, require_store

    with open_store(store) as opened:
        return require_store(opened).table(device_in(require_store(opened), device, precision))


@app.command("list")
def list_tables(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the tables in the store."""
    from ..stores import open_store

    with open_store(store) as opened:
        summaries = opened.summaries() if opened else []
    settings = [summary.device.fingerprint for summary in summaries]
    if as_json:
        named = [{"runtime": f.runtime_name, "precision": f.precision, "threads": f.threads} for f in settings]
        echo_json([summary.to_dict() | setting for summary, setting in zip(summaries, named, strict=True)])
        return
    if not summaries:
        typer.echo("no tables yet: lutra profile mobilenet_v2")
        return
    from ..render import console, grid

    cells = [
        [
            s.device.name,
            f.kind,
            f"{f.runtime_name}, {f.precision}, {f.threads}t",
            s.device.digest[:12],
            str(s.counts.get("kernel", 0)),
            str(s.counts.get("network", 0)),
            s.device.used_at,
        ]
        for s, f in zip(summaries, settings, strict=True)
    ]
    console().print(grid(["device", "kind", "setting", "digest", "kernels", "networks", "last used"], cells, left=4))


@app.command()
def show(
    device: DeviceArgument = "host",
    precision: AnyPrecisionOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows of a table: kernels, the runtime's constants, and whole networks beside their prediction."""
    table = _table(device, store, precision)
    if as_json:
        rows = [row.to_dict() | {"samples_ns": None, "rounds": None, "spec": None} for row in table]
        echo_json({"summary": table.summary().to_dict(), "rows": rows})
        return
    from ..render import console, grid

    cells = []
    for row in table:
        number = "failed" if row.status == "failed" else f"{row.latency_ns / 1e3:,.2f}"
        spread = "" if row.rel_halfwidth is None else f"{100 * row.rel_halfwidth:.1f} %"
        cells.append([row.subject_kind, row.label, number, spread, str(row.n), " ".join(row.flags) or row.reason])
    out = console()
    out.print(grid(["kind", "what", "us", "+-", "samples", "flags"], cells, left=2))
    for check in table.self_checks():
        error = "" if check.error_pct is None else f", {check.error_pct:+.1f} %"
        out.print(f"{check.network}: measured {check.measured_ms:.3f} ms, predicted {check.predicted_ms:.3f} ms{error}")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="File to write: .json (complete) or .csv (one line a row).")],
    device: Annotated[str, typer.Option("--device", "-d", help="Device's name or digest.")] = "host",
    precision: AnyPrecisionOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    store: StoreOption = None,
) -> None:
    """Write a table to a file."""
    from ...networks.errors import UsageError

    if output.suffix not in (".json", ".csv"):
        raise UsageError(f"unknown format {output.suffix or output.name!r}", hint="name the file .json or .csv")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="give another name, or --force")
    table = _table(device, store, precision)
    text = table.to_json() if output.suffix == ".json" else table.to_csv()
    try:
        _write(output, text)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}", hint="give another place") from None
    typer.echo(f"{len(table)} rows to {output}")


def _write(output: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


@app.command()
def delete(
    device: DeviceArgument,
    precision: AnyPrecisionOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Remove a device with all its rows."""
    from ..sides import device_in
    from ..stores import open_store, require_store

    with open_store(store, read_only=False) as opened:
        record = device_in(require_store(opened), device, precision)
        if not yes and not typer.confirm(f"remove {record.name} ({record.digest[:12]}) and all its rows?", err=True):
            sys.stderr.write("nothing removed\n")
            raise typer.Exit(1)
        removed = require_store(opened).delete_device(record)
    typer.echo(f"{removed} rows removed")
