"""``lutra table export`` and ``import``: tables in files, our own and the field's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, DeviceArgument, ServerOption, StoreOption

if TYPE_CHECKING:
    from ...luts.exchange.stores import ImportReport

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="parquet, csv or json (any table); ofa-yaml, blocks-csv, fbnet-json, tf-nas or hw-nas-bench (building "
        "blocks). By the file's suffix if omitted.",
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option("--image-size", metavar="N", help="Input size that building blocks belong to, where a file has one."),
]


def export(
    device: DeviceArgument,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    format_name: FormatOption = None,
    precision: AnyPrecisionOption = None,
    image_size: ImageSizeOption = None,
    numbers: Annotated[
        bool,
        typer.Option("--numbers", help="Parquet without samples: quick for millions of rows, cannot be imported."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    store: StoreOption = None,
    server: ServerOption = None,
) -> None:
    """Write a table to a file."""
    from ...luts.exchange import format_of
    from ...luts.exchange.numbers import write_numbers
    from ...luts.exchange.stores import export_device
    from ...networks.errors import UsageError
    from ..stores import open_store, record_of, require_store

    if format_of(output, format_name).name != "parquet" and numbers:
        raise UsageError("--numbers writes Parquet only", hint="name the file .parquet, or leave --numbers out")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="give another name, or --force")
    if server is not None:
        if numbers or image_size is not None:
            raise UsageError("--numbers and --image-size with --server", hint="leave them out")
        _export_from(server, store, device, precision, output, format_of(output, format_name).name)
        return
    with open_store(store) as opened:
        found = require_store(opened)
        record = record_of(found, device, precision)
        if numbers:
            rows = write_numbers(output, found, record)
        else:
            rows = export_device(found, record, output, format=format_name, image_size=image_size)
    typer.echo(f"{rows} rows to {output}")


def _export_from(
    server: str, store: str | None, device: str, precision: str | None, output: Path, format_name: str
) -> None:
    """Write what a server gives to a file, whole or not at all."""
    from ...luts.exchange.files import replacing
    from ..stores import open_server, record_of

    with open_server(server, store) as client:
        content = client.export(record_of(client, device, precision), format_name)
    with replacing(output) as part:
        part.write_bytes(content)
    typer.echo(f"{len(content)} bytes to {output}")


def import_(
    source_file: Annotated[Path, typer.Argument(metavar="FILE", help="File to read.")],
    format_name: FormatOption = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call the device; as in the file if omitted.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", metavar="UNIT", help="Unit of the latencies: ns, us, ms or s."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only this device of a file of several.")
    ] = None,
    image_size: ImageSizeOption = None,
    drop_negative: Annotated[
        bool, typer.Option("--drop-negative", help="Leave rows with a negative latency out, and count them.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let the file's rows take the place of those that disagree.")
    ] = False,
    store: StoreOption = None,
    server: ServerOption = None,
) -> None:
    """Take the table in a file over into the store, all of it or nothing."""
    from ...luts.exchange import BlockOptions
    from ...luts.exchange.stores import prepare
    from ..stores import open_store, require_store

    options = BlockOptions(unit=unit, source=source, image_size=image_size, drop_negative=drop_negative)
    if server is not None:
        _import_into(server, store, source_file, (format_name, name, replace), options == BlockOptions())
        return
    prepared = prepare(source_file, format=format_name, name=name, options=options)  # before a store is made
    with open_store(store, read_only=False, create=True) as opened:
        reports = prepared.into(require_store(opened), replace=replace)
    for report in reports:
        typer.echo(_told(report))
    for reason, count in reports[0].dropped.items():
        typer.echo(f"{count} rows left out: {reason}")


def _import_into(
    server: str, store: str | None, path: Path, asked: tuple[str | None, str | None, bool], plain: bool
) -> None:
    """Send a file to a server."""
    from ...luts.exchange import format_of
    from ...networks.errors import UsageError
    from ..stores import open_server

    if not plain:
        raise UsageError("options of building blocks with --server", hint="import the file here, and send an export")
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give a table's file")
    form, name, replace = asked
    with open_server(server, store) as client:
        reports = client.import_file(path, format=format_of(path, form).name, name=name, replace=replace)
    for report in reports:
        there = report["rows"] - report["written"]
        known = f", {there} of them there already" if there else ""
        typer.echo(f"{report['rows']} rows of {report['name']} ({report['digest'][:12]}){known}")


def _told(report: "ImportReport") -> str:
    there = report.rows - report.written
    known = f", {there} of them there already" if there else ""
    return f"{report.rows} rows of {report.device.name} ({report.device.digest[:12]}){known}"
