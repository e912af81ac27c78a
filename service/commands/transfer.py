"""``lutra transfer``: which architectures to measure on a new device, and a predictor from what was measured."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import JsonOption, echo_json, split_names

if TYPE_CHECKING:
    from ..candidates import Candidates

_TOLD = 5  # sources and costs that explain most


def transfer(
    candidates: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV or Parquet file: one architecture a row, its choices as numbers.")
    ],
    sources: Annotated[
        str | None,
        typer.Option("--sources", metavar="COLUMNS", help="Latencies on other devices; names end in the unit."),
    ] = None,
    costs: Annotated[
        str | None, typer.Option("--costs", metavar="COLUMNS", help="Counted quantities, such as MACs.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="COLUMNS", help="Columns of choices; all others if omitted.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", metavar="N", help="Choose so many to measure, and print them as CSV.")
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option("--measured", metavar="FILE", help="Those that were measured: the same choices, and latencies."),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option("--latency", metavar="COLUMN", help="Column of latencies, ending in its unit; latency_ms."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", "-d", metavar="NAME", help="What to call the new device.")
    ] = "unnamed device",
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where the predictor is kept.")
    ] = "lutra-predictor",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier predictor there.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of everything random.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """A new device from a handful of measurements: first which to make, then a predictor from them.

    With --samples it prints the architectures whose latencies would tell most; with --measured it fits a predictor to
    them and to what is known of the other devices. lutra predict --model FOLDER --encoding asks it.
    """
    from ...networks.errors import UsageError
    from ..candidates import read_candidates

    if (samples is None) == (measured is None):
        raise UsageError("give either --samples or --measured", hint="choose with the first, fit with the second")
    known = read_candidates(
        candidates, encoding=split_names(encoding), sources=split_names(sources), costs=split_names(costs)
    )
    if samples is not None:
        _choose(known, samples, seed, as_json)
        return
    assert measured is not None
    _fit(known, measured, latency=latency, device=device, out=out, overwrite=overwrite, seed=seed, as_json=as_json)


def _choose(known: "Candidates", samples: int, seed: int, as_json: bool) -> None:
    from ...predictors import TransferPredictor

    rows = TransferPredictor(known.prior, seed=seed).choose(known.codes, samples)
    if as_json:
        echo_json({"encoding": known.encoding, "rows": (1 + rows).tolist(), "chosen": known.codes[rows].tolist()})
        return
    typer.echo(",".join(known.encoding))
    for code in known.codes[rows]:
        typer.echo(",".join(f"{value:g}" for value in code))


def _fit(
    known: "Candidates",
    measured: str,
    *,
    latency: str | None,
    device: str,
    out: str,
    overwrite: bool,
    seed: int,
    as_json: bool,
) -> None:
    from ...predictors import TransferPredictor
    from ..samples import read_samples

    found = read_samples(measured, latency=latency, encoding=known.encoding)
    predictor = TransferPredictor(known.prior, device, seed=seed).fit(found.inputs, found.latencies_ms)
    assert predictor.fitted_ is not None
    folder = predictor.save(out, overwrite=overwrite)
    shares = dict(sorted(predictor.fitted_.shares.items(), key=lambda item: -item[1]))
    if as_json:
        echo_json({"saved": str(folder), "samples": len(found.latencies_ms), "shares": shares})
        return
    told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in [*shares.items()][:_TOLD])
    typer.echo(f"fitted to {len(found.latencies_ms)} samples of {device}, kept in {out}\nlike {told}")
