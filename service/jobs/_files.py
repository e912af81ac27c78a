"""The files of jobs: kept in the store, so that whoever reads the store has them, wherever they were made."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from ...luts.dialects import insert_into
from ...networks.errors import StoreCorruptError, UnknownJobError, UsageError
from ..schema import job_file
from .limits import Limits

_NAME: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)
_LONGEST: Final = 255


@dataclass(frozen=True)
class JobFile:
    """A file that a job left.

    Attributes:
        name: a relative path with "/" between folders.
        size_bytes: its size.
        sha256: of its content, in hexadecimal.
    """

    name: str
    size_bytes: int
    sha256: str


def listed(connection: Connection, number: int) -> tuple[JobFile, ...]:
    """The files of a job by name."""
    columns = (job_file.c.name, job_file.c.size_bytes, job_file.c.sha256)
    query = select(*columns).where(job_file.c.job_number == number).order_by(job_file.c.name)
    return tuple(JobFile(*row) for row in connection.execute(query))


def content(connection: Connection, row: Mapping[str, Any], name: str) -> bytes:
    """The content of a file.

    Raises:
        UnknownJobError: there is none of that name.
        StoreCorruptError: it is not what was written.
    """
    mine = (job_file.c.job_number == row["number"]) & (job_file.c.name == name)
    found = connection.execute(select(job_file.c.content, job_file.c.sha256).where(mine)).one_or_none()
    if found is None:
        names = ", ".join(file.name for file in listed(connection, row["number"])[:12])
        raise UnknownJobError(row["id"], file=name, hint=f"it has: {names or 'none'}")
    data = bytes(found.content)
    if hashlib.sha256(data).hexdigest() != found.sha256:
        raise StoreCorruptError(
            f"the file {name} of the job {row['id']} is not what was written", hint="run the job again, as a clone"
        )
    return data


def put(connection: Connection, number: int, name: str, data: bytes, limits: Limits) -> None:
    """Keep a file with a job.

    Raises:
        UsageError: a name that could leave its folder, or a file that is too large.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a file of a job",
            hint=f"give a relative path of letters, digits, '.', '_', '-' and '/', {_LONGEST} characters at most",
        )
    others = select(func.coalesce(func.sum(job_file.c.size_bytes), 0))
    others = others.where(job_file.c.job_number == number, job_file.c.name != name)
    if len(data) > limits.file_bytes or connection.execute(others).scalar_one() + len(data) > limits.files_bytes:
        raise UsageError(
            f"the file {name} of {len(data)} bytes is too large",
            hint=f"{limits.file_bytes} bytes a file, {limits.files_bytes} a job",
        )
    row = {
        "job_number": number,
        "name": name,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "content": data,
    }
    connection.execute(insert_into(connection, job_file, row, ("job_number", "name"), replace=True), [row])
