"""``lutra table diff`` and ``lutra table merge``: two tables beside each other, and into one."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, JsonOption, ServerOption, StoreOption, echo_json

if TYPE_CHECKING:
    from ...luts.diff import Change, TableDiff
    from ...luts.merge import MergeReport

_MOST_SHOWN = 20

SideArgument = typer.Argument(
    metavar="TABLE", help="A device of the store, a table's file, or STORE.db:DEVICE of another store."
)


def diff(
    left: Annotated[str, SideArgument],
    right: Annotated[str, SideArgument],
    precision: AnyPrecisionOption = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two tables: what differs between the devices, and between their rows.

    Latencies differ when the confidence intervals of the two rows do not touch. The exit code is 0 whatever is found.
    """
    from ...luts.diff import compare
    from ..sides import open_side

    with open_side(left, store, precision, server) as first, open_side(right, store, precision, server) as second:
        differences = first.fingerprint.differences(second.fingerprint)
        found = compare(first.numbers, second.numbers)
    if as_json:
        echo_json({"device": differences, **found.to_dict()})
        return
    lines = ["devices are the same" if not differences else "devices differ:", *(f"  {line}" for line in differences)]
    typer.echo("\n".join(lines))
    show_diff(found, (left, right))


def show_diff(found: "TableDiff", names: tuple[str, str]) -> None:
    """Print a comparison of rows for people."""
    from ..render import console, grid

    for name, labels in zip(names, (found.only_left, found.only_right), strict=True):
        if labels:
            typer.echo(f"{len(labels)} rows only in {name}: {_some(labels)}")
    if found.failed:
        typer.echo(f"{len(found.failed)} rows failed in one of them: {_some(found.failed)}")
    if not found.changes:
        typer.echo("no row has a number in both")
        return
    quantiles = " / ".join(f"{found.ratio(q):.3f}" for q in (0.1, 0.5, 0.9))
    typer.echo(f"{len(found.changes)} rows in both: {names[1]} over {names[0]} p10 / median / p90 {quantiles}")
    if found.outside_share is None:
        typer.echo("no row knows its interval in both")
        return
    typer.echo(f"{len(found.beyond)} of them differ beyond their intervals ({found.outside_share:.0%} of those known)")
    if found.beyond:
        console().print(grid(["kind", "what", "us", "us now", "ratio"], _cells(found.beyond), left=2))


def merge(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Stores (.db), or tables (.parquet, .json, .csv).")
    ],
    into: Annotated[
        str | None,
        typer.Option(
            "--into", metavar="PATH", help="Store to merge into, made if need be; if omitted that of --store."
        ),
    ] = None,
    prefer: Annotated[
        str, typer.Option("--prefer", metavar="WHICH", help="Of two numbers: 'kept' (the store's) or 'newer'.")
    ] = "kept",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Unite the rows of other stores and files with those of a store: all of them, or nothing if one cannot be read.

    Rows of the same device come together; those of another device, or of the same one with other versions or settings,
    stay apart. Numbers that differ beyond their intervals are listed.
    """
    from ...luts.merge import PREFERENCES, merge
    from ...networks.errors import UnknownNameError, UsageError
    from ..sides import open_parts
    from ..stores import open_store, require_store

    preferred = next((known for known in PREFERENCES if known == prefer), None)
    if preferred is None:
        raise UnknownNameError("preference", prefer, PREFERENCES)
    if missing := [str(source) for source in sources if not source.is_file()]:
        raise UsageError(f"there is no file {', '.join(missing)}", hint="give stores or tables that exist")
    reports: list[tuple[str, str, MergeReport]] = []
    with ExitStack() as opening:
        # All sources are opened before a store is made.
        parts = [part for source in sources for part in opening.enter_context(open_parts(source))]
        opened = require_store(opening.enter_context(open_store(into or store, read_only=False, create=True)))
        opening.enter_context(opened.transaction())
        for part in parts:
            report = merge(
                opened, part.fingerprint, part.rows, name=part.name, documents=part.documents, prefer=preferred
            )
            reports.append((part.title, part.name, report))
        location = opened.location
    if as_json:
        echo_json([_merged(*report) for report in reports])
    else:
        _show_merged(reports, location)


def _show_merged(reports: "list[tuple[str, str, MergeReport]]", location: str) -> None:
    from ..render import console, grid

    for title, name, report in reports:
        typer.echo(
            f"{title}, {name}: {report.added} rows added, {report.replaced} replaced, {report.kept} kept as they were"
        )
        if report.disagreements:
            typer.echo(f"{len(report.disagreements)} differ beyond their intervals:")
            cells = _cells(report.disagreements)
            console().print(grid(["kind", "what", "us here", "us there", "ratio"], cells, left=2))
    typer.echo(f"merged into {location}")


def _merged(title: str, name: str, report: "MergeReport") -> dict[str, object]:
    counts = {"added": report.added, "replaced": report.replaced, "kept": report.kept}
    labels = [change.label for change in report.disagreements]
    return {"source": title, "device": name, **counts, "disagreements": labels}


def _cells(changes: "list[Change]") -> list[list[str]]:
    shown = [
        [
            change.subject_kind,
            change.label,
            f"{change.left_ns / 1e3:,.2f}",
            f"{change.right_ns / 1e3:,.2f}",
            f"{change.ratio:.3f}",
        ]
        for change in changes[:_MOST_SHOWN]
    ]
    more = len(changes) - _MOST_SHOWN
    return [*shown, ["...", f"and {more} more (--json has all)", "", "", ""]] if more > 0 else shown


def _some(labels: tuple[str, ...]) -> str:
    more = len(labels) - _MOST_SHOWN
    return "; ".join(labels[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
