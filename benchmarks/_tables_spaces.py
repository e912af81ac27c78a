"""Builds the tables of whole search spaces from nothing, and says how long it took and how good they are.

ProxylessNAS is measured whole; Once-for-All's space, at five sizes of image, by adaptive sampling. The tables stay in
`build/bench`, for the other parts of the area.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lutra.luts import Store, Table
from lutra.nas import spaces
from lutra.nas.spaces import SearchSpace
from lutra.networks import Network
from lutra.predictors import TablePredictor
from lutra.profiler import CampaignResult, Device, Plan, make_plan, make_space_plan, resolve_device, run_campaign

from ._results import ROOT, Figure, note

WORK = ROOT / "build" / "bench"
TARGET_ERROR = 0.03

_CHECKED = 8
_TELL_EVERY_S = 20.0


@dataclass(frozen=True)
class Task:
    """A table to build.

    Attributes:
        name: of the store, and the prefix of the figures.
        space: which space, as `lutra.nas.spaces.build` takes it.
        target_error: error of interpolation at which to stop; None to measure every kernel.
    """

    name: str
    space: str
    target_error: float | None = None


TASKS = (Task("proxyless", "proxyless"), Task("ofa-mbv3", "ofa-mbv3", TARGET_ERROR))


def measure(
    tasks: tuple[Task, ...] = TASKS, *, device: str = "host", runtime: str = "onnxruntime", folder: Path = WORK
) -> dict[str, Any]:
    """Build each table into an empty store; what was found, by task, as plain JSON data."""
    folder.mkdir(parents=True, exist_ok=True)
    target = resolve_device(device, runtime=runtime)
    return {task.name: _built(task, target, folder / f"{task.name}.db") for task in tasks}


def _built(task: Task, device: Device, path: Path) -> dict[str, Any]:
    space = spaces.build(task.space)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    with Store.open(path) as store:
        started_s = time.monotonic()
        plan = _plan(space, device)
        planned_s = time.monotonic() - started_s
        note(f"{task.space} on {device}: {len(plan.kernels)} kernels, planned in {planned_s:.0f} s")
        result = run_campaign(plan, store, target_error=task.target_error, progress=_Teller())
        taken_s = time.monotonic() - started_s
        assert result.table is not None
        checked = [(subject.network, TablePredictor(result.table)) for subject in plan.subjects]
        return {
            "space": task.space,
            "device": str(device),
            "minutes": taken_s / 60,
            "plan_s": planned_s,
            "estimate_s": plan.estimate_s(len(plan.kernels)),
            "self_check_errors_pct": [_error_pct(predictor, result.table, n) for n, predictor in checked],
            "unseen_errors_pct": _unseen_errors_pct(space, device, store, result.table),
            **_counts(plan, result, result.table),
        }


def _plan(space: SearchSpace, device: Device) -> Plan:
    return make_space_plan(device, space.chains(), check_networks=_random_networks(space, 0))


def _random_networks(space: SearchSpace, seed: int) -> list[Network]:
    return [space.decode(code) for code in space.sample(_CHECKED, np.random.default_rng(seed))]


def _counts(plan: Plan, result: CampaignResult, table: Table) -> dict[str, Any]:
    halfwidths = [row.rel_halfwidth for row in table.rows("kernel") if row.rel_halfwidth is not None]
    return {
        "kernels": len(plan.kernels),
        "uses": plan.uses,
        "measured": result.measured,
        "interpolated": result.interpolated,
        "held_out_error": result.held_out_error,
        "noisy": len(result.noisy),
        "requeued": result.requeued,
        "failed": result.failed,
        "measured_share": result.measured_share,
        "median_halfwidth": statistics.median(halfwidths),
    }


def _unseen_errors_pct(space: SearchSpace, device: Device, store: Store, table: Table) -> list[float]:
    """Errors of the table for networks that it has not met, measured whole afterwards; in %."""
    networks = _random_networks(space, 1)
    predictor = TablePredictor(table)
    for network in networks:
        predictor.explain(network)  # what cannot be predicted shows before anything more is measured
    note(f"{space.name}: {len(networks)} networks that the table has not met")
    after = run_campaign(make_plan(device, networks), store, progress=_Teller()).table
    assert after is not None
    return [_error_pct(predictor, after, network) for network in networks]


def _error_pct(predictor: TablePredictor, measured: Table, network: Network) -> float:
    row = measured.get("network", network.fingerprint)
    assert row is not None
    return 100 * (predictor.explain(network).latency_ms * 1e6 / row.latency_ns - 1)


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of what `measure` found; ``command`` measures it again."""
    whole, sampled = found["proxyless"], found["ofa-mbv3"]
    machine = f"on {whole['device']}"
    built = f"From nothing to a table of all {whole['kernels']} distinct kernels of 21 positions, {machine}"
    part = (
        f"{sampled['measured']} of {sampled['kernels']} distinct kernels at five sizes of image measured, chosen by"
        f" adaptive sampling to {TARGET_ERROR:.0%}, {sampled['interpolated']} interpolated, {machine}"
    )
    peers = "nn-Meter's builder: hours to days; LitePred's adaptation: under an hour (published)"
    unseen = f"{_CHECKED} random networks that the table has not met, predicted and then measured whole, {machine}"
    rows: list[tuple[str, float, str, float | None, str, str]] = [
        ("proxyless_table_minutes", whole["minutes"], "min", 10, peers, f"{built}, planning included."),
        ("proxyless_median_halfwidth_pct", 100 * whole["median_halfwidth"], "%", 2, "", f"{built}; median over rows."),
        ("proxyless_check_mape_pct", _mean_error(whole["self_check_errors_pct"]), "%", None, "", _self_check(machine)),
        ("proxyless_unseen_mape_pct", _mean_error(whole["unseen_errors_pct"]), "%", None, "", f"{unseen}."),
        ("ofa_mbv3_table_minutes", sampled["minutes"], "min", 25, peers, f"{part}; planning included."),
        (
            "ofa_mbv3_held_out_error_pct",
            100 * sampled["held_out_error"],
            "%",
            3,
            "",
            f"{part}; median over kernels that were predicted before they were measured.",
        ),
        ("ofa_mbv3_unseen_mape_pct", _mean_error(sampled["unseen_errors_pct"]), "%", None, "", f"{unseen}."),
    ]
    return [
        Figure(figure=name, value=value, unit=unit, goal=goal, better="lower", peer=peer, protocol=how, command=command)
        for name, value, unit, goal, peer, how in rows
    ]


def _mean_error(errors_pct: list[float]) -> float:
    return statistics.fmean(map(abs, errors_pct))


def _self_check(machine: str) -> str:
    return f"{_CHECKED} random networks of the space, measured whole among their kernels, beside their sums, {machine}."


class _Teller:
    """A line of progress now and then."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def __call__(self, progress: Any) -> None:
        if time.monotonic() - self._last_s > _TELL_EVERY_S:
            self._last_s = time.monotonic()
            note(f"  {progress.done}/{progress.total}: {progress.current}")
