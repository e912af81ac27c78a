"""``lutra search``: look for the most accurate network of a space that a device runs within a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..options import EngineOption, JsonOption, RuntimeOption, ServerOption, StoreOption, echo_json, split_names

if TYPE_CHECKING:
    from ..searching.runs import Run
    from ..searching.settings import Settings

_STRATEGY, _ACCURACY, _DEVICE, _OUT, _EVALUATIONS = "evolution", "macs", "host", "lutra-search", 1000

_FOR_EVALUATIONS: Final = (
    "--also",
    "--accuracy",
    "--supernet",
    "--trade",
    "--batch",
    "--margin",
    "--max-macs",
    "--max-params",
)


def search(
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="SPACE", help="What to search: a name (lutra spaces), or your own .py file."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME",
            help="Whose latency: a device of the store, a board, or a table's file (.json, .parquet, .csv, .yaml); the "
            "host if omitted.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FOLDER",
            help="A saved predictor (lutra fit) instead of --device; with --server, the id of a fit job.",
        ),
    ] = None,
    max_ms: Annotated[
        float | None, typer.Option("--max-ms", metavar="MS", help="Budget: the largest latency allowed.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="NAME=MS", help="Another device with a budget of its own; may be repeated."),
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option("--max-macs", metavar="N", help="The most MACs allowed: 300M, or 300000000.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option("--max-params", metavar="N", help="The most parameters allowed: 5M.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin", metavar="P", help="Probability that the measured latency is to keep the budget, such as 0.95."
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            "--accuracy",
            metavar="WHAT",
            help="What is made large: your file.py:function, a score without training, params, or macs (if omitted).",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="WHAT", help="Images, for what learns from some: digits, a file, a folder."),
    ] = None,
    supernet: Annotated[
        str | None,
        typer.Option(
            "--supernet", metavar="FILE", help="A trained supernet (lutra supernet), for --accuracy once-for-all."
        ),
    ] = None,
    trade: Annotated[
        str | None,
        typer.Option(
            "--trade", metavar="NAMES", help="What is made small beside it: latency_ms, macs, params, peak_bytes."
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            help=f"How to search: grid, random, aging, {_STRATEGY} (if omitted), nsga2, reinforce, surrogate; or "
            "darts, fbnet, proxyless, which train a supernet.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the strategy; may be repeated."),
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option("--evaluations", "-n", metavar="N", min=1, help=f"Networks to evaluate; {_EVALUATIONS}."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="N", min=1, help="Networks asked for at once; as the strategy likes it."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", "-w", metavar="N", min=1, help="Processes that evaluate networks.")
    ] = 1,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Of all random choices; 0.")] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FOLDER", help=f"Where everything is kept; {_OUT}.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="FOLDER", help="Go on with a search that was stopped; or, with -n, further."),
    ] = None,
    remeasure: Annotated[
        int, typer.Option("--remeasure", metavar="K", min=0, help="Measure the K best on this machine afterwards.")
    ] = 0,
    runtime: RuntimeOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", metavar="N", help="Threads of the device's table; if omitted any.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", "-p", metavar="NAME", help="Number format of the device's table; if omitted any."),
    ] = None,
    engine: EngineOption = None,
    store: StoreOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a space for the most accurate network that a device runs within a budget.

    The budget is checked before anything is evaluated. Everything is kept in the folder as it comes, so that Ctrl-C or
    a crash loses nothing; the result is a table of the best trade-offs, the architecture as JSON, ONNX and torch code,
    and a picture. What is called accuracy is named as what it is.
    """
    from ..searching import gradient, runs

    given: dict[str, Any] = {"--space": space, "--device": device, "--model": model, "--max-ms": max_ms}
    given |= {"--max-macs": max_macs, "--max-params": max_params, "--margin": margin, "--accuracy": accuracy}
    given |= {
        "--supernet": supernet,
        "--data": data,
        "--trade": trade,
        "--strategy": strategy,
        "--set": parameters or None,
        "--batch": batch,
    }
    given |= {"--out": out, "--runtime": runtime, "--threads": threads, "--precision": precision, "--engine": engine}
    given |= {"--store": store, "--seed": seed, "--also": also or None}
    if server is not None:
        here = {"--store": store, "--resume": resume, "--workers": workers if workers > 1 else None}
        _on_a_server(server, here, given, evaluations or _EVALUATIONS, remeasure, as_json)
        return
    if resume is not None:
        folder = Path(resume)
        settings = _resumed(folder, given, evaluations)
    else:
        folder = Path(out or _OUT)
        settings = _settings(given, evaluations or _EVALUATIONS)
        if gradient.is_kind(settings.strategy):
            unmeant = {name: given[name] for name in _FOR_EVALUATIONS}
            unmeant |= {"--evaluations": evaluations, "--workers": workers if workers > 1 else None}
            gradient.refuse(settings.strategy, (name for name, value in unmeant.items() if value is not None))
        _require_new(folder, f"go on with lutra search --resume {folder}, or give another --out")
    if remeasure:
        _require_here(settings)
    prepared = runs.prepare(settings, folder)
    folder.mkdir(parents=True, exist_ok=resume is not None)
    prepared.settings.save(folder)
    try:
        done = runs.run(prepared, folder, workers=workers)
        if done.result.stopped == "cancelled":
            raise KeyboardInterrupt
        _reported(done, folder, remeasure, as_json)
    except KeyboardInterrupt:
        runs.tell_how_to_go_on(folder)
        raise typer.Exit(5) from None


