"""Which kernels a campaign measures next where it need not measure all: those that interpolation knows least about."""

from collections.abc import Callable, Iterator, Mapping, Set

from ..networks.errors import UsageError
from ..networks.lowering import Kernel
from .plan import Plan
from .recording import Recorder
from .sampling import AdaptiveSampler
from .session import KERNEL

_OUT_OF_REACH = 1e-9


def require_share(target_error: float | None) -> None:
    """Refuse a target that is not between 0 and 1.

    Raises:
        UsageError: it is not.
    """
    if target_error is not None and not 0 < target_error < 1:
        raise UsageError(
            f"the target error is {target_error!r}", hint="give a share between 0 and 1, such as 0.03 for 3 %"
        )


class Chooser:
    """Drives an `AdaptiveSampler` with what a campaign measures.

    Args:
        plan: what the campaign is to measure.
        pending: those that have no row yet, or are to get another.
        finished: those of them that got theirs in this campaign; grows as it goes on.
        recorder: where the rows are.
        target_error: median relative error of interpolation at which to stop; None to go on until all are measured.
        seed: of what is random in the choice.
    """

    def __init__(
        self,
        plan: Plan,
        pending: Mapping[str, Kernel],
        finished: Set[str],
        recorder: Recorder,
        target_error: float | None,
        seed: int,
    ) -> None:
        self._pending, self._finished, self._recorder = pending, finished, recorder
        self._sampler = AdaptiveSampler(
            plan.kernels, target_error=target_error or _OUT_OF_REACH, seed=seed, usage=plan.usage
        )
        self._untold = dict(plan.kernels)
        self._tell()

    @property
    def done(self) -> bool:
        """Whether the target is reached."""
        return self._sampler.done

    @property
    def held_out_error(self) -> float | None:
        """Median relative error of what was interpolated before it was measured; None before there is any."""
        error = self._sampler.held_out_error
        return None if error is None else error.median

    def choose(self, most: Callable[[], int]) -> Iterator[dict[str, Kernel]]:
        """Kernels to measure, until the target is reached; between two of them the rows of the first are taken in.

        Args:
            most: tells how many there may be at once; 0 ends it.
        """
        self._tell()
        while not self._sampler.done and (count := most()) > 0:
            keys = self._sampler.ask(min(count, self._sampler.batch))
            if not keys:
                return
            yield {key: self._pending[key] for key in keys if key in self._pending}
            self._tell()

    def _tell(self) -> None:
        """Tell the sampler of rows that count: an old one that is to be replaced does not."""
        known = [key for key in self._untold if key not in self._pending or key in self._finished]
        self._sampler.tell(row for key in known if (row := self._recorder.get(KERNEL, key)) is not None)
        for key in known:
            del self._untold[key]
