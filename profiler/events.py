"""What a campaign tells other programs: one event for each thing that happened, as plain data.

Events about a row come after the row is committed: who has read one finds the row in the store, whatever happens to
the campaign next. `CampaignEvent.to_dict` gives JSON data with the event's name (``event``) and the moment (``at``).
"""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from ..luts import Measurement
from ..luts.measurement import utc_now


@dataclass(frozen=True, kw_only=True)
class CampaignEvent:
    """Base of all events.

    Attributes:
        at: when it happened, ISO 8601 in UTC.
    """

    name: ClassVar[str] = ""
    at: str = field(default_factory=utc_now)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: ``event``, ``at``, and the event's own fields."""
        plain = asdict(self)
        return {"event": self.name, "at": plain.pop("at"), **plain}


@dataclass(frozen=True, kw_only=True)
class Started(CampaignEvent):
    """The campaign holds the device and knows what it has to do.

    Attributes:
        device: what people call it.
        digest: its fingerprint's digest.
        kernels: distinct kernels of the plan.
        total: of these, to be measured; a budget or a target may leave some of them out.
        networks: whole networks to be measured.
        estimate_s: rough duration.
    """

    name: ClassVar[str] = "started"
    device: str
    digest: str
    kernels: int
    total: int
    networks: int
    estimate_s: float


@dataclass(frozen=True, kw_only=True)
class Preparing(CampaignEvent):
    """Something is being made ready in the runtime."""

    name: ClassVar[str] = "preparing"
    kind: str
    key: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Waiting(CampaignEvent):
    """Nothing is measured until something passes.

    Attributes:
        reason: what is waited for.
    """

    name: ClassVar[str] = "waiting"
    reason: str


@dataclass(frozen=True, kw_only=True)
class RowCommitted(CampaignEvent):
    """A row with a number is on disk.

    Attributes:
        kind: "kernel", "resident", "network" or "constant".
        key: of the subject, within its kind.
        label: what people read.
        status: "ok" or "noisy".
        latency_ms: the number.
        rel_halfwidth: half the confidence interval relative to it; None where it is not known.
        flags: doubts.
        done: kernels that need no more work.
        total: kernels to be measured.
        eta_s: seconds to go; None before anything is known.
    """

    name: ClassVar[str] = "row"
    kind: str
    key: str
    label: str
    status: str
    latency_ms: float
    rel_halfwidth: float | None
    flags: tuple[str, ...]
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, kw_only=True)
class Failed(CampaignEvent):
    """A row without a number is on disk: its reason, and counts as in `RowCommitted`."""

    name: ClassVar[str] = "failed"
    kind: str
    key: str
    label: str
    reason: str
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, kw_only=True)
class GroupEnded(CampaignEvent):
    """Kernels that were timed against each other are done.

    Attributes:
        kernels: how many.
        seconds: how long that took, with everything around it.
        held_out_error: median relative error of what interpolation said of kernels before they were measured, where
            the campaign chooses by it.
    """

    name: ClassVar[str] = "group"
    kernels: int
    seconds: float
    held_out_error: float | None


@dataclass(frozen=True, kw_only=True)
class Requeued(CampaignEvent):
    """Kernels with noisy rows are measured once more.

    Attributes:
        labels: of those kernels.
    """

    name: ClassVar[str] = "requeued"
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Finished(CampaignEvent):
    """The campaign's end, in the numbers of `CampaignResult`."""

    name: ClassVar[str] = "finished"
    measured: int
    skipped: int
    failed: int
    noisy: int
    requeued: int
    interpolated: int
    held_out_error: float | None
    interrupted: bool


def event_of_row(row: Measurement, done: int, total: int, eta_s: float | None) -> CampaignEvent:
    """The event that says that ``row`` is committed."""
    if row.status == "failed":
        return Failed(
            kind=row.subject_kind,
            key=row.subject_key,
            label=row.label,
            reason=row.reason,
            done=done,
            total=total,
            eta_s=eta_s,
        )
    return RowCommitted(
        kind=row.subject_kind,
        key=row.subject_key,
        label=row.label,
        status=row.status,
        latency_ms=row.latency_ns / 1e6,
        rel_halfwidth=row.rel_halfwidth,
        flags=row.flags,
        done=done,
        total=total,
        eta_s=eta_s,
    )
