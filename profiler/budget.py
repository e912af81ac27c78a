"""How much of a campaign's time is left, and how many kernels fit into it."""

import math
import time

from ..networks.errors import UsageError

_TO_END = 0.03  # share of a budget in which the last rows are committed and the runtime is left
_TO_END_S = 5.0  # and no more than this
_HELD_BACK = 0.15  # largest share of a budget that is kept for measuring noisy kernels again


class Budget:
    """The time of a campaign; it runs from `begin` on.

    Args:
        budget_s: all of it; None for as long as it takes.
        kernel_s: what a kernel is taken to need before any has been measured.

    Raises:
        UsageError: a budget that is not a positive number.
    """

    def __init__(self, budget_s: float | None, kernel_s: float) -> None:
        if budget_s is not None and not (budget_s > 0 and math.isfinite(budget_s)):
            raise UsageError(f"the budget is {budget_s!r} s", hint="give a positive number of seconds, or none at all")
        self._budget_s = math.inf if budget_s is None else budget_s
        self._ends_s = math.inf
        self._kernel_s = kernel_s
        self._kernels = 0
        self._spent_s = 0.0

    def begin(self) -> None:
        """Waiting is over: from now on time counts."""
        self._ends_s = time.monotonic() + self._budget_s

    @property
    def remaining_s(self) -> float:
        """Seconds left to measure in; infinite without a limit, or before it begins."""
        if math.isinf(self._ends_s):
            return math.inf
        return max(self._ends_s - time.monotonic() - min(_TO_END * self._budget_s, _TO_END_S), 0.0)

    def spent(self, kernels: int, seconds: float) -> None:
        """Learn that so many kernels took so long."""
        if kernels:
            self._kernels += kernels
            self._spent_s += seconds
            self._kernel_s = self._spent_s / self._kernels

    def affordable(self, most: int, *, noisy: int = 0) -> int:
        """How many kernels there is time for.

        Args:
            most: no more than so many.
            noisy: kernels to be measured again at the end, for which time is to remain.
        """
        if math.isinf(self._ends_s):
            return most
        held_back_s = min(noisy * self._kernel_s, _HELD_BACK * self._budget_s)
        return min(most, max(int((self.remaining_s - held_back_s) / max(self._kernel_s, 1e-9)), 0))
