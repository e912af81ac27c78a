"""The figures and the page that come of `benchmarks.measuring`'s parts."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lutra.predictors.metrics import mape, spearman, within

from ._results import Figure

Part = Mapping[str, Any]

_GOALS = {  # part: figure's prefix, goals of MAPE and of the share within 10 %, in percent
    "ort-1": ("ort_1t", 4.0, 98.0),
    "ort-2": ("ort_2t", 3.5, 98.0),
    "torch-1": ("torch_eager_1t", 3.5, None),
    "torch-2": ("torch_eager_2t", 4.5, None),
    "compile-1": ("torch_compile_1t", 5.0, None),
}
RUNS = {
    "ort-1": ("onnxruntime", 1),
    "ort-2": ("onnxruntime", 2),
    "torch-1": ("torch", 1),
    "torch-2": ("torch", 2),
    "compile-1": ("torch-compile", 1),
}
_BATCH_TITLE = "## Other batch sizes, and 8 bits, 1 thread"
_LAYERS_TITLE = "## Layers and blocks instead of kernels, onnxruntime, 1 thread"
_BATCH_FIGURES = {  # figure: runtime, precision, batch sizes
    "ort_batch4_mape_pct": ("onnxruntime", "float32", (4,)),
    "ort_batch16_mape_pct": ("onnxruntime", "float32", (16,)),
    "ort_int8_mape_pct": ("onnxruntime", "int8", (1,)),
    "native_mape_pct": ("native", "float32", (1, 4)),
    "native_int8_mape_pct": ("native", "int8", (1, 4)),
}
_RANK_GOAL = 0.995
_REPEAT_GOAL_PCT, _BUSY_GOAL_PCT = 3.0, 6.0
_NN_METER = "nn-Meter: 99.0 % within ±10 % on one phone's CPU, as published"


def figures(parts: Mapping[str, Part], command: str) -> list[Figure]:
    """The figures of the parts that are there, each with the noise floor of the same networks in its protocol."""
    return [
        Figure(command=command, **values)
        for made in (_accuracy(parts), _batches(parts), _recipes(parts), _repeats(parts), _effort(parts))
        for values in made
    ]


def _columns(part: Part, *names: str) -> list[list[float]]:
    return [[row[name] for row in part["networks"]] for name in names]


def _accuracy(parts: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    for name, (prefix, mape_goal, within_goal) in _GOALS.items():
        if name not in parts:
            continue
        part = parts[name]
        measured, predicted, again = _columns(part, "measured_ms", "predicted_ms", "again_ms")
        floor = mape(measured, again)
        worst = max(part["networks"], key=lambda row: abs(row["predicted_ms"] / row["measured_ms"] - 1))
        error = 100 * (worst["predicted_ms"] / worst["measured_ms"] - 1)
        protocol = (
            f"{part['runtime']}, {part['threads']} thread(s), float32, batch 1: {len(measured)} networks (the zoo at "
            f"224 and 160, transformers, random Once-for-All and NAS-Bench-201 samples), each timed in turns with its "
            f"kernels, {_in_turns(part)}; p25. Worst: {worst['network']} {error:+.1f} %. Noise floor (the same "
            f"networks measured again): MAPE {floor:.1f} %, {100 * within(measured, again, 10):.0f} % within ±10 %. "
            f"{part['kernels']} kernels in {part['campaign_s'] / 60:.1f} min."
        )
        base = {"peer": "", "protocol": protocol}
        yield base | _figure(f"{prefix}_mape_pct", mape(measured, predicted), "%", mape_goal, "lower")
        if within_goal is not None:
            share = 100 * within(measured, predicted, 10)
            peer = {"peer": _NN_METER}
            yield base | _figure(f"{prefix}_within10_pct", share, "%", within_goal, "higher") | peer
        yield base | _figure(f"{prefix}_spearman", spearman(measured, predicted), "(rank)", _RANK_GOAL, "higher")
        if _has_shared(part):
            (shared,) = _columns(part, "shared_ms")
            protocol = (
                "What one table of all these networks says of each, most of whose rows are from other moments than the "
                f"network's clock; {100 * within(measured, shared, 10):.0f} % within ±10 %."
            )
            yield {"peer": "", "protocol": protocol} | _figure(
                f"{prefix}_one_table_mape_pct", mape(measured, shared), "%", None, "lower"
            )


def _in_turns(part: Part) -> str:
    return "all of them anew" if _has_shared(part) else "those that several share with the first of these"


def _has_shared(part: Part) -> bool:
    return "shared_ms" in part["networks"][0]


def _batches(parts: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    for name, (runtime, precision, sizes) in _BATCH_FIGURES.items():
        rows = [
            row
            for row in parts.get("batch", {}).get("networks", ())
            if (row["runtime"], row["precision"]) == (runtime, precision) and row["batch"] in sizes
        ]
        if not rows:
            continue
        errors = [100 * (row["predicted_ms"] / row["measured_ms"] - 1) for row in rows]
        told = ", ".join(
            f"{row['network']} at batch {row['batch']} {error:+.1f} %" for row, error in zip(rows, errors, strict=True)
        )
        protocol = f"{runtime}, 1 thread, {precision}, each network timed in turns with its kernels; p25: {told}."
        value = statistics.mean(map(abs, errors))
        yield {"peer": "", "protocol": protocol} | _figure(name, value, "%", None, "lower")


def _recipes(parts: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    if "layers" not in parts:
        return
    part = parts["layers"]
    measured, layers, blocks = _columns(part, "measured_ms", "layers_ms", "blocks_ms")
    told = {
        "naive_ort_1t_mape_pct": (layers, "each layer as a model of its own, warm"),
        "block_ort_1t_mape_pct": (blocks, "activations joined to what is before them, as nn-Meter's rules do"),
    }
    for name, (sums, recipe) in told.items():
        protocol = (
            f"What a table of layers says of the same networks on ONNX Runtime, 1 thread: {recipe}; each network timed "
            f"in turns with its pieces. Within ±10 %: {100 * within(measured, sums, 10):.0f} %."
        )
        yield {"peer": "a peer of ort_1t_mape_pct", "protocol": protocol} | _figure(
            name, mape(measured, sums), "%", None, "lower"
        )


def _repeats(parts: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    first = parts.get("first", {}).get("rows", {})
    for name, part, goal, what in (
        ("repeat_median_diff_pct", "second", _REPEAT_GOAL_PCT, "an hour and a process apart"),
        ("repeat_busy_median_diff_pct", "busy", _BUSY_GOAL_PCT, "the second time with two busy loops on both cores"),
    ):
        if part not in parts or not first:
            continue
        differences = _differences(first, parts[part]["rows"])
        protocol = (
            f"{len(differences)} kernels of four networks on ONNX Runtime, 1 thread, measured twice, {what}, both "
            f"normalised to one nominal speed: median of |difference| over the mean; nine tenths are below "
            f"{statistics.quantiles(differences, n=10)[-1]:.1f} %."
        )
        yield {"peer": "", "protocol": protocol} | _figure(name, statistics.median(differences), "%", goal, "lower")


def _differences(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    return [
        100 * abs(first[key] - second[key]) / ((first[key] + second[key]) / 2)
        for key in first.keys() & second.keys()
        if first[key] + second[key] > 0
    ]


def _effort(parts: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    if not {"effort", "precision"} <= parts.keys():
        return
    campaign, precision = parts["effort"], parts["precision"]
    share = 100 * campaign["measured_share"]
    protocol = (
        f"Wall time inside samples over that of a campaign on ONNX Runtime, 1 thread ({campaign['kernels']} kernels of "
        f"four networks and these themselves, {campaign['campaign_s'] / 60:.1f} min, median half-width "
        f"{100 * campaign['median_halfwidth']:.1f} %); the rest is preparing sessions, starting the "
        "worker and committing rows."
    )
    yield {"peer": "", "protocol": protocol} | _figure("measured_share_pct", share, "%", 80.0, "higher")
    seconds = precision["seconds"]
    protocol = (
        f"{precision['kernel']}, {precision['latency_ms']:.2f} ms: from the start of the measurement, warm-up "
        f"included, until the interval of p25 is within ±2 %; median of {len(seconds)}, range {min(seconds):.2f} to "
        f"{max(seconds):.2f} s, {sum(precision['converged'])} of {len(seconds)} reached it."
    )
    value = statistics.median(seconds)
    yield {"peer": "", "protocol": protocol} | _figure("one_ms_kernel_to_2pct_s", value, "s", 0.5, "lower")


def _figure(name: str, value: float, unit: str, goal: float | None, better: str) -> dict[str, Any]:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "better": better}


_INTRODUCTION = """\
<!-- Made by `make bench-measuring`; do not edit. -->
# Accuracy

