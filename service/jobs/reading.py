"""Reading all that happened to a job, from the queue itself or from a server's."""

from collections.abc import Sequence
from typing import Any, Protocol


class HasEvents(Protocol):
    """Anything that gives a job's events page by page: `JobQueue`, `RemoteJobs`."""

    def events(self, job_id: str, after: int = 0) -> Sequence[dict[str, Any]]:
        """Events with numbers above ``after``, in order; none where there are no more."""


def every_event(queue: HasEvents, job_id: str) -> list[dict[str, Any]]:
    """All events of a job so far, in order.

    Raises:
        UnknownJobError: there is none.
    """
    found: list[dict[str, Any]] = []
    while more := queue.events(job_id, found[-1]["number"] if found else 0):
        found += more
    return found
