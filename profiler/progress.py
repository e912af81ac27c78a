"""Where a campaign stands, for whoever watches it: counts, time to go, noise."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..luts import Measurement
from .session import KERNEL


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands.

    Attributes:
        done: kernels that need no more work (in this campaign).
        total: kernels to measure in this campaign.
        eta_s: estimated seconds to go; None before anything is known.
        current: what is being prepared or timed.
        noisy: rows marked noisy so far.
        rel_halfwidth: median of the kernels measured so far; None before there is one.
    """

    done: int
    total: int
    eta_s: float | None
    current: str
    noisy: int
    rel_halfwidth: float | None = None


class Announcer:
    """Counts what is done and tells who looks.

    Args:
        progress: called a few times a second; None if nobody looks.
        rounds: rounds after which a kernel is given up as noisy.

    Attributes:
        done: kernels that got a row in this campaign, or a reason why there is none.
        total: kernels to measure.
    """

    def __init__(self, progress: Callable[[Progress], None] | None, rounds: int) -> None:
        self._progress, self._rounds = progress, rounds
        self._started_s = time.monotonic()
        self._group_size = 0
        self._converged = 0
        self._worked = 0.0
        self._noisy: set[str] = set()
        self._halfwidths: dict[str, float] = {}
        self.done: set[str] = set()
        self.total = 0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at the pace so far; None before anything is known."""
        worked = len(self.done) + self._worked
        if not worked:
            return None
        elapsed_s = time.monotonic() - self._started_s
        return elapsed_s / worked * max(self.total - worked, 0.0)

    def preparing(self, label: str) -> None:
        """Something is being made ready."""
        self._show(f"preparing {label}")

    def waiting(self, reason: str) -> None:
        """Something is waited for."""
        self._show(f"waiting: {reason}")

    def group(self, size: int) -> None:
        """So many kernels are timed from now on."""
        self._group_size, self._converged, self._worked = size, 0, 0.0

    def timing(self, counts: dict[str, int], current: str) -> None:
        """How far the timing of a group is: entries that converged, of how many, and in which round."""
        converged = counts["converged"] / counts["entries"]
        # On a busy machine nothing converges until the rounds are used up.
        share = max(converged, counts["round"] / self._rounds)
        self._converged, self._worked = int(converged * self._group_size), share * self._group_size
        self._show(current)

    def row(self, row: Measurement) -> None:
        """A row was committed."""
        self._converged, self._worked = 0, 0.0
        if row.subject_kind == KERNEL:
            self.done.add(row.subject_key)
            self._count(row)

    def _count(self, row: Measurement) -> None:
        self._noisy.discard(row.subject_key)
        if row.status == "noisy":
            self._noisy.add(row.subject_key)
        if row.rel_halfwidth is not None:
            self._halfwidths[row.subject_key] = row.rel_halfwidth

    def _show(self, current: str) -> None:
        if self._progress is None:
            return
        done = min(len(self.done) + self._converged, self.total)
        halfwidth = statistics.median(self._halfwidths.values()) if self._halfwidths else None
        self._progress(Progress(done, self.total, self.eta_s, current, len(self._noisy), halfwidth))