How well the sum of measured kernels agrees with the clock, network by network: the figures behind the area
*measuring* of the [scoreboard](scoreboard.md). Errors are of the prediction, in percent of the measured latency;
*again* is the network measured once more by itself, which shows how far the clock agrees with itself.
"""


def page(parts: Mapping[str, Part], old: str = "") -> str:
    """`docs/accuracy.md`; sections of parts that are not given stay as they are in the ``old`` page."""
    kept = _sections_of(old)
    titles = {name: _title(*runs) for name, runs in RUNS.items()} | {"batch": _BATCH_TITLE, "layers": _LAYERS_TITLE}
    sections = [
        f"{title}\n\n{_body(name, parts[name])}\n" if name in parts else kept.get(title)
        for name, title in titles.items()
    ]
    return "\n".join([_INTRODUCTION, *filter(None, sections)])


def _body(name: str, part: Part) -> str:
    if name == "batch":
        return _table(part["networks"], _BATCH_HEADINGS, _batch_cells)
    if name == "layers":
        return _table(part["networks"], _RECIPE_HEADINGS, _recipe_cells)
    measured, predicted = _columns(part, "measured_ms", "predicted_ms")
    goal = _GOALS[name][1]
    lead = f"MAPE {mape(measured, predicted):.1f} % (goal {goal:g} %), Spearman {spearman(measured, predicted):.4f}."
    return f"{lead}\n\n{_table(part['networks'], _HEADINGS, _accuracy_cells)}"


def _title(runtime: str, threads: int) -> str:
    return f"## {runtime}, {threads} thread{'s' * (threads > 1)}"


def _sections_of(page: str) -> dict[str, str]:
    """The sections of a page by their headings."""
    pieces = page.split("\n## ")[1:]
    return {f"## {piece.splitlines()[0]}": f"## {piece.rstrip()}\n" for piece in pieces}


_HEADINGS = ("network", "predicted ms", "measured ms", "error %", "again %", "inside")
_BATCH_HEADINGS = ("network", "runtime", "precision", "batch", "predicted ms", "measured ms", "error %")
_RECIPE_HEADINGS = ("network", "measured ms", "layers ms", "error %", "blocks ms", "error %")


def _table(rows: Sequence[Part], headings: Sequence[str], cells: Any) -> str:
    rule = "|---|" + "---:|" * (len(headings) - 1)
    return "\n".join([_line(headings), rule, *(_line(cells(row)) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _accuracy_cells(row: Part) -> tuple[str, ...]:
    measured = row["measured_ms"]
    inside = "yes" if row["low_ms"] <= measured <= row["high_ms"] else "no"
    return (
        row["network"],
        f"{row['predicted_ms']:.3g}",
        f"{measured:.3g}",
        _percent(row["predicted_ms"], measured),
        _percent(row["again_ms"], measured),
        inside,
    )


def _batch_cells(row: Part) -> tuple[str, ...]:
    predicted, measured = row["predicted_ms"], row["measured_ms"]
    told = (row["network"], row["runtime"], row["precision"], str(row["batch"]))
    return (*told, f"{predicted:.3g}", f"{measured:.3g}", _percent(predicted, measured))


def _recipe_cells(row: Part) -> tuple[str, ...]:
    measured, layers, blocks = row["measured_ms"], row["layers_ms"], row["blocks_ms"]
    sums = (f"{layers:.3g}", _percent(layers, measured), f"{blocks:.3g}", _percent(blocks, measured))
    return (row["network"], f"{measured:.3g}", *sums)


def _percent(value: float, of: float) -> str:
    return f"{100 * (value / of - 1):+.1f}"
