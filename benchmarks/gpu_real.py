"""Figures of a real NVIDIA GPU: kernels of networks, whole networks, and how well sums agree with the clock.

Usage: ``python -m benchmarks.gpu_real [PART ...]``. Parts are ``kernels``, ``networks``, ``protocol``; each takes under
ten minutes on one GPU and keeps what it found in ``benchmarks/results/gpu_real/``, its figures in
``benchmarks/results/gpu.json``. Without a GPU nothing is written, and it says why.

``protocol`` compares our times of a few kernels with those of Triton's ``do_bench_cudagraph`` and of CUPTI (by
``torch.profiler``), where torch with CUDA and triton are installed.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lutra.luts import Measurement, Store
from lutra.networks import Network, zoo
from lutra.networks.errors import LutraError
from lutra.networks.lowering import lower
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.nvidia import gpu_report

from ._results import RESULTS, Figure, machine, note, write

AREA = "gpu"
COMMAND = "python -m benchmarks.gpu_real"
GOALS = {"cudagraph_sum_error_pct": 5.0, "eager_sum_error_pct": 10.0}
NETWORKS = ("mobilenet_v2", "resnet50", "vit_b_16", "shufflenet_v2_x1_0")
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
BATCHES = (1, 8, 64)
SETTINGS = Settings(min_rounds=4, max_rounds=12, group_budget_s=20.0)
PART_BUDGET_S = 480.0
"""Longest time for a part: what is not reached is left out, and said so."""


def main() -> None:
    """Measure the parts that are asked for, all of them if none is."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "kernels": measure_kernels,
        "networks": measure_networks,
        "protocol": compare_protocols,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", nargs="*", help=", ".join(parts))
    chosen = parser.parse_args().part or list(parts)
    if unknown := [part for part in chosen if part not in parts]:
        parser.error(f"no part {unknown[0]!r}; parts: {', '.join(parts)}")
    report = gpu_report()
    if not report.usable:
        note(f"skipped: {'; '.join(report.problems)}")
        return
    for part in chosen:
        keep(part, {"gpu": report.name, "driver": report.driver, **parts[part]()})


def keep(part: str, found: dict[str, Any]) -> None:
    """Write what a part found, and its figures where it has some."""
    folder = RESULTS / "gpu_real"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps({**found, "machine": machine()}, indent=1) + "\n")
    figures = [
        Figure(
            figure=name,
            value=found[name],
            unit="%",
            goal=goal,
            better="lower",
            peer="",
            protocol=f"median over networks, batches and precisions on {found['gpu']}: sum of rows against the whole",
            command=f"{COMMAND} {part}",
        )
        for name, goal in GOALS.items()
        if found.get(name) is not None
    ]
    if figures:
        write(AREA, figures)


def cases() -> Iterator[tuple[str, int, str]]:
    """Networks, batch sizes and precisions, the cheapest first."""
    for batch in BATCHES:
        for name in NETWORKS:
            for precision in PRECISIONS:
                yield name, batch, precision


def campaign(name: str, batch: int, precision: str, runtime: str) -> tuple[list[Measurement], float, float]:
    """Rows of a network's kernels, their sum and the whole network, both in ms."""
    network = zoo.build(name, batch=batch)
    device = resolve_device("cuda", runtime=runtime, precision=precision)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "rows.db") as store:
        table = run_campaign(make_plan(device, [network]), store, settings=SETTINGS).table
        assert table is not None
        (check,) = table.self_checks()
        rows = list(table.rows("kernel"))
    return rows, check.predicted_ms, check.measured_ms


def within_budget(budget_s: float) -> Iterator[tuple[str, int, str]]:
    """Cases until the time is up."""
    began_s = time.monotonic()
    for case in cases():
        if time.monotonic() - began_s > budget_s:
            return
        yield case


def measure_kernels() -> dict[str, Any]:
    """Every distinct kernel of the networks on the runtime "cuda", and the error of its sum."""
    found: list[dict[str, Any]] = []
    errors: list[float] = []
    for name, batch, precision in within_budget(PART_BUDGET_S):
        case: dict[str, Any] = {"network": name, "batch": batch, "precision": precision}
        found.append(case)
        try:
            rows, summed_ms, whole_ms = campaign(name, batch, precision, "cuda")
        except LutraError as error:
            case["failed"] = error.message
            continue
        errors.append(abs(summed_ms / whole_ms - 1) * 100)
        case |= {"summed_ms": summed_ms, "whole_ms": whole_ms, "kernels": [described(row) for row in rows]}
    return {"cudagraph_sum_error_pct": statistics.median(errors) if errors else None, "cases": found}


