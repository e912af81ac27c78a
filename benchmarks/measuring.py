"""Figures of measuring: how well sums of measured kernels agree with the clock, and how well tables repeat.

``python -m benchmarks.measuring`` measures all parts, some two hours on a quiet machine, most of it torch; each part
that is done is kept in `build/bench`, so that a run that was stopped goes on. ``python -m benchmarks.measuring PART
...`` measures some parts anew. `benchmarks/results/measuring.json` and `docs/accuracy.md` are written of the parts that
are there.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lutra.luts import Store, Table
from lutra.networks import Network, NetworkBuilder, zoo
from lutra.predictors import TablePredictor
from lutra.profiler import Plan, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.client import WorkerClient
from lutra.profiler.copies import copies_of

from . import _networks
from ._measuring_report import figures, page
from ._results import ROOT, note, write
from .layers import layer_sums

COMMAND = "make bench-measuring"
WORK = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "accuracy.md"

_REPEATED = ("mobilenet_v2", "resnet18", "vit_tiny", "shufflenet_v2_x1_0")
_APART_S = 3600.0
_CO_RUNNERS = 2
_PRECISION_TRIALS = 7
_VERDICTS = {True: "met", False: "MISSED", None: "no goal"}
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
    """Profile all networks on a runtime, and measure the whole networks once more for the noise floor."""
    given = _networks.networks()
    store_path = _fresh_store(f"{runtime}-{threads}.db")
    with Store.open(store_path) as store:
        started = time.monotonic()
        plan = make_plan(resolve_device("host", runtime=runtime, threads=threads), given)
        planned_s = time.monotonic() - started
        note(f"{runtime}, {threads} thread(s): {len(plan.kernels)} kernels of {len(given)} networks")
        result = run_campaign(plan, store, settings=_SETTINGS, progress=_Teller())
        campaign_s = time.monotonic() - started - planned_s
        assert result.table is not None
        rows = [_row(network, result.table) for network in given]
        again = run_campaign(plan, store, recheck=True, settings=_SETTINGS, progress=_Teller())
        assert again.table is not None
        for row, network in zip(rows, given, strict=True):
            row["again_ms"] = _measured_ms(network, again.table)
        halfwidths = [r.rel_halfwidth for r in result.table.rows("kernel") if r.rel_halfwidth is not None]
    return {
        "runtime": runtime,
        "threads": threads,
        "networks": rows,
        "kernels": len(plan.kernels),
        "failed": result.failed,
        "noisy": len(result.noisy),
        "plan_s": planned_s,
        "campaign_s": campaign_s,
        "measured_share": result.measured_share,
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
    first = json.loads(_part_path("first").read_text())
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


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "first": first_table,
    "ort-1": lambda: scored("onnxruntime", 1),
    "ort-2": lambda: scored("onnxruntime", 2),
    "layers": layers,
    "precision": precision,
    "torch-1": lambda: scored("torch", 1),
    "torch-2": lambda: scored("torch", 2),
    "compile-1": lambda: scored("torch-compile", 1),
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


def _part_path(part: str) -> Path:
    return WORK / f"measuring-{part}.json"


def main() -> int:
    """Measure the parts that are asked for, or all that are missing; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="measure these anew; all that lack if omitted")
    asked: list[str] = parser.parse_args().parts
    WORK.mkdir(parents=True, exist_ok=True)
    for part in asked or [part for part in PARTS if not _part_path(part).exists()]:
        note(f"== {part}")
        _part_path(part).write_text(json.dumps(PARTS[part](), indent=1))
    found = {part: json.loads(_part_path(part).read_text()) for part in PARTS if _part_path(part).exists()}
    if missing := [part for part in PARTS if part not in found]:
        note(f"not measured yet, and left out: {', '.join(missing)}")
    made = figures(found, COMMAND)
    for figure in made:
        note(f"{_VERDICTS[figure.met]}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write('measuring', made)}")
    PAGE.write_text(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
