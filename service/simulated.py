"""Networks on simulated devices: what the table lacks is simulated on the way; and what bounds a network there."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..luts import Table
    from ..networks import Network
    from ..predictors import Prediction
    from ..profiler import Device, Plan
    from .boards import BoardReport

logger = logging.getLogger(__name__)

UNKNOWN: Final = "not simulated"
"""Stands for what bounds a kernel that was interpolated."""


@dataclass(frozen=True)
class SimulatedReport:
    """A network on a GPU or CPU that is not there.

    Attributes:
        prediction: its latency; the interval comes from the band of each row.
        bounds: what bounds each of the prediction's parts, in the same order.
        family: "sim-gpu" or "sim-cpu".
    """

    prediction: "Prediction"
    bounds: tuple[str, ...]
    family: str

    @property
    def shares(self) -> dict[str, float]:
        """Share of the latency by what bounds it, the largest first."""
        shares: defaultdict[str, float] = defaultdict(float)
        for bound, part in zip(self.bounds, self.prediction.parts, strict=True):
            shares[bound] += part.share
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        document = self.prediction.to_dict()
        parts = [part | {"bound": bound} for part, bound in zip(document["parts"], self.bounds, strict=True)]
        return document | {"parts": parts, "bounds": self.shares, "device_kind": self.family}

    def __str__(self) -> str:
        marked = [
            replace(part, label=f"{part.label} <{bound}>")
            for part, bound in zip(self.prediction.parts, self.bounds, strict=True)
        ]
        head, *rest = str(replace(self.prediction, parts=tuple(marked))).splitlines()
        told = ", ".join(f"{bound} {100 * share:.0f} %" for bound, share in self.shares.items())
        return "\n".join([head, f"  bound by {told}", *rest])


def simulated_reports(
    device: "Device",
    sources: "Sequence[Network | Path]",
    *,
    store: str | None,
    simulate: bool = True,
    coverage: float = 0.9,
) -> "list[SimulatedReport] | list[BoardReport]":
    """What networks take on a simulated device; what the table lacks is simulated, and kept where that can be.

    Args:
        device: where.
        sources: networks.
        store: where rows are.
        simulate: run the kernels that have no row; otherwise they are interpolated.
        coverage: probability that the intervals are to hold.

    Raises:
        NotCoveredError: a kernel has no row and cannot be simulated, or interpolated.
        LutraError: a network cannot be read or lowered.
    """
    from ..profiler.mcu.simulator import McuSimulator

    if isinstance(device.simulator, McuSimulator):
        from .boards import board_reports

        return board_reports(device, sources, store=store, simulate=simulate, coverage=coverage)
    from ..predictors import table_predictor
    from ..profiler import device_kind, make_plan
    from .options import subject_of

    plan = make_plan(device, map(subject_of, sources), check=False)
    table = table_of_plan(plan, store, simulate=simulate)
    predictor = table_predictor(table, device.name).set_params(interpolate=not simulate)
    return [
        SimulatedReport(
            predictor.explain(subject.network, coverage=coverage),
            tuple(_bound(table, key) for key in subject.lowered.distinct),
            device_kind(device),
        )
        for subject in plan.subjects
    ]


def _bound(table: "Table", key: str) -> str:
    row = table.get("kernel", key)
    conditions: Mapping[str, Any] = {} if row is None else row.conditions
    return str(conditions.get("bound", UNKNOWN))


def table_of_plan(plan: "Plan", store: str | None, *, simulate: bool = True) -> "Table":
    """The rows of a plan's simulated device; those that lack are simulated if asked for, and kept where that can be."""
    from ..luts import Table
    from ..networks.errors import StoreError
    from ..profiler import run_campaign
    from ..profiler.simulation import simulated_table
    from .stores import open_store, require_store

    if not simulate:
        with open_store(store) as opened:
            known = opened and any(d.fingerprint == plan.device.fingerprint for d in opened.devices())
            return opened.table(plan.device.fingerprint) if opened and known else Table(plan.device.fingerprint)
    try:
        with open_store(store, read_only=False, create=True) as opened:
            result = run_campaign(plan, require_store(opened))
    except StoreError as error:
        logger.warning("rows are not kept: %s", error.message)
        return simulated_table(plan.device, plan.kernels.values())
    assert result.table is not None
    return result.table
