"""What a campaign did."""

from dataclasses import dataclass, field

from ..luts import Table


@dataclass
class CampaignResult:
    """What a campaign did.

    Attributes:
        measured: rows written with a number (including noisy ones).
        skipped: kernels that had a row already.
        failed: reasons by label of what could not be measured.
        noisy: labels of rows marked noisy, after they were measured again.
        requeued: how many kernels were measured again because their rows were noisy.
        interpolated: kernels that were left to interpolation, because the target was reached or the budget spent.
        held_out_error: median relative error of what was interpolated before it was measured; None without a budget
            or a target.
        interrupted: it was cancelled; run the same plan again to go on.
        measured_share: share of the campaign's time spent inside samples; the rest prepared and decided. Waiting
            for other programs does not count. 0 for a simulated device.
        table: all rows of the device.
    """

    measured: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    noisy: list[str] = field(default_factory=list)
    requeued: int = 0
    interpolated: int = 0
    held_out_error: float | None = None
    interrupted: bool = False
    measured_share: float = 0.0
    table: Table | None = None
