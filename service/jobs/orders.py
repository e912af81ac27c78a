"""What a worker and the process that runs a job tell each other, beside what stands in the store."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Order = Literal["cancel", "time", "stop"]
"""Why a job is to end: it is cancelled, its time is up, or the worker stops and another one is to go on."""

AWAY: Final = 75  # EX_TEMPFAIL of sysexits.h
"""Exit status of a job's process that could not reach the store."""

LOST: Final = 76
"""Exit status of a job's process whose job was taken from it."""


@dataclass(frozen=True)
class Start:
    """The first line that a job's process reads, as JSON; then come orders, one a line.

    Attributes:
        job_id: what to run.
        token: the right to write about it.
        folder: to work in.
        devices: what this machine calls devices that go by other names in requests.
    """

    job_id: str
    token: str
    folder: str
    devices: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)
