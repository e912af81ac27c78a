"""Figures of a real NVIDIA GPU: kernels of networks, whole networks, and how well sums agree with the clock.

Usage: ``python -m benchmarks.gpu_real [PART ...] [--minutes M] [--dry-run]``. Parts are ``kernels`` (what NVIDIA's
libraries and our own kernels take, and their sum against the network in one CUDA graph), ``networks`` (torch: eager,
compiled, and in a CUDA graph) and ``protocol`` (our times of a few products beside those of Triton's ``do_bench`` and
of CUPTI). All of them together take ten minutes at most: each case is begun only while its part has time, the cheapest
come first, and what was not reached is listed as ``left_out``.

What was found is kept in ``benchmarks/results/gpu_real/``, the figures in ``benchmarks/results/gpu.json``. Without a
GPU nothing is written, and it says why. ``--dry-run`` lists what would be measured, as JSON, on any machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from lutra.luts import Measurement, Store
from lutra.networks import Network
from lutra.networks.errors import LutraError
from lutra.networks.lowering import lower
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.nvidia import gpu_report

from ._gpu_cases import MODES, PRODUCTS, Case, kernel_cases, network_cases, product
from ._gpu_protocols import differences_pct, other_times_us
from ._results import RESULTS, Figure, machine, note, write

AREA = "gpu"
COMMAND = "python -m benchmarks.gpu_real"
SETTINGS = Settings(min_rounds=4, max_rounds=12, group_budget_s=8.0)
MINUTES = 10.0

SHARES = {"kernels": 0.4, "networks": 0.45, "protocol": 0.15}
"""Parts, and of the time what each gets; what one leaves goes to those behind it."""

GOALS = {
    "cudagraph_sum_error_pct": (5.0, "sum of the rows of kernels against the network in one CUDA graph"),
    "eager_sum_error_pct": (10.0, "torch, launched one by one: sum of the rows against one call of the network"),
    "do_bench_difference_pct": (
        2.0,
        "float16 products from 2048 on in torch: our rows against triton.testing.do_bench",
    ),
    "cupti_difference_pct": (
        2.0,
        "float16 products from 2048 on in torch: our rows against CUPTI's records",
    ),
}
"""Figures that have a goal: the goal, and how they are measured."""

_ERROR_OF = {
    "torch-cuda": "eager_sum_error_pct",
    "torch-cudagraph": "torch_cudagraph_sum_error_pct",
    "torch-cuda-compile": "compile_sum_error_pct",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the parts that are asked for, all of them if none is.

    Args:
        arguments: of the command; those that the process was started with by default.
    """
    parts: dict[str, Callable[[float], dict[str, Any]]] = {
        "kernels": measure_kernels,
        "networks": measure_networks,
        "protocol": compare_protocols,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", nargs="*", help=", ".join(parts))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="longest time for all parts (%(default)g)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be measured, as JSON")
    given = parser.parse_args(arguments)
    chosen = given.part or list(parts)
    if unknown := [part for part in chosen if part not in parts]:
        parser.error(f"no part {unknown[0]!r}; parts: {', '.join(parts)}")
    if given.minutes <= 0:
        parser.error(f"--minutes is {given.minutes:g}: give a positive number")
    if given.dry_run:
        json.dump({part: planned(part) for part in chosen}, sys.stdout, indent=1)
        return
    report = gpu_report()
    if not report.usable:
        note(f"skipped: {'; '.join(report.problems)}")
        return
    ends_s = monotonic() + 60 * given.minutes
    for number, part in enumerate(chosen):
        share = SHARES[part] / sum(SHARES[name] for name in chosen[number:])
        now_s = monotonic()
        found = parts[part](now_s + share * (ends_s - now_s))
        keep(part, {"gpu": report.name, "driver": report.driver, **found})


def planned(part: str) -> dict[str, Any]:
    """What a part would measure: its runtimes and its cases, in order."""
    if part == "protocol":
        return {"runtimes": ["torch-cudagraph"], "tools": ["do_bench", "do_bench_cudagraph", "cupti"],
                "cases": [{"size": size} for size in PRODUCTS]}  # fmt: skip
    if part == "networks":
        return {"runtimes": list(MODES), "cases": [case.to_json() for case in network_cases()]}
    cases = [
        {**case.to_json(), "kernels": len(lower(case.build(), "cuda", precision=case.precision).distinct)}
        for case in kernel_cases()
    ]
    return {"runtimes": ["cuda"], "cases": cases}


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
            protocol=f"median over all cases on {found['gpu']}: {how}",
            command=f"{COMMAND} {part}",
        )
        for name, (goal, how) in GOALS.items()
        if found.get(name) is not None
    ]
    if figures:
        write(AREA, figures)


