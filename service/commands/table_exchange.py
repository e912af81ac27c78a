"""``lutra table export`` and ``import``: tables in files, our own and the field's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, DeviceArgument, StoreOption

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
    with open_store(store) as opened:
        found = require_store(opened)
        record = record_of(found, device, precision)
        if numbers:
            rows = write_numbers(output, found, record)
        else:
            rows = export_device(found, record, output, format=format_name, image_size=image_size)
    typer.echo(f"{rows} rows to {output}")


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
) -> None:
    """Take the table in a file over into the store, all of it or nothing."""
    from ...luts.exchange import BlockOptions
    from ...luts.exchange.stores import prepare
    from ..stores import open_store, require_store

    options = BlockOptions(unit=unit, source=source, image_size=image_size, drop_negative=drop_negative)
    prepared = prepare(source_file, format=format_name, name=name, options=options)  # before a store is made
    with open_store(store, read_only=False, create=True) as opened:
        reports = prepared.into(require_store(opened), replace=replace)
    for report in reports:
        typer.echo(_told(report))
    for reason, count in reports[0].dropped.items():
        typer.echo(f"{count} rows left out: {reason}")


def _told(report: "ImportReport") -> str:
    there = report.rows - report.written
    known = f", {there} of them there already" if there else ""
    return f"{report.rows} rows of {report.device.name} ({report.device.digest[:12]}){known}"
