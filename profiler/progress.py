"""Where a campaign stands, for whoever watches it: counts, time to go, noise, and the stream of events."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..luts import Measurement
from .budget import Budget
from .events import CampaignEvent, Finished, Preparing, Started, Waiting, event_of_row
from .outcome import CampaignResult
from .plan import Plan
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
    """Counts what is done and tells a campaign's listeners.

    Args:
        progress: called a few times a second; None if nobody looks.
        events: called for each event; None if nobody listens.
        budget: the campaign's.
        rounds: rounds after which a kernel is given up as noisy.

    Attributes:
        done: kernels that got a row in this campaign, or a reason why there is none.
        noisy: of these, those whose row is noisy.
        total: kernels to measure.
    """

    def __init__(
        self,
        progress: Callable[[Progress], None] | None,
        events: Callable[[CampaignEvent], None] | None,
        budget: Budget,
        rounds: int,
    ) -> None:
        self._progress, self._events, self._budget = progress, events, budget
        self._started_s = time.monotonic()
        self._rounds = rounds
        self._group_size = 0
        self._converged = 0
        self._worked = 0.0
        self._halfwidths: dict[str, float] = {}
        self._waits_for = ""
        self.done: set[str] = set()
        self.noisy: set[str] = set()
        self.total = 0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at the pace so far, or what is left of the budget if that is less; None at the beginning."""
        worked = len(self.done) + self._worked
        if not worked:
            return None
        elapsed_s = time.monotonic() - self._started_s
        return min(elapsed_s / worked * max(self.total - worked, 0.0), self._budget.remaining_s)

    def event(self, event: CampaignEvent) -> None:
        """Tell who listens to events."""
        if self._events is not None:
            self._events(event)

    def start(self, plan: Plan, total: int, networks: int) -> None:
        """So many kernels and whole networks of a plan are to be measured."""
        self.total, self._started_s = total, time.monotonic()
        self.event(
            Started(
                device=str(plan.device),
                digest=plan.device.fingerprint.digest,
                kernels=len(plan.kernels),
                total=total,
                networks=networks,
                estimate_s=min(plan.estimate_s(total), self._budget.remaining_s),
            )
        )

    def finish(self, result: CampaignResult) -> None:
        """The campaign has ended."""
        self.event(
            Finished(
                measured=result.measured,
                skipped=result.skipped,
                failed=len(result.failed),
                noisy=len(result.noisy),
                requeued=result.requeued,
                interpolated=result.interpolated,
                held_out_error=result.held_out_error,
                interrupted=result.interrupted,
            )
        )

    def preparing(self, kind: str, key: str, label: str) -> None:
        """Something is being made ready."""
        self.event(Preparing(kind=kind, key=key, label=label))
        self.show(f"preparing {label}")

    def waiting(self, what: str, reason: str) -> None:
        """Something is waited for. Told often while it lasts; an event only when it begins.

        Args:
            what: tells one wait from another.
            reason: what is waited for just now.
        """
        if what != self._waits_for:
            self.event(Waiting(reason=reason))
        self._waits_for = what
        self.show(f"waiting: {reason}")

    def group(self, size: int) -> None:
        """So many kernels are timed from now on."""
        self._group_size, self._converged, self._worked, self._waits_for = size, 0, 0.0, ""

    def timing(self, counts: dict[str, int], current: str) -> None:
        """How far the timing of a group is: entries that converged, of how many, and in which round."""
        converged = counts["converged"] / counts["entries"]
        # On a busy machine nothing converges until the rounds are used up.
        share = max(converged, counts["round"] / self._rounds)
        self._converged, self._worked = int(converged * self._group_size), share * self._group_size
        self.show(current)

    def row(self, row: Measurement) -> None:
        """A row was committed."""
        self._converged, self._worked = 0, 0.0
        if row.subject_kind == KERNEL:
            self.done.add(row.subject_key)
            self._count(row)
        self.event(event_of_row(row, len(self.done), self.total, self.eta_s))

    def _count(self, row: Measurement) -> None:
        self.noisy.discard(row.subject_key)
        if row.status == "noisy":
            self.noisy.add(row.subject_key)
        if row.rel_halfwidth is not None:
            self._halfwidths[row.subject_key] = row.rel_halfwidth

    def show(self, current: str) -> None:
        """Tell who looks at progress where the campaign stands."""
        if self._progress is None:
            return
        done = min(len(self.done) + self._converged, self.total)
        halfwidth = statistics.median(self._halfwidths.values()) if self._halfwidths else None
        self._progress(Progress(done, self.total, self.eta_s, current, len(self.noisy), halfwidth))