def _on_a_server(
    server: str, here: dict[str, Any], given: dict[str, Any], evaluations: int, remeasure: int, as_json: bool
) -> None:
    """Have a server's worker search, and fetch what it found."""
    from ..client import Client
    from ..remote import finished_job, refuse_local
    from ..searching.elsewhere import fetched, request_of

    refuse_local(here)
    folder = Path(given["--out"] or _OUT)
    _require_new(folder, "give another --out")
    settings = _settings(given | {"--model": None}, evaluations)
    request = request_of(settings, fit_job=given["--model"], remeasure=remeasure)
    with Client(server) as client:
        job = finished_job(client, server, "search", request)
        told = fetched(client, job, folder)
        if as_json:
            echo_json(client.jobs.result(job.id) | {"folder": str(folder)})
        else:
            typer.echo(f"{told}kept in {folder}")


def _require_new(folder: Path, hint: str) -> None:
    """Refuse a folder that is there, before anything is looked up."""
    from ...networks.errors import UsageError

    if folder.exists():
        raise UsageError(f"{folder} exists", hint=hint)


def _settings(given: dict[str, Any], evaluations: int) -> "Settings":
    """What the command line asks for.

    Raises:
        UsageError: no space, or options that do not go together.
    """
    from ...networks.errors import UsageError
    from ..searching.accuracy import ONCE_FOR_ALL
    from ..searching.asked import absolute, also_of, count_of, parameters_of, placed, store_of
    from ..searching.gradient import DIGITS
    from ..searching.settings import Settings

    if given["--space"] is None:
        raise UsageError("no space is named", hint="name one: --space ofa-mbv3; lutra spaces lists them")
    if given["--model"] is not None:
        told = [name for name in ("--device", "--runtime", "--threads", "--precision", "--engine") if given[name]]
        if told:
            raise UsageError(f"--model and {', '.join(told)}", hint="a saved predictor has its device in it")
    strategy = given["--strategy"] or _STRATEGY
    bounds = {"latency_ms": given["--max-ms"], "macs": count_of("--max-macs", given["--max-macs"])}
    bounds["params"] = count_of("--max-params", given["--max-params"])
    return Settings(
        space=placed(given["--space"]),
        device=placed(given["--device"] or _DEVICE),
        model=absolute(given["--model"]),
        runtime=given["--runtime"],
        threads=given["--threads"],
        precision=given["--precision"],
        engine=given["--engine"] and placed(given["--engine"]),
        store=given["--store"] and store_of(given["--store"]),
        strategy=strategy,
        parameters=parameters_of(strategy, given["--set"] or []),
        accuracy=placed(given["--accuracy"] or (ONCE_FOR_ALL if given["--supernet"] else _ACCURACY)),
        data=given["--data"] if given["--data"] == DIGITS else absolute(given["--data"]),
        supernet=absolute(given["--supernet"]),
        trade=tuple(split_names(given["--trade"])),
        bounds={name: bound for name, bound in bounds.items() if bound is not None},
        also=also_of(given["--also"] or []),
        margin=given["--margin"],
        evaluations=evaluations,
        batch=given["--batch"],
        seed=given["--seed"] or 0,
    )


def _resumed(folder: Path, given: dict[str, Any], evaluations: int | None) -> "Settings":
    """The settings of a search that goes on; further than it was to go, if so many are asked for.

    Raises:
        SearchStateError: the folder holds no search.
        UsageError: options that would make it another search.
    """
    from dataclasses import replace

    from ...networks.errors import SearchStateError, UsageError
    from ..searching.settings import Settings

    settings = Settings.load(folder)
    if given["--space"] not in (None, settings.space):
        raise SearchStateError(
            f"{folder} is a search of {settings.space}, not of {given['--space']}",
            hint="leave --space out, or begin anew in another folder",
        )
    other = [name for name, value in given.items() if value is not None and name != "--space"]
    if other:
        raise UsageError(f"--resume and {', '.join(other)}", hint="a search goes on as it began; leave them out")
    return settings if evaluations is None else replace(settings, evaluations=evaluations)


def _require_here(settings: "Settings") -> None:
    """Make sure that networks can be measured, before hours of searching."""
    from ...networks.errors import NotSupportedError
    from ..searching.devices import device_here

    if device_here(settings) is None:
        raise NotSupportedError(
            f"networks cannot be measured on {settings.model or settings.device} from here",
            hint="leave --remeasure out; lutra profile on the device itself can measure best.onnx",
        )


def _reported(done: "Run", folder: Path, remeasure: int, as_json: bool) -> None:
    """Write what was found into its folder, and show it."""
    from ..searching.folder import write_files
    from ..searching.measuring import measured
    from ..searching.report import SearchReport

    report = SearchReport.of(done)
    if remeasure:
        report = measured(report, remeasure)
    written = write_files(report, folder)
    if as_json:
        echo_json(report.to_dict() | {"folder": str(folder)})
        return
    typer.echo(f"{report}\nkept in {folder}: {', '.join(sorted(written))}")
