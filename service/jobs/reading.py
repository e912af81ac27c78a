"""Reading all that a job told and left, from the queue itself or from a server's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ...networks.errors import UsageError
from ._files import JobFile


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


class HasFiles(Protocol):
    """Anything that gives a job's files: `JobQueue`, `RemoteJobs`."""

    def files(self, job_id: str) -> Sequence[JobFile]:
        """The files that a job left, by name."""

    def file(self, job_id: str, name: str) -> bytes:
        """The content of one of them."""


def write_files(queue: HasFiles, job_id: str, folder: Path, prefix: str = "") -> None:
    """Write the files of a job whose names begin with ``prefix`` into a folder, under the rest of their names.

    Args:
        queue: where the job is.
        job_id: which.
        folder: is made where there is something to write.
        prefix: of names.

    Raises:
        UnknownJobError: there is no such job.
        UsageError: a name leads out of the folder, as those of a queue of Lutra's never do.
    """
    for file in queue.files(job_id):
        if not file.name.startswith(prefix):
            continue
        path = folder / file.name.removeprefix(prefix)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"the job has a file {file.name!r}", hint="it would lie outside of the folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(queue.file(job_id, file.name))
