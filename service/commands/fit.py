"""``lutra fit``: fit predictors to measured networks, compare them, and keep the best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AnyPrecisionOption, JsonOption, RuntimeOption, StoreOption, echo_json, split_names

if TYPE_CHECKING:
    from ...luts import Table
    from ...predictors import LatencyPredictor
    from ..samples import Measured


def fit(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="CSV or Parquet file of samples; if omitted, the whole networks of --table."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="NAME", help="What to call the device; --table's name if omitted."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="DEVICE", help="Device in the store whose table joins in: table, kernels."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option("--latency", metavar="COLUMN", help="Column of latencies, ending in its unit; latency_ms."),
    ] = None,
    networks: Annotated[
        str | None, typer.Option("--networks", metavar="COLUMN", help="Column of networks; network if there is one.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="COLUMNS", help="Columns of numbers, separated by commas; else all others."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="KINDS", help="Which to compare, separated by commas; all that can if omitted."
        ),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where the best is kept.")
    ] = "lutra-predictor",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier predictor there.")] = False,
    test_share: Annotated[
        float, typer.Option("--test-share", metavar="P", help="Share of the samples that the models are judged by.")
    ] = 0.2,
    coverage: Annotated[
        float, typer.Option("--coverage", metavar="P", help="Probability that the intervals are to hold.")
    ] = 0.9,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the split and of the training.")] = 0,
    runtime: RuntimeOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", metavar="N", help="Threads of the table to use; if omitted any.")
    ] = None,
    precision: AnyPrecisionOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit predictors to measured latencies, compare them on samples that none has seen, and keep the best.

    The best is fitted again to all samples and saved; lutra predict --model FOLDER asks it.
    """
    from ...networks.errors import UsageError
    from ...predictors import TablePredictor, compare, load_predictor
    from ..samples import read_samples, table_samples

    if Path(out).exists() and not overwrite:  # before minutes of training, not after
        raise UsageError(f"{out} exists", hint="give another --out, or --overwrite")
    rows = None
    if table is not None:
        found = load_predictor(table, store=store, runtime=runtime, threads=threads, precision=precision)
        assert isinstance(found, TablePredictor)  # of a name in the store it is
        rows, device = found.table, device or found.device
    if data is not None:
        measured = read_samples(data, latency=latency, networks=networks, encoding=split_names(encoding))
    elif rows is not None:
        measured = table_samples(rows)
    else:
        raise UsageError("nothing to learn from", hint="give a file of samples, or the --table of a device")
    entered = _entered(measured, device or "unnamed device", rows, split_names(models), seed)
    comparison = compare(
        measured.inputs, measured.latencies_ms, entered, test_share=test_share, coverage=coverage, seed=seed
    )
    best = comparison.best
    best.predictor.fit(measured.inputs, measured.latencies_ms)
    folder = best.predictor.save(out, overwrite=overwrite)
    if as_json:
        echo_json(comparison.to_dict() | {"best": best.name, "saved": str(folder), "encoding": measured.encoding})
        return
    typer.echo(f"{comparison}\nkept {best.name}, fitted to all {len(measured.latencies_ms)} samples, in {out}")


def _entered(
    measured: "Measured", device: str, table: "Table | None", wanted: list[str], seed: int
) -> "dict[str, LatencyPredictor]":
    """The predictors to compare, by kind."""
    from ...networks.errors import UnknownNameError
    from ...predictors import candidates

    able = candidates(device, encodings=bool(measured.encoding), table=table, seed=seed)
    for kind in wanted:
        if kind not in able:
            raise UnknownNameError("model for such samples", kind, able)
    return {kind: able[kind] for kind in wanted or able}
