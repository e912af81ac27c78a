"""What a job is, to whoever asks: its state, where it stands, what became of it."""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, get_args

from ...luts.leases import Holder

State = Literal["created", "queued", "running", "cancelling", "cancelled", "succeeded", "failed", "timed_out"]
STATES: Final[tuple[State, ...]] = get_args(State)
WAITING: Final[tuple[State, ...]] = ("created", "queued")
ACTIVE: Final[tuple[State, ...]] = ("running", "cancelling")
FINISHED: Final[tuple[State, ...]] = ("cancelled", "succeeded", "failed", "timed_out")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it stood when it was read.

    Attributes:
        id: what it is called.
        kind: "profile", "fit", "search", or a plug-in's.
        request: what it is asked to do, as the kind's request checked it.
        device: what it measures; None where it measures nothing.
        state: created (waits for another job), queued, running, cancelling (told to stop), or finished: cancelled,
            succeeded, failed, timed_out.
        priority: higher ones are taken first; of equal ones, the one that came first.
        limit_s: how long an attempt may run; None for as long as it takes.
        waits_for: the job that has to succeed first.
        cloned_from: the job that this is a copy of.
        created_at: ISO 8601 in UTC, as the other two.
        started_at: of the last attempt.
        finished_at: when it got its last state.
        attempts: how often it was begun; a worker that dies gives its job to the next one.
        events: how many there are.
        worker: who has it, or had it last.
        error: why it failed: ``code``, ``message``, ``hint``; None where it did not.
    """

    id: str
    kind: str
    request: Mapping[str, Any]
    device: str | None
    state: State
    priority: int
    limit_s: float | None
    waits_for: str | None
    cloned_from: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempts: int
    events: int
    worker: str | None
    error: Mapping[str, Any] | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINISHED

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Self:
        """The job of a row of the table `job`."""
        plain = {name: columns[name] for name in cls.__dataclass_fields__}
        error = columns["error"]
        return cls(
            **plain | {"request": json.loads(columns["request"]), "error": None if error is None else json.loads(error)}
        )


@dataclass(frozen=True)
class Page:
    """Some jobs of a list, the newest first.

    Attributes:
        jobs: those of this page.
        after: what to ask for the next page with; None on the last one.
    """

    jobs: tuple[Job, ...]
    after: str | None


@dataclass(frozen=True)
class Claim:
    """A job that a worker has to itself.

    Attributes:
        job: which.
        token: what lets the worker, and nobody else, write about it; kept out of `Job` so that no list shows it.
    """

    job: Job
    token: str


@dataclass(frozen=True)
class Worker:
    """Who takes jobs.

    Attributes:
        name: what people read.
        host: the name of its machine.
        pid: its process there; None for one that only its heartbeat tells of, as an agent behind the network.
    """

    name: str
    host: str
    pid: int | None

    @classmethod
    def here(cls) -> Self:
        """This process."""
        here = Holder.here()
        return cls(f"{here.host}:{here.pid}", here.host, here.pid)

    @classmethod
    def remote(cls, name: str) -> Self:
        """One on another machine, which nobody here can look for."""
        return cls(name, f"{name} (not {socket.gethostname()})", None)
