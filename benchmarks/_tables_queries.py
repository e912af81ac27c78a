"""How quick questions to tables are: sums over encoded architectures, and single rows by key.

Peers are what people write in Python: numpy's indexing by position and choice, and a dictionary of rows whose keys are
put together block by block, as once-for-all's latency tables do it. All take turns in one process and on one thread.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lutra.luts import _native
from lutra.luts.query import QueryIndex

from ._results import Better, Figure, Spread, spread

POSITIONS = 20
ARCHITECTURES = 1_000_000
CHOICES = (8, 16, 64)
USUAL_CHOICES = 16  # spaces of the field have 7 to 16 choices a position
ROUNDS = 9
FEW = 10_000  # architectures for the dictionary, which takes a hundred times as long
ROWS = (10_000, 1_000_000)
ASKED = 20_000
_KERNELS, _EXPANSIONS = (3, 5, 7, 9), (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 32)

Task = Callable[[], Any]


def measure() -> dict[str, Any]:
    """Seconds of thread CPU time per architecture or per query, by what was asked, in turns; about two minutes."""
    return {
        "isas": _native.available_isas(),
        "sums": {str(choices): _sums(choices) for choices in CHOICES},
        "queries": {str(rows): _queries(rows) for rows in ROWS},
    }


def _sums(choices: int) -> dict[str, list[float]]:
    random = np.random.default_rng(choices)
    costs = random.random((POSITIONS, choices), dtype=np.float32)
    columns = random.integers(0, choices, (POSITIONS, ARCHITECTURES), dtype=np.uint8)
    indices = np.ascontiguousarray(columns.T.astype(np.int64))
    limits, positions = np.full(POSITIONS, choices), np.arange(POSITIONS)
    by_isa = {isa: _native.DenseCosts(costs, limits, isa=isa) for isa in _native.available_isas()}
    rows, specs = _rows_by_text(costs)
    few = indices[:FEW].tolist()
    tasks: dict[str, tuple[Task, int]] = {
        **{isa: (partial(dense.evaluate, columns.T), ARCHITECTURES) for isa, dense in by_isa.items()},
        "numpy": (lambda: costs[positions, indices].sum(axis=1), ARCHITECTURES),
        "numpy columns": (lambda: _sum_columns(costs, columns), ARCHITECTURES),
        "once-for-all": (lambda: [_latency_by_text(rows, specs, code) for code in few], FEW),
    }
    expected = costs[positions, indices[:FEW]].sum(axis=1)
    for name, (task, _) in tasks.items():
        if not np.allclose(np.asarray(task())[:FEW], expected, rtol=1e-5):
            raise AssertionError(f"{name} gives other sums")
    return _in_turns(tasks)


def _sum_columns(costs: NDArray[np.float32], columns: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The quickest way that was found with numpy: a column at a time."""
    total: NDArray[np.float32] = costs[0].take(columns[0])
    for row, column in zip(costs[1:], columns[1:], strict=True):
        total += row.take(column)
    return total


def _rows_by_text(costs: NDArray[np.float32]) -> tuple[dict[str, dict[str, float]], list[list[Mapping[str, int]]]]:
    """Rows by a text that describes a block, and what describes the blocks, by position and choice."""
    described = [{"kernel": k, "expand": e} for k, e in product(_KERNELS, _EXPANSIONS)][: costs.shape[1]]
    specs = [[{"size": 224 - 4 * p, "channels": 16 + 8 * p, **block} for block in described] for p in range(POSITIONS)]
    texts = [[_text(spec) for spec in position] for position in specs]
    rows = {
        text: {"mean": float(cost), "std": 0.0, "count": 1}
        for position, values in zip(texts, costs, strict=True)
        for text, cost in zip(position, values, strict=True)
    }
    return rows, [list[Mapping[str, int]](position) for position in specs]


def _text(spec: Mapping[str, int]) -> str:
    image = f"{spec['size']}x{spec['size']}x{spec['channels']}"
    return f"block-input:{image}-output:{image}-expand:{spec['expand']}-kernel:{spec['kernel']}-stride:1-idskip:1"


def _latency_by_text(
    rows: Mapping[str, Mapping[str, float]], specs: Sequence[Sequence[Mapping[str, int]]], code: Sequence[int]
) -> float:
    total = 0.0
    for position, choice in zip(specs, code, strict=True):
        total += rows[_text(position[choice])]["mean"]
    return total


