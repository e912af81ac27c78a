"""How carefully a campaign measures."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How carefully to measure.

    Attributes:
        min_rounds: rounds that every entry gets.
        max_rounds: rounds after which an entry is given up as noisy.
        samples_per_visit: samples of an entry each time its turn comes.
        warmup_runs: runs of an entry before its first sample; one more was made when it was prepared.
        target_halfwidth: relative half-width of the 95 % interval of p25 at which an entry is done.
        group_budget_s: longest measurement of one group, once every entry has had `min_rounds`.
        group_kernels: most kernels in one group.
        processes: fresh worker processes that share a group's rounds, where the runtime does not ask for more: some
            differ from process to process by more than within one.
        patience_s: longest wait of a campaign for other programs to leave the machine; then rows are flagged.
        priority: "auto" for a real-time measuring thread where the system permits one, or "normal".
        seed: of weights, inputs and the order of entries.
    """

    min_rounds: int = 8
    max_rounds: int = 48
    samples_per_visit: int = 3
    warmup_runs: int = 1
    target_halfwidth: float = 0.02
    group_budget_s: float = 120.0
    group_kernels: int = 48
    processes: int = 1
    patience_s: float = 5.0
    priority: str = "auto"
    seed: int = 0

    def options(
        self, metric: str, processes: int, process: int, most_s: float = math.inf
    ) -> dict[str, float | int | str]:
        """As the timing core takes them, for one of several processes that share the rounds.

        Args:
            metric: "cpu" or "wall".
            processes: how many share the rounds.
            process: which of them this is, from 0.
            most_s: longest time for the group, where that is less than `group_budget_s`.
        """
        return {
            "min_rounds": math.ceil(self.min_rounds / processes),
            "max_rounds": math.ceil(self.max_rounds / processes),
            "samples_per_visit": self.samples_per_visit,
            "warmup_runs": self.warmup_runs,
            "target_halfwidth": self.target_halfwidth * math.sqrt(processes),
            "time_budget_s": min(self.group_budget_s, most_s) / processes,
            "metric": metric,
            "seed": self.seed + process,
        }
