"""Figures of measuring: how well sums of measured kernels agree with the clock, and how well tables repeat.

``python -m benchmarks.measuring`` measures all parts, some two hours on a quiet machine, most of it torch; each part
that is done is kept in `build/bench`, so that a run that was stopped goes on. ``python -m benchmarks.measuring PART
...`` measures some parts anew. `benchmarks/results/measuring.json` and `docs/accuracy.md` are written of the parts that
are there.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lutra.luts import Store, Table
from lutra.networks import Network, NetworkBuilder, zoo
from lutra.predictors import TablePredictor
from lutra.profiler import Plan, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.client import WorkerClient
from lutra.profiler.copies import copies_of

from . import _networks
from ._measuring_report import RUNS, figures, page
from ._parts import WORK, Part, part_path, run_parts
from ._results import ROOT, note
from .layers import layer_sums

COMMAND = "make bench-measuring"
PAGE = ROOT / "docs" / "accuracy.md"

_REPEATED = ("mobilenet_v2", "resnet18", "vit_tiny", "shufflenet_v2_x1_0")
_APART_S = 3600.0
_CO_RUNNERS = 2
_PRECISION_TRIALS = 7
_SETTINGS = Settings(patience_s=30.0)
_BATCHED = ("mobilenet_v2", "resnet18", "shufflenet_v2_x1_0")
_BATCHES = (  # runtime, precision, batch sizes
    ("onnxruntime", "float32", (4, 16)),
    ("onnxruntime", "int8", (1,)),
    ("native", "float32", (1, 4)),
    ("native", "int8", (1, 4)),
)
_BATCH_SETTINGS = Settings(samples_per_visit=1, max_rounds=12, patience_s=10.0)
"""One sample a visit: at batch 16 one takes up to a quarter of a second."""


def scored(runtime: str, threads: int) -> dict[str, Any]:
    """Profile the networks on a runtime one by one, each in turns with all of its kernels, and once more whole.

    Kernels that several networks share are measured anew with each of them, so that a slow stretch of the machine
    falls on a network and on its kernels alike. What the table left at the end says of all of them, as one who built
    it from many networks would ask it, stands beside that.
    """
    given = _networks.networks()
    device = resolve_device("host", runtime=runtime, threads=threads)
    started = time.monotonic()
    plans = [make_plan(device, [network]) for network in given]
    planned_s = time.monotonic() - started
    rows, results = [], []
    with Store.open(_fresh_store(f"{runtime}-{threads}.db")) as store:
        for network, plan in zip(given, plans, strict=True):
            note(f"{runtime}, {threads} thread(s): {network.name}, {len(plan.kernels)} kernels")
            result = run_campaign(plan, store, fresh=True, settings=_SETTINGS, progress=_Teller())
            assert result.table is not None
            rows.append(_row(network, result.table))
            results.append(result)
        campaign_s = time.monotonic() - started - planned_s
        table = store.table(device.fingerprint)
        shared = [TablePredictor(table).explain(network).latency_ms for network in given]
        again = run_campaign(make_plan(device, given), store, recheck=True, settings=_SETTINGS, progress=_Teller())
        assert again.table is not None
        for row, network, shared_ms in zip(rows, given, shared, strict=True):
            row |= {"again_ms": _measured_ms(network, again.table), "shared_ms": shared_ms}
    halfwidths = [r.rel_halfwidth for r in table.rows("kernel") if r.rel_halfwidth is not None]
    return {
        "runtime": runtime,
        "threads": threads,
        "networks": rows,
        "kernels": sum(len(plan.kernels) for plan in plans),
        "distinct": len({key for plan in plans for key in plan.kernels}),
        "failed": {label: reason for result in results for label, reason in result.failed.items()},
        "noisy": sum(len(result.noisy) for result in results),
        "plan_s": planned_s,
        "campaign_s": campaign_s,
        "median_halfwidth": statistics.median(halfwidths),
    }


def _row(network: Network, table: Table) -> dict[str, Any]:
    prediction = TablePredictor(table).explain(network)
    return {
        "network": network.name,
        "macs": network.macs,
        "predicted_ms": prediction.latency_ms,
        "low_ms": prediction.low_ms,
        "high_ms": prediction.high_ms,
        "measured_ms": _measured_ms(network, table),
    }


def _measured_ms(network: Network, table: Table) -> float:
    row = table.get("network", network.fingerprint)
    assert row is not None
    return row.latency_ns / 1e6


def batches() -> dict[str, Any]:
    """A few networks at other batch sizes and in 8 bits, each timed in turns with its kernels."""
    return {"networks": [row for given in _BATCHES for row in _batch_rows(*given)]}


def _batch_rows(runtime: str, precision: str, sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    networks = {(name, size): zoo.build(name, batch=size) for size in sizes for name in _BATCHED}
    note(f"{runtime} in {precision} at batch {', '.join(map(str, sizes))}")
    plan = make_plan(resolve_device("host", runtime=runtime, precision=precision), networks.values())
    with Store.open(_fresh_store(f"batch-{runtime}-{precision}.db")) as store:
        result = run_campaign(plan, store, settings=_BATCH_SETTINGS, progress=_Teller())
    assert result.table is not None
    for (_, size), network in networks.items():
        yield _row(network, result.table) | {"runtime": runtime, "precision": precision, "batch": size}


def layers() -> dict[str, Any]:
    """The same networks from tables of layers and of blocks, timed in turns with the whole."""
    rows = []
    for network in _networks.networks():
        note(f"layers and blocks of {network.name}")
        rows.append({"network": network.name} | asdict(layer_sums(network, 1)))
    return {"networks": rows}


def first_table() -> dict[str, Any]:
    """A table to repeat an hour later."""
    return {"rows": _table(_fresh_store("repeat.db")), "at_s": time.time()}


def second_table() -> dict[str, Any]:
    """The same table an hour and a process later, at the nominal speed of the first."""
    first = json.loads(part_path("measuring", "first").read_text())
    time.sleep(max(0.0, first["at_s"] + _APART_S - time.time()))
    return {"rows": _table(WORK / "repeat.db"), "apart_s": time.time() - first["at_s"]}


def busy_table() -> dict[str, Any]:
    """The same table with busy neighbours on the same cores."""
    with _co_runners():
        return {"rows": _table(WORK / "repeat.db")}


def _table(path: Path) -> dict[str, float]:
    """Latency in ns of each kernel, all measured anew into the store at ``path``."""
    plan = _plan([zoo.build(name) for name in _REPEATED])
    with Store.open(path) as store:
        settings = Settings(patience_s=0.0)
        table = run_campaign(plan, store, fresh=True, settings=settings, progress=_Teller()).table
    assert table is not None
    return {row.subject_key: row.latency_ns for row in table.rows("kernel") if row.status != "failed"}


def _plan(networks: list[Network]) -> Plan:
    return make_plan(resolve_device("host", runtime="onnxruntime"), networks, check=False)


@contextmanager
def _co_runners() -> Iterator[None]:
    """Two endless loops, each on a core that the measurement uses as well."""
    loop = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(loop) for _ in range(_CO_RUNNERS)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def effort() -> dict[str, Any]:
    """Where the time of one campaign goes: the networks of the repeated table with their kernels."""
    plan = make_plan(resolve_device("host", runtime="onnxruntime"), [zoo.build(name) for name in _REPEATED])
    started = time.monotonic()
    with Store.open(_fresh_store("effort.db")) as store:
        result = run_campaign(plan, store, settings=_SETTINGS, progress=_Teller())
    assert result.table is not None
    return {
        "kernels": len(plan.kernels),
        "campaign_s": time.monotonic() - started,
        "measured_share": result.measured_share,
        "median_halfwidth": result.table.summary().median_rel_halfwidth,
    }


def precision() -> dict[str, Any]:
    """How long a kernel of about 1 ms takes to be known to 2 %, alone."""
    b = NetworkBuilder("about a millisecond")
    convolution = b.op("conv2d", b.input((1, 80, 28, 28)), out_channels=80, kernel_size=3, padding=1)
    kernel = max(_plan([b.build(convolution)]).kernels.values(), key=lambda k: k.macs)
    seconds, latencies, converged = [], [], []
    for trial in range(_PRECISION_TRIALS):
        with WorkerClient("onnxruntime", 1) as worker:
            info = worker.prepare("kernel", kernel, copies_of(kernel), trial)
            options = _SETTINGS.options("cpu", 1, 0) | {"seed": trial}
            result = worker.measure(["kernel"], options, lambda _: None)
        entry = result.entries["kernel"]
        seconds.append(result.elapsed_s)
        converged.append(entry.converged)
        latencies.append(float(statistics.median(entry.samples["cpu_ns"])) / entry.samples.batch / info.executions)
    return {
        "kernel": kernel.label,
        "latency_ms": statistics.median(latencies) / 1e6,
        "seconds": seconds,
        "converged": converged,
    }


PARTS: dict[str, Part] = {
    "first": first_table,
    **{name: partial(scored, *run) for name, run in RUNS.items() if name.startswith("ort")},
    "layers": layers,
    "effort": effort,
    "precision": precision,
    **{name: partial(scored, *run) for name, run in RUNS.items() if not name.startswith("ort")},
    "batch": batches,
    "second": second_table,
    "busy": busy_table,
}


class _Teller:
    """A line of progress now and then."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def __call__(self, progress: Any) -> None:
        if time.monotonic() - self._last_s > 20:
            self._last_s = time.monotonic()
            note(f"  {progress.done}/{progress.total}: {progress.current}")


def _fresh_store(name: str) -> Path:
    path = WORK / name
    for old in WORK.glob(f"{name}*"):
        old.unlink()
    return path


def main() -> int:
    """Measure the parts that are asked for, or all that are missing; returns the exit status."""
    found = run_parts("measuring", PARTS, lambda found: figures(found, COMMAND), str(__doc__))
    PAGE.write_text(page(found, PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
