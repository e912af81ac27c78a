"""How long a campaign will take, before it begins."""

from collections.abc import Iterable
from itertools import islice

from ..luts import Measurement
from ..networks.lowering import Kernel
from .copies import copies_of, has_resident_row, resident_copies_of, typical_run_ns

NETWORK_S = 3.0
"""A whole network's share of a campaign: it is timed in every group of kernels."""

_PREPARE_S = 0.2  # building the copies of a kernel and warming them up
_SAMPLES = 24  # most kernels are done after the fewest rounds
_ENOUGH_ROWS = 200


def kernel_s(kernel: Kernel, pace: float = 1.0) -> float:
    """Seconds that measuring a kernel takes, with both rows where it has two.

    Args:
        kernel: what would be measured.
        pace: how much longer than typical the device's samples take; see `pace_of`.
    """
    entries = [copies_of(kernel), *([resident_copies_of(kernel)] if has_resident_row(kernel) else [])]
    sample_s = sum(entries) * typical_run_ns(kernel.macs, kernel.bytes_moved) / 1e9
    return _PREPARE_S * len(entries) + _SAMPLES * sample_s * pace


def pace_of(rows: Iterable[Measurement]) -> float:
    """How much longer than typical samples took, by kernels that were measured already; 1 where none were.

    Args:
        rows: of one device; the first 200 that are kernels' and have a number are looked at.
    """
    usable = (row for row in rows if row.subject_kind == "kernel" and row.status != "failed")
    taken = expected = 0.0
    for row in islice(usable, _ENOUGH_ROWS):
        kernel = Kernel.from_json(row.spec)
        taken += float(row.samples_ns.mean())
        expected += copies_of(kernel) * typical_run_ns(kernel.macs, kernel.bytes_moved)
    return taken / expected if expected else 1.0
