"""``lutra fit``: fit predictors to measured networks and keep the best; or choose what to measure, and measure it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..options import (
    AnyPrecisionOption,
    JsonOption,
    NewTableOption,
    RuntimeOption,
    ServerOption,
    StoreOption,
    echo_json,
    split_names,
)

if TYPE_CHECKING:
    from ...profiler import Device
    from ..offers import Offer

_ONLY_WITH_SAMPLES: Final = ("space", "sources", "costs", "new_table")
_ONLY_WITHOUT: Final = ("table", "latency", "models", "test_share", "coverage")
_LISTS: Final = ("sources", "costs", "encoding", "models")
_ASKED: Final = (
    *("device", "samples", "space", "table", "latency", "networks", "test_share", "coverage", "seed"),
    *("runtime", "threads", "precision", "new_table"),
)
"""What a job is asked by the same name, beside the lists."""


def fit(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="CSV or Parquet file of samples; if omitted, the whole networks of --table. With --samples, of"
            " architectures to choose from; if omitted, random ones of --space.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME",
            help="What to call the device; --table's name if omitted. With --samples, what to measure: host or null.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", metavar="N", help="Choose so many networks, measure them, and learn from those."),
    ] = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="SPACE", help="With --samples: search space of the architectures.")
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            "--sources",
            metavar="NAMES",
            help="With --samples: columns of FILE with latencies on other devices, or devices in the store; all that"
            " know the space if neither this nor FILE is given.",
        ),
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option("--costs", metavar="COLUMNS", help="With --samples: columns of FILE that are counted, as MACs."),
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
    new_table: NewTableOption = False,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit predictors to measured latencies, compare them on samples that none has seen, and keep the best.

    The best is fitted again to all samples and saved; lutra predict --model FOLDER asks it.

    With --samples a new device needs no measurements yet: the networks that would tell most are chosen, measured whole
    (rows are kept: the same command goes on after Ctrl-C), and joined with what other devices are known for.
    """
    from ...networks.errors import UsageError
    from ...predictors import TablePredictor, load_predictor
    from ..fitting import fit_best, samples_of

    if Path(out).exists() and not overwrite:  # before minutes of training, not after
        raise UsageError(f"{out} exists", hint="give another --out, or --overwrite")
    _require_apply(context, samples is not None)
    if server is not None:
        _on_a_server(context, server, data, out, overwrite, as_json)
        return
    if samples is not None:
        from ...profiler import resolve_device
        from ..offers import Offer

        new = resolve_device(
            device or "host",
            runtime=runtime,
            threads=1 if threads is None else threads,
            precision=precision or "float32",
        )
        offer = Offer(
            file=data,
            space=space,
            networks=networks,
            encoding=split_names(encoding),
            sources=split_names(sources),
            costs=split_names(costs),
        )
        _fit_new(
            new,
            offer,
            samples,
            seed=seed,
            store=store,
            new_table=new_table,
            out=out,
            overwrite=overwrite,
            as_json=as_json,
        )
        return
    rows = None
    if table is not None:
        found = load_predictor(table, store=store, runtime=runtime, threads=threads, precision=precision)
        assert isinstance(found, TablePredictor)  # of a name in the store it is
        rows, device = found.table, device or found.device
    fitted = fit_best(
        samples_of(data, rows, latency=latency, networks=networks, encoding=split_names(encoding)),
        device or "unnamed device",
        rows,
        kinds=split_names(models),
        test_share=test_share,
        coverage=coverage,
        seed=seed,
    )
    folder = fitted.predictor.save(out, overwrite=overwrite)
    if as_json:
        echo_json(fitted.to_dict() | {"saved": str(folder)})
        return
    typer.echo(f"{fitted}, in {out}")


def _require_apply(context: typer.Context, choosing: bool) -> None:
    """Refuse options that would be ignored."""
    from ...networks.errors import UsageError

    for name in _ONLY_WITHOUT if choosing else _ONLY_WITH_SAMPLES:
        if _is_given(context, name):
            word = "with" if choosing else "without"
            raise UsageError(
                f"--{name.replace('_', '-')} does not apply {word} --samples", hint="leave one of them out"
            )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _on_a_server(
    context: typer.Context, server: str, data: str | None, out: str, overwrite: bool, as_json: bool
) -> None:
    """Have a server's worker fit, and fetch the predictor."""
    from ..client import Client
    from ..jobs.fit import fetch_predictor
    from ..remote import finished_job, refuse_local, show_result
    from ..samples import plain_columns

    given = {name: context.params[name] for name in (*_ASKED, *_LISTS, "store") if _is_given(context, name)}
    refuse_local({"--store": given.pop("store", None)})
    request = {name: split_names(value) if name in _LISTS else value for name, value in given.items()}
    if data is not None:
        request["data"] = plain_columns(data)
    with Client(server) as client:
        job = finished_job(client, server, "fit", request)
        folder = fetch_predictor(client.jobs, job.id, out, overwrite=overwrite)
        result = client.jobs.result(job.id) | {"saved": str(folder)}
    if as_json:
        echo_json(result)
    else:
        show_result(result)


def _fit_new(
    device: "Device",
    offer: "Offer",
    samples: int,
    *,
    seed: int,
    store: str | None,
    new_table: bool,
    out: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Choose, measure and fit."""
    from .. import campaigns
    from ..fitting import NewDevice
    from ..stores import open_store, require_store

    with open_store(store) as opened:
        chosen = NewDevice.choose(device, offer, samples, opened, seed=seed)
    with open_store(store, read_only=False, create=True) as opened:
        result = campaigns.run(chosen.plan, require_store(opened), fresh=False, new_table=new_table)
        location = require_store(opened).location
    campaigns.summarise_networks(result, len(chosen.plan.subjects), location)
    if result.interrupted:
        raise typer.Exit(5)
    found = chosen.learn(result)
    folder = chosen.predictor.save(out, overwrite=overwrite)
    if as_json:
        echo_json(found.to_dict() | {"saved": str(folder), "failed": result.failed, "noisy": result.noisy})
        return
    typer.echo(f"{found}\nfitted to {len(found.names)} networks on {device.name}, kept in {out}")
