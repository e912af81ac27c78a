"""``lutra table``: look at a device's table, and hand it on. Its other verbs are in modules of their own."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, DeviceArgument, JsonOption, ServerOption, StoreOption, echo_json
from . import table_compare, table_exchange, table_upkeep

if TYPE_CHECKING:
    from ...luts import Table

app = typer.Typer(no_args_is_help=True, help="Look at tables, compare, exchange, check and keep them.")
app.command("export")(table_exchange.export)
app.command("import")(table_exchange.import_)
app.command()(table_upkeep.check)
app.command()(table_upkeep.salvage)
app.command()(table_upkeep.upgrade)
app.command()(table_upkeep.compact)
app.command()(table_upkeep.backup)
app.command()(table_compare.diff)
app.command()(table_compare.merge)


def _table(device: str, store: str | None, server: str | None, precision: str | None) -> "Table":
    from ..stores import open_source, record_of, require_source

    with open_source(store, server) as opened:
        found = require_source(opened)
        return found.table(record_of(found, device, precision))


@app.command("list")
def list_tables(store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the tables in the store."""
    from ..stores import open_source

    with open_source(store, server) as opened:
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
            "as imported" if f.kind == "imported" else f"{f.runtime_name}, {f.precision}, {f.threads}t",
            s.device.digest[:12],
            *(str(s.counts.get(kind, 0)) for kind in ("kernel", "network", "block")),
            s.device.used_at,
        ]
        for s, f in zip(summaries, settings, strict=True)
    ]
    headings = ["device", "kind", "setting", "digest", "kernels", "networks", "blocks", "last used"]
    console().print(grid(headings, cells, left=4))


@app.command()
def show(
    device: DeviceArgument = "host",
    precision: AnyPrecisionOption = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows of a table: kernels, the runtime's constants, and whole networks beside their prediction."""
    table = _table(device, store, server, precision)
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
def delete(
    device: DeviceArgument,
    precision: AnyPrecisionOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Remove a device with all its rows."""
    from ..stores import open_store, record_of, require_store

    with open_store(store, read_only=False) as opened:
        record = record_of(require_store(opened), device, precision)
        if not yes and not typer.confirm(f"remove {record.name} ({record.digest[:12]}) and all its rows?", err=True):
            sys.stderr.write("nothing removed\n")
            raise typer.Exit(1)
        removed = require_store(opened).delete_device(record)
    typer.echo(f"{removed} rows removed")
