"""``lutra table check``, ``salvage``, ``upgrade``, ``compact`` and ``backup``: is a store sound, and keeping it so."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, JsonOption, StoreOption, echo_json

if TYPE_CHECKING:
    from ...luts import CheckReport


def check(
    measure: Annotated[
        int | None,
        typer.Option("--measure", metavar="N", min=1, help="Measure N random kernels again and compare."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", "-d", metavar="NAME", help="With --measure: whose kernels.")
    ] = "host",
    precision: AnyPrecisionOption = None,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", metavar="PCT", min=0.0, help="With --measure: drift of the median to put up with."),
    ] = 5.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="With --measure: chooses the kernels.")] = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read everything in the store and report what is damaged, what is lost and what stands.

    With --measure, time a random sample of kernels again instead, and report how far the table has drifted. The table
    itself stays as it is. Exit code 1 where something is damaged, or the drift is beyond the tolerance.
    """
    if measure is not None:
        _check_drift(measure, device, precision, tolerance, seed, store, as_json)
        return
    report, where = _report(store)
    if as_json:
        echo_json({"rows": report.rows, "problems": list(report.problems), "standing": report.standing})
    else:
        typer.echo("\n".join([f"{report.rows} rows, {len(report.problems)} problems", *report.problems]))
        if report.standing is not None:
            typer.echo(f"{report.standing} rows stand; save them with: lutra table salvage {shlex.quote(where)} NEW.db")
    if not report.ok:
        raise typer.Exit(1)


def _report(store: str | None) -> "tuple[CheckReport, str]":
    """What is wrong with the store, also if it is too damaged to be opened as one; and where it is."""
    from ...luts.location import locate
    from ...luts.upkeep import check_damaged
    from ...networks.errors import StoreCorruptError
    from ..stores import open_store, require_store

    try:
        with open_store(store) as opened:
            return require_store(opened).check(), require_store(opened).location
    except StoreCorruptError as error:
        path = locate(store).path
        if path is None or not path.is_file():
            raise
        return check_damaged(path, error), str(path)


def _check_drift(
    count: int, device: str, precision: str | None, tolerance_pct: float, seed: int, store: str | None, as_json: bool
) -> None:
    from ...networks.errors import NotCoveredError
    from ..drift import measure_again
    from .table_compare import show_diff

    found = measure_again(store, device, precision, count, seed)
    ratio = found.ratio(0.5)
    if ratio is None:
        raise NotCoveredError("no kernel could be measured again", found.failed, hint="lutra doctor tells why")
    drift_pct = 100 * (ratio - 1)
    drifted = abs(drift_pct) > tolerance_pct
    if as_json:
        echo_json({"drift_pct": drift_pct, "tolerance_pct": tolerance_pct, "drifted": drifted, **found.to_dict()})
    else:
        show_diff(found, ("the table", "now"))
        verdict = "beyond" if drifted else "within"
        typer.echo(f"median drift {drift_pct:+.1f} %, {verdict} the tolerance of {tolerance_pct:g} %")
    if drifted:
        raise typer.Exit(1)


def salvage(
    damaged: Annotated[Path, typer.Argument(metavar="OLD.db", help="A damaged store; it is not changed.")],
    saved: Annotated[Path, typer.Argument(metavar="NEW.db", help="Where to put what stands; must not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Save what stands in a damaged store: every row that can be read and is as it was written goes into a new one.

    Exit code 1 where something was lost; the lines say what.
    """
    from ...luts.salvage import salvage as save
    from ...networks.errors import UsageError

    if not damaged.is_file():
        raise UsageError(f"there is no file {damaged}", hint="give the store's file")
    found = save(damaged, saved)
    if as_json:
        echo_json({"rows": found.rows, "lost": list(found.lost)})
    else:
        typer.echo("\n".join([f"{found.rows} rows saved to {saved}", *(f"lost: {line}" for line in found.lost)]))
    if found.lost:
        raise typer.Exit(1)


def upgrade(store: StoreOption = None) -> None:
    """Bring a store that an earlier version wrote to this version's schema. A copy of the old one is kept beside it.

    Commands that write do it by themselves; those that only read ask for it.
    """
    from ...luts.schema import REVISIONS
    from ..stores import open_store, require_store

    with open_store(store, read_only=False) as opened:
        typer.echo(f"{require_store(opened).location} has schema {REVISIONS[-1]}, which is this version's")


def compact(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Rewrite the store's file without the gaps that deleted rows leave. No row changes."""
    from ..stores import open_store, require_store

    with open_store(store, read_only=False) as opened:
        done = require_store(opened).compact()
    if as_json:
        echo_json({"before_bytes": done.before_bytes, "after_bytes": done.after_bytes})
    else:
        typer.echo(f"{done.before_bytes / 2**20:.1f} MiB before, {done.after_bytes / 2**20:.1f} MiB now")


def backup(
    copy: Annotated[Path, typer.Argument(metavar="FILE.db", help="File to write; must not exist.")],
    store: StoreOption = None,
) -> None:
    """Copy the store, also while a campaign is writing to it. The copy is a store like any other."""
    from ..stores import open_store, require_store

    with open_store(store) as opened:
        require_store(opened).backup(copy)
    typer.echo(f"{copy.stat().st_size / 2**20:.1f} MiB to {copy}")
