"""Measuring what a search has found, on this machine: whole networks, beside what was predicted for them."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import campaigns
from .report import SearchReport

if TYPE_CHECKING:
    from ...luts import Table
    from ...networks import Network
    from ...profiler import CampaignResult

logger = logging.getLogger(__name__)


def measured(
    report: SearchReport, most: int, *, measure: "Callable[..., CampaignResult]" = campaigns.run
) -> SearchReport:
    """The report with the best of its front measured; those that could not be measured stay without.

    Kernels of theirs that the device's table lacks are measured as well, as ``lutra profile`` does.

    Args:
        report: what was found.
        most: how many are measured.
        measure: runs a campaign of a plan in a store.
    """
    networks = [report.network(row) for row in report.rows[:most]]
    table = _measured_table(report, networks, measure)
    found: dict[str, float] = {}
    for network in networks:
        row = table.get("network", network.fingerprint)
        if row is None or row.status == "failed":
            logger.warning("%s was not measured: %s", network.name, row.reason if row else "it was interrupted")
            continue
        found[network.name] = row.latency_ns / 1e6
    return report.with_measured(found)


def _measured_table(
    report: SearchReport, networks: "list[Network]", measure: "Callable[..., CampaignResult]"
) -> "Table":
    from ...profiler import make_plan
    from ..stores import open_store, require_store
    from .devices import device_here

    settings = report.run.prepared.settings
    device = device_here(settings)
    assert device is not None  # the command has looked
    plan = make_plan(device, networks, check=True)
    with open_store(settings.store, read_only=False, create=True) as opened:
        result = measure(plan, require_store(opened), fresh=False, recheck=True)
    assert result.table is not None
    return result.table
