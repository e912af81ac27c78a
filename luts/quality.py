"""What can be wrong with a measurement, and what to do about it."""

from enum import StrEnum
from typing import Final


class QualityFlag(StrEnum):
    """A doubt about a measurement, kept with its row. A flag never removes the number; it qualifies it."""

    LOAD = "load"
    STEAL = "steal"
    PREEMPTED = "preempted"
    PAGE_FAULTS = "page-faults"
    FREQUENCY_DRIFT = "frequency-drift"
    GOVERNOR = "governor"
    THERMAL = "thermal"
    UNPINNED = "unpinned"
    WIDE = "wide"
    FEW_SAMPLES = "few-samples"
    BIMODAL = "bimodal"
    NEAR_CLOCK = "near-clock"
    OVERHEAD = "overhead"
    IMPORTED = "imported"

    @property
    def cure(self) -> str:
        """What happened, and what a person can do about it."""
        return _CURES[self]


_CURES: Final[dict[QualityFlag, str]] = {
    QualityFlag.LOAD: "other programs used the processor; close them and measure again",
    QualityFlag.STEAL: "the host took the processor away from this virtual machine; use a dedicated or quieter host",
    QualityFlag.PREEMPTED: "the scheduler interrupted many samples; leave a core free or allow real-time priority",
    QualityFlag.PAGE_FAULTS: "memory was mapped during samples; keep the allocator from returning memory",
    QualityFlag.FREQUENCY_DRIFT: "the reference kernel changed speed between rounds; fix the clock or add rounds",
    QualityFlag.GOVERNOR: "the frequency governor is not 'performance'; set it with cpupower frequency-set",
    QualityFlag.THERMAL: "the processor was throttled by heat; cool the device or pause between rounds",
    QualityFlag.UNPINNED: "threads could not be bound to cores; allow it in the container or the cpuset",
    QualityFlag.WIDE: "the confidence interval is wider than the target; give the measurement more time",
    QualityFlag.FEW_SAMPLES: "the time limit left few samples; give the measurement more time",
    QualityFlag.BIMODAL: "samples fall in two groups; measure in more processes and look at both",
    QualityFlag.NEAR_CLOCK: "a sample lasts about as long as the clock's step; run more executions in a sample",
    QualityFlag.IMPORTED: "the number is from a file, not measured here; profile the device to have its samples",
    QualityFlag.OVERHEAD: "the call overhead is most of a sample; run more copies in a sample",
}


def cure(flag: str) -> str:
    """Return the cure of a flag; one that this version does not know (a plug-in's) is named as such."""
    try:
        return QualityFlag(flag).cure
    except ValueError:
        return f"{flag!r} is set by an extension; see its documentation"
