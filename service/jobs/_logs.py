"""The logs of jobs: what they wrote for people, within bounds and without secrets."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from ..schema import job, job_log

_CUT: Final = "\n[the log is full; what comes after is left out]\n"
_HIDDEN: Final = "[hidden]"
_SECRETS: Final = (
    re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+(?=@)"),  # the password of a URL
    re.compile(r"(?i)\b(authorization\s*[:=]\s*(?:bearer|basic)|bearer)\s+[\w.~+/=-]{8,}"),
    re.compile(r"(?i)([\w-]*(?:password|passwd|secret|token|api[-_]?key)['\"]?\s*[:=]\s*)['\"]?[^\s'\",;]{4,}"),
)


def without_secrets(text: str) -> str:
    """The text with passwords and tokens blotted out."""
    url, header, setting = _SECRETS
    text = url.sub(rf"\1:{_HIDDEN}", text)
    text = header.sub(rf"\1 {_HIDDEN}", text)
    return setting.sub(rf"\1{_HIDDEN}", text)


def append(connection: Connection, row: Mapping[str, Any], text: str, most: int) -> None:
    """Add text to the log of a job.

    Args:
        connection: in the transaction that made sure that the job is the writer's.
        row: the job's columns.
        text: to be added.
        most: characters that a log may have.
    """
    text = without_secrets(text.replace("\0", "\\0"))  # PostgreSQL has no text with that character
    offset = row["log_bytes"]
    if not text or offset >= most:
        return
    if offset + len(text) > most:
        text = text[: most - offset] + _CUT
    connection.execute(insert(job_log).values(job_number=row["number"], offset=offset, content=text))
    connection.execute(update(job).where(job.c.number == row["number"]).values(log_bytes=offset + len(text)))


def read(connection: Connection, number: int, after: int) -> str:
    """The log of a job behind its first ``after`` characters."""
    ends = job_log.c.offset + func.length(job_log.c.content)
    query = select(job_log).where(job_log.c.job_number == number, ends > after).order_by(job_log.c.offset)
    rows = connection.execute(query).mappings().all()
    text = "".join(row["content"] for row in rows)
    return text[max(0, after - rows[0]["offset"]) :] if rows else ""
