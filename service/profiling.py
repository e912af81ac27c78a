"""What ``lutra profile`` does between its options and its output: the same for the command line and for jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .plans import plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..nas.spaces import SearchSpace
    from ..networks import Network
    from ..profiler import CampaignResult, Device, Plan
    from .reports import Comparison


@dataclass(frozen=True)
class Work:
    """What is to be measured.

    Attributes:
        device: on what.
        plan: of the campaign.
        subjects: the networks that are measured whole, as they were named or drawn.
        spaces: search spaces among what is measured.
    """

    device: "Device"
    plan: "Plan"
    subjects: "list[Network | Path]"
    spaces: "Sequence[SearchSpace]"

    def compared(self, result: "CampaignResult") -> "Comparison | None":
        """What the new table predicts for the networks that were measured whole; None where that says nothing."""
        from ..predictors import TablePredictor
        from .reports import comparison

        if not self.plan.check or not self.plan.subjects or result.interrupted:
            return None
        assert result.table is not None
        return comparison(TablePredictor(result.table), self.subjects, self.plan)


def work_of(
    device: "Device",
    sources: "Sequence[Network | Path]",
    spaces: "Sequence[SearchSpace]",
    *,
    check: bool,
    check_networks: int,
) -> Work:
    """What is to be measured.

    Args:
        device: on what.
        sources: networks, and paths of ONNX files.
        spaces: spaces whose kernels are wanted.
        check: measure networks whole.
        check_networks: so many random networks of each space are checked beside ``sources``.

    Raises:
        UsageError: nothing is.
        LutraError: as `plan_of` raises.
    """
    from ..networks.errors import UsageError

    if not sources and not spaces:
        raise UsageError(
            "no network is named, nor a space",
            hint="name networks or files, such as lutra profile mobilenet_v2, or a search space, such as --space fbnet",
        )
    plan, subjects = plan_of(device, sources, spaces, check=check, check_networks=check_networks)
    return Work(device, plan, subjects, spaces)


def document(result: "CampaignResult", work: Work, compared: "Comparison | None") -> dict[str, Any]:
    """What was done, as plain JSON data."""
    done = {
        "device": str(work.device),
        "measured": result.measured,
        "skipped": result.skipped,
        "interpolated": result.interpolated,
        "held_out_error": result.held_out_error,
        "requeued": result.requeued,
        "noisy": result.noisy,
        "failed": result.failed,
        "interrupted": result.interrupted,
    }
    return done if compared is None else done | {"networks": compared.to_dict()}
