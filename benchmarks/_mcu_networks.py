"""Whole networks on simulated boards beside measured ones: nothing fitted, and after one factor a board and engine."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lutra.networks import zoo
from lutra.predictors import TablePredictor
from lutra.predictors.metrics import mape, spearman
from lutra.profiler import make_plan, resolve_device
from lutra.profiler.simulation import simulated_table
from lutra.service.board_validation import best_scale

from ._mcu_data import Measured, measured_networks, mlperf_tiny
from ._results import note


@cache
def simulated_ms(board: str, engine: str, networks: tuple[str, ...]) -> dict[str, float]:
    """Latencies of networks of the zoo, nothing calibrated."""
    device = resolve_device(board, engine=engine)
    plan = make_plan(device, map(zoo.build, networks), check=False)
    note(f"  {board} ({engine}): {len(plan.kernels)} layers")
    predictor = TablePredictor(simulated_table(device, plan.kernels.values()), interpolate=False)
    latencies = predictor.predict_batch([subject.network for subject in plan.subjects])
    return dict(zip(networks, latencies.tolist(), strict=True))


def measure() -> dict[str, Any]:
    """Every measured network simulated, by board and engine; and MLPerf Tiny's four."""
    groups: dict[str, list[Measured]] = {}
    for network in measured_networks():
        if network.latency_ms is not None:
            groups.setdefault(network.group, []).append(network)
    return {"groups": {name: _group(rows) for name, rows in groups.items()}, "mlperf": _mlperf()}


def _group(rows: Sequence[Measured]) -> dict[str, Any]:
    board, engine = rows[0].board, rows[0].engine
    simulated = simulated_ms(board, engine, tuple(row.network for row in rows))
    pairs = [(row.network, row.latency_ms, simulated[row.network]) for row in rows]
    return {"board": board, "engine": engine, "networks": [list(pair) for pair in pairs]}


def _mlperf() -> dict[str, Any]:
    measured = mlperf_tiny()
    names = {f"mlperf_tiny_{bench}": bench for bench in measured}
    simulated = simulated_ms("stm32l4r5", "tflm-like", tuple(names))
    return {bench: [measured[bench], simulated[name]] for name, bench in names.items()}


def summary(group: dict[str, Any]) -> dict[str, float]:
    """Errors of one board and engine; with one network there is nothing left to judge a factor by."""
    measured, simulated = (np.array([row[column] for row in group["networks"]]) for column in (1, 2))
    found = {
        "networks": float(len(measured)),
        "bias_pct": float(100 * np.mean(simulated / measured - 1)),
        "mape_pct": mape(measured, simulated),
    }
    if len(measured) >= 3:
        others = [best_scale(np.delete(measured, i), np.delete(simulated, i)) for i in range(len(measured))]
        found["scale"] = best_scale(measured, simulated)
        found["scaled_mape_pct"] = mape(measured, np.array(others) * simulated)
        found["spearman"] = spearman(measured, simulated)
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """The validation table as text."""
    told = ["networks, simulated beside measured (ms):"]
    for name, group in found["groups"].items():
        numbers = summary(group)
        scaled = (
            f"; x {numbers['scale']:.3f}: MAPE {numbers['scaled_mape_pct']:.1f} % (each left out of its own factor), "
            f"Spearman {numbers['spearman']:.3f}"
            if "scale" in numbers
            else ""
        )
        plain = f"bias {numbers['bias_pct']:+.1f} %, MAPE {numbers['mape_pct']:.1f} %"
        told.append(f"  {name} by {group['engine']}: {plain}{scaled}")
        told += [
            f"    {net:26} {ms:8.1f} {simulated:8.1f} {100 * (simulated / ms - 1):+7.1f} %"
            for net, ms, simulated in group["networks"]
        ]
    told.append("  MLPerf Tiny on stm32l4r5 (microTVM with CMSIS-NN) by tflm-like, nothing fitted:")
    told += [
        f"    {bench:26} {ms:8.2f} {simulated:8.2f} {100 * (simulated / ms - 1):+7.1f} %"
        for bench, (ms, simulated) in found["mlperf"].items()
    ]
    return told