def measure_kernels(until_s: float) -> dict[str, Any]:
    """Every distinct kernel of the networks on the runtime "cuda", and the error of its sum."""
    errors: list[float] = []

    def measure(case: Case) -> dict[str, Any]:
        rows, summed_ms, whole_ms = campaign(case, "cuda")
        errors.append(abs(summed_ms / whole_ms - 1) * 100)
        return {"summed_ms": summed_ms, "whole_ms": whole_ms, "kernels": [described(row) for row in rows]}

    found = in_time(kernel_cases(), until_s, measure)
    return {"cudagraph_sum_error_pct": statistics.median(errors) if errors else None, **found}


def measure_networks(until_s: float) -> dict[str, Any]:
    """Whole networks in torch, in each of its modes, beside the sums of their rows."""
    errors: dict[str, list[float]] = {name: [] for name in _ERROR_OF.values()}

    def measure(case: Case) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for runtime in MODES:
            try:
                _, summed_ms, whole_ms = campaign(case, runtime)
            except LutraError as error:
                found[runtime] = {"failed": error.message}
                continue
            found[runtime] = {"summed_ms": summed_ms, "whole_ms": whole_ms}
            errors[_ERROR_OF[runtime]].append(abs(summed_ms / whole_ms - 1) * 100)
        return found

    found = in_time(network_cases(), until_s, measure)
    return {name: statistics.median(values) if values else None for name, values in errors.items()} | found


def compare_protocols(until_s: float) -> dict[str, Any]:
    """The same products in torch: rows of "torch-cudagraph" against the times of other tools."""
    found: list[dict[str, Any]] = []
    for size in PRODUCTS:
        if monotonic() > until_s:
            break
        try:
            others_us = other_times_us(size)
        except (ImportError, RuntimeError, AssertionError) as error:
            return {"skipped": " ".join(str(error).split())[:200]}
        rows = rows_of(product(size), "float16", "torch-cudagraph", cache="warm")
        found.append({"size": size, "ours_us": rows[0].latency_ns / 1e3, "others_us": others_us})
    return {**differences_pct(found), "cases": found, "left_out": [{"size": size} for size in PRODUCTS[len(found) :]]}


def in_time(cases: Iterable[Case], until_s: float, measure: Callable[[Case], dict[str, Any]]) -> dict[str, Any]:
    """What ``measure`` finds of each case that is begun before ``until_s``; a case that fails says why."""
    found: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for case in cases:
        if monotonic() > until_s:
            left_out.append(case.to_json())
            continue
        try:
            found.append(case.to_json() | measure(case))
        except LutraError as error:
            found.append(case.to_json() | {"failed": error.message})
    return {"cases": found, "left_out": left_out}


def campaign(case: Case, runtime: str) -> tuple[list[Measurement], float, float]:
    """Rows of a network's kernels, their sum and the whole network, both in ms."""
    device = resolve_device("cuda", runtime=runtime, precision=case.precision)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "rows.db") as store:
        result = run_campaign(make_plan(device, [case.build()]), store, settings=SETTINGS)
        checks = result.table.self_checks() if result.table is not None else []
        if result.table is None or not checks:
            raise LutraError("; ".join(f"{label}: {why}" for label, why in result.failed.items()) or "no rows")
        return list(result.table.rows("kernel")), checks[0].predicted_ms, checks[0].measured_ms


def rows_of(network: Network, precision: str, runtime: str, *, cache: str) -> list[Measurement]:
    """Rows of a network's kernels."""
    device = resolve_device("cuda", runtime=runtime, precision=precision, cache=cache)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "rows.db") as store:
        table = run_campaign(make_plan(device, [network], check=False), store, settings=SETTINGS).table
        assert table is not None
        return list(table.rows("kernel"))


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


if __name__ == "__main__":
    main()
