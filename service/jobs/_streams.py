"""What agents tell of jobs from afar: taken over once, however often it is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from ...luts.dialects import insert_into
from ..schema import job_stream
from .job import State


@dataclass(frozen=True, kw_only=True)
class Told:
    """A part of what an agent has written down of a job.

    Attributes:
        source: where it is written down, 32 hexadecimal digits; numbers and characters count within that.
        events: in order, each with its ``number``.
        log_after: characters of the log before ``log``.
        log: text of the log.
    """

    source: str
    events: Sequence[Mapping[str, Any]] = ()
    log_after: int = 0
    log: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What an agent hears when it has told something.

    Attributes:
        state: of the job: running, or cancelling.
        events: number of the last event that was taken over from that source; 0 for none.
        log_characters: of the log, from that source.
    """

    state: State
    events: int
    log_characters: int


def taken_over(connection: Connection, number: int, source: str) -> tuple[int, int]:
    """The number of the last event and the characters of the log that were taken over from a source."""
    mine = (job_stream.c.job_number == number) & (job_stream.c.source == source)
    query = select(job_stream.c.events, job_stream.c.log_characters).where(mine)
    found = connection.execute(query).one_or_none()
    return (0, 0) if found is None else (found.events, found.log_characters)


def take_over(connection: Connection, number: int, source: str, events: int, log_characters: int) -> None:
    """Remember how much was taken over."""
    row = {"job_number": number, "source": source, "events": events, "log_characters": log_characters}
    unique = ("job_number", "source")
    connection.execute(insert_into(connection, job_stream, row, unique, replace=True), [row])


def not_yet(told: Told, events: int, log_characters: int) -> tuple[list[dict[str, Any]], str]:
    """The events, without their numbers, and the text of a log that are new.

    Text behind a gap is left out: the sender hears how far it got, and sends what is between.
    """
    new = [dict(event) for event in told.events if event["number"] > events]
    for event in new:
        del event["number"]
    known = log_characters - told.log_after
    return new, told.log[known:] if known >= 0 else ""