def described(row: Measurement) -> dict[str, Any]:
    """A row in a few numbers."""
    return {
        "label": row.label,
        "key": row.subject_key,
        "us": row.latency_ns / 1e3,
        "dispatch_us": row.conditions.get("dispatch_ns", 0) / 1e3,
        "sm_mhz": row.conditions.get("sm_mhz"),
        "implementation": row.conditions.get("implementation"),
        "status": row.status,
    }


def measure_networks() -> dict[str, Any]:
    """Whole networks in torch: eager against the sum of its rows, captured, and compiled."""
    found: list[dict[str, Any]] = []
    errors: list[float] = []
    for name, batch, precision in within_budget(PART_BUDGET_S):
        case: dict[str, Any] = {"network": name, "batch": batch, "precision": precision}
        for runtime in ("torch-cuda", "torch-cudagraph"):
            try:
                _, summed_ms, whole_ms = campaign(name, batch, precision, runtime)
            except LutraError as error:
                case[runtime] = {"failed": error.message}
                continue
            case[runtime] = {"summed_ms": summed_ms, "whole_ms": whole_ms}
            if runtime == "torch-cuda":
                errors.append(abs(summed_ms / whole_ms - 1) * 100)
        case["torch-compile"] = compiled_ms(zoo.build(name, batch=batch), precision)
        found.append(case)
    return {"eager_sum_error_pct": statistics.median(errors) if errors else None, "cases": found}


def compiled_ms(network: Network, precision: str) -> dict[str, Any]:
    """Median time of a network through ``torch.compile`` with CUDA graphs ("reduce-overhead"), between events."""
    try:
        import torch

        from lutra.networks.lowering.cuda import element_type
        from lutra.profiler.runtimes.torch_replay import loaded_module

        dtype = getattr(torch, element_type(precision))
        module = torch.compile(loaded_module(network, 0).cuda().to(dtype), mode="reduce-overhead")
        inputs = [torch.randn(type_.shape, device="cuda").to(dtype) for _, type_ in network.inputs]
        return {"whole_ms": statistics.median(event_ms(lambda: module(*inputs), 30))}
    except Exception as error:  # a compiler's own errors: the case says so, the others go on
        return {"failed": f"{type(error).__name__}: {error}"[:200]}


def event_ms(call: Callable[[], Any], times: int) -> list[float]:
    """Times of calls between two events, in ms, after ten that do not count."""
    import torch

    taken = []
    with torch.inference_mode():
        for i in range(times + 10):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            call()
            end.record()
            end.synchronize()
            if i >= 10:
                taken.append(float(begin.elapsed_time(end)))
    return taken


def compare_protocols() -> dict[str, Any]:
    """The same products in torch: rows of "torch-cudagraph" against do_bench_cudagraph and against CUPTI."""
    try:
        import torch
        from torch.profiler import ProfilerActivity, profile
        from triton.testing import do_bench_cudagraph  # type: ignore[import-not-found]
    except ImportError as error:
        return {"skipped": str(error)}
    if not torch.cuda.is_available():
        return {"skipped": "this torch has no CUDA"}
    found: list[dict[str, Any]] = []
    for size in (512, 1024, 2048, 4096):
        network = product(size)
        rows = [row for row in campaign_of(network, "float16", "torch-cudagraph") if row.subject_kind == "kernel"]
        a, b = (torch.randn(size, size, device="cuda", dtype=torch.float16) for _ in range(2))
        ours_us = rows[0].latency_ns / 1e3
        triton_us = float(do_bench_cudagraph(lambda a=a, b=b: torch.matmul(a, b), return_mode="median")) * 1e3
        with profile(activities=[ProfilerActivity.CUDA]) as traced:
            for _ in range(50):
                torch.matmul(a, b)
            torch.cuda.synchronize()
        events = [event.device_time for event in traced.events() if event.device_time > 0]
        cupti_us = statistics.median(events) if events else None
        found.append({"size": size, "ours_us": ours_us, "do_bench_us": triton_us, "cupti_us": cupti_us})
    apart = [abs(case["ours_us"] / case["do_bench_us"] - 1) * 100 for case in found]
    return {"do_bench_difference_pct": statistics.median(apart), "cases": found}


def product(size: int) -> Network:
    """A product of two square activations."""
    from lutra.networks import NetworkBuilder

    b = NetworkBuilder(f"product {size}")
    return b.build(b.op("matmul", b.input((size, size)), b.input((size, size))))


def campaign_of(network: Network, precision: str, runtime: str) -> list[Measurement]:
    """All rows of a network's kernels with warm caches, as the other tools find them."""
    device = resolve_device("cuda", runtime=runtime, precision=precision, cache="warm")
    assert lower(network, runtime, precision=precision).kernels
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "rows.db") as store:
        table = run_campaign(make_plan(device, [network], check=False), store, settings=SETTINGS).table
        assert table is not None
        return list(table.rows())


if __name__ == "__main__":
    main()
