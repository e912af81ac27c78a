"""Speed of simulated boards at work: a network from nothing, and TinyNAS' whole grid of spaces from a table."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lutra.luts import Store
from lutra.luts.dense import DenseTable
from lutra.luts.features import shape_of
from lutra.nas import spaces
from lutra.nas.spaces.tinynas import WIDTHS
from lutra.networks.lowering.blocks import LoweredSpace, lower_blocks
from lutra.profiler import Device, Plan, resolve_device, run_campaign
from lutra.profiler.simulation import simulate_all

from ._results import ROOT, note

BOARD = "stm32f746"
NETWORK = "mcunet-in3"
PER_KIND = 100  # layers of each kind that the table has
HELD_OUT = 100
PER_SPACE = 1000
_REPEATS = 3


def cold_profile() -> dict[str, Any]:
    """Seconds of `lutra predict` for an 82-MMAC network on one core, with an empty store each time."""
    return {"seconds": [_cold_s() for _ in range(_REPEATS)]}


def _cold_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "lutra.db"
        command = [sys.executable, "-m", "lutra.service.cli", "predict", NETWORK, "--device", "stm32h743"]
        core = {min(os.sched_getaffinity(0))}
        started_s = time.monotonic()
        subprocess.run(
            [*command, "--store", str(store)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, core),
        )
        return time.monotonic() - started_s


def whole_grid() -> dict[str, Any]:
    """Latencies of 1,000 random networks of each width and resolution, and the seconds that this took.

    The table has up to `PER_KIND` layers of each kind, from the smallest to the largest of all spaces; making it is
    timed apart. How far what it interpolates is off is measured on other layers, simulated afterwards.
    """
    device = resolve_device(BOARD)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "lutra.db", create=True) as store:
        made_s = _fill(device, store)
        started_s = time.monotonic()
        table = store.table(device.fingerprint)
        rng = np.random.default_rng(0)
        networks = 0
        kernels: dict[str, Any] = {}
        for width in WIDTHS:
            for lowered in _lowered(width):
                dense = DenseTable(lowered, table, interpolate=True)
                codes = rng.integers(0, np.array(dense.choices), (PER_SPACE, len(dense.choices)))
                networks += int(np.isfinite(dense.latencies_ms(codes, allow_missing=True)).sum())
                kernels |= lowered.distinct
        taken_s = time.monotonic() - started_s
        note(f"  {networks} networks in {taken_s:.1f} s, after {made_s:.1f} s for the table")
        return {
            "seconds": taken_s,
            "table_seconds": made_s,
            "networks": networks,
            "rows": len(list(table.rows("kernel"))),
            "kernels": len(kernels),
            "held_out_errors_pct": _held_out(device, store, kernels),
        }


def _lowered(width: float) -> list[LoweredSpace]:
    """The space of a width, for each size of image."""
    space = spaces.build(f"tinynas-w{width:.1f}")
    return [lower_blocks(chain, "mcu", precision="int8") for chain in space.chains()]


def _fill(device: Device, store: Store) -> float:
    """Simulate random layers of all spaces into the store; the seconds that this took."""
    started_s = time.monotonic()
    kernels: dict[str, Any] = {}
    for width in WIDTHS:
        for lowered in _lowered(width):
            kernels |= lowered.distinct
    run_campaign(Plan(device, (), False, _chosen(kernels)), store)
    return time.monotonic() - started_s


def _chosen(kernels: dict[str, Any]) -> dict[str, Any]:
    """Layers of each kind at even steps through their order by size."""
    by_kind: dict[str, list[str]] = {}
    for key in sorted(kernels, key=lambda key: (kernels[key].macs, kernels[key].bytes_moved, key)):
        by_kind.setdefault(shape_of(kernels[key]).kind, []).append(key)
    chosen: dict[str, Any] = {}
    for keys in by_kind.values():
        steps = np.linspace(0, len(keys) - 1, min(PER_KIND, len(keys)))
        chosen |= {keys[int(step)]: kernels[keys[int(step)]] for step in steps}
    return chosen


def _held_out(device: Device, store: Store, kernels: dict[str, Any]) -> list[float]:
    """Errors in % of interpolated layers, beside what simulating them gives."""
    table = store.table(device.fingerprint)
    others = [key for key in np.random.default_rng(2).permutation(sorted(kernels)) if not table.lookup(key).covered]
    chosen = [kernels[key] for key in others[:HELD_OUT]]
    answers = {answer.key: answer for answer in table.interpolator.answers(chosen)}
    assert device.simulator is not None
    rows = simulate_all(device.simulator, chosen)
    pairs = ((answers[row.subject_key].latency_ns, row.latency_ns) for row in rows)
    return [100 * (guess / truth - 1) for guess, truth in pairs if guess is not None]