def _queries(rows: int) -> dict[str, list[float]]:
    random = np.random.default_rng(rows)
    packed = random.integers(0, 256, (rows, 16), dtype=np.uint8)
    latencies = random.random(rows)
    index = QueryIndex(packed, latencies)
    order = random.permutation(rows)
    asked, batch = [bytes(packed[i]).hex() for i in order[:ASKED]], packed[order]
    plain = {bytes(key).hex(): float(latency) for key, latency in zip(packed, latencies, strict=True)}
    if [index.get(key) for key in asked] != [plain[key] for key in asked]:
        raise AssertionError("the index gives other rows")
    return _in_turns(
        {
            "batch": (lambda: index.lookup(batch), rows),
            "python": (lambda: [index.get(key) for key in asked], len(asked)),
            "dict": (lambda: [plain.get(key) for key in asked], len(asked)),
        }
    )


def _in_turns(tasks: Mapping[str, tuple[Task, int]]) -> dict[str, list[float]]:
    """Seconds of CPU time per item, by task; each task once a round, after one that only warms up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(ROUNDS + 1):
        for name, (task, items) in tasks.items():
            start = time.thread_time()
            task()
            if turn:
                times[name].append((time.thread_time() - start) / items)
    return times


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of what `measure` has found."""
    return [*_figures_of_sums(found, command), *_figures_of_queries(found, command)]


def _figures_of_sums(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    portable, best = found["isas"][0], found["isas"][-1]
    goal = 25.0 if best.startswith("avx512") else 8.0
    how = (
        f"Latencies of {ARCHITECTURES} architectures of {POSITIONS} positions with {{choices}} choices each, uint8 "
        f"codes in column order, float32 costs, one thread; {ROUNDS} rounds in turns, thread CPU time. "
    )
    for choices in CHOICES:
        times, suffix = found["sums"][str(choices)], "" if choices == USUAL_CHOICES else f"_{choices}_choices"
        protocol = how.format(choices=choices) + f"Instruction set {best}: "
        rate = spread([1 / seconds for seconds in times[best]])
        yield _figure(f"batch_sums_per_s_per_core{suffix}", rate, "1/s", None, "higher", "", protocol, command)
        ratio, columns = _ratio(times, "numpy", best), _ratio(times, "numpy columns", best)
        beside = (
            f"numpy indexes [positions, int64 codes] and sums; summing column by column instead, {columns.median:.3g}: "
        )
        yield _figure(f"ratio_vs_numpy{suffix}", ratio, "x", goal, "higher", "numpy", protocol + beside, command)
    ratios = {choices: _ratio(found["sums"][str(choices)], "numpy", portable) for choices in CHOICES}
    worst = min(ratios, key=lambda choices: ratios[choices].median)
    listed = ", ".join(f"{ratio.median:.3g} with {choices}" for choices, ratio in ratios.items())
    protocol = how.format(choices=worst) + f"Code without vector instructions ({portable}); {listed} choices: "
    yield _figure("ratio_portable_vs_numpy", ratios[worst], "x", 8.0, "higher", "numpy", protocol, command)
    protocol = how.format(choices=USUAL_CHOICES) + (
        f"Instruction set {best}, beside a Python dictionary of rows whose keys are texts put together for each block, "
        f"as once-for-all's tables do, with {FEW} architectures: "
    )
    ratio = _ratio(found["sums"][str(USUAL_CHOICES)], "once-for-all", best)
    yield _figure("ratio_vs_once_for_all", ratio, "x", None, "higher", "once-for-all (style)", protocol, command)


def _figures_of_queries(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    for rows in ROWS:
        times = found["queries"][str(rows)]
        suffix = "" if rows == ROWS[0] else "_million_rows"
        batch, single = (spread([seconds * scale for seconds in times[name]]) for name, scale in _UNITS.items())
        how = f"A table of {rows} rows, keys in random order; {ROUNDS} rounds in turns, thread CPU time. "
        protocol = how + "All rows in one C++ loop over packed keys, which fetches slots ahead: "
        yield _figure(f"exact_query_ns{suffix}", batch, "ns", 300.0, "lower", "", protocol, command)
        plain = statistics.median(times["dict"]) * 1e6
        protocol = how + f"QueryIndex.get of a text, in a Python loop; dict.get takes {plain:.2g} us: "
        goal = 2.0 if rows == ROWS[0] else None
        yield _figure(f"exact_query_python_us{suffix}", single, "us", goal, "lower", "dict", protocol, command)


_UNITS = {"batch": 1e9, "python": 1e6}


def _ratio(times: Mapping[str, Sequence[float]], slow: str, fast: str) -> Spread:
    return spread([slow_s / fast_s for slow_s, fast_s in zip(times[slow], times[fast], strict=True)])


def _figure(
    name: str, found: Spread, unit: str, goal: float | None, better: Better, peer: str, protocol: str, command: str
) -> Figure:
    return Figure(
        figure=name,
        value=found.median,
        unit=unit,
        goal=goal,
        better=better,
        peer=peer,
        protocol=f"{protocol}{found}.",
        command=command,
    )
