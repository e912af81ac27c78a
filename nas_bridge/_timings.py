"""The file of what was timed on a device: a header, then a line of JSON for each architecture, in order."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..networks.errors import SearchStateError, UsageError

Code: TypeAlias = tuple[int, ...]
Timing: TypeAlias = float | str
"""A latency in ms, or why there is none."""

FORMAT: Final = 1
_NAME: Final = "lutra_timings"


class Timings:
    """Timings that outlive the process.

    Args:
        path: of the file; made where there is none.
        header: whose timings they are, as JSON data; must be that of the file.

    Attributes:
        found: what the file had.

    Raises:
        SearchStateError: the file is of another space or device, or no such file.
        UsageError: it cannot be read or written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path = path
        self.found: dict[Code, Timing] = {}
        wanted = {_NAME: FORMAT, **header}
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise self._unusable(error) from error
        whole = content[: content.rfind(b"\n") + 1]  # what was being written when the process died has no end
        if not whole:
            if content and not _line(wanted).startswith(content):
                raise self._foreign()
            self._append(_line(wanted), at=0)
            return
        first, *rest = whole.splitlines()
        if self._parsed(first, 1) != wanted:
            raise self._foreign()
        self.found = dict(self._read(rest))
        self._append(b"", at=len(whole))

    def add(self, code: Code, timing: Timing) -> None:
        """Write one more, so that it is on the disk afterwards."""
        self._append(_line({"code": list(code), "failure" if isinstance(timing, str) else "latency_ms": timing}))

    def _read(self, lines: list[bytes]) -> Iterator[tuple[Code, Timing]]:
        for number, line in enumerate(lines, 2):
            record = self._parsed(line, number)
            try:
                code = tuple(int(choice) for choice in record["code"])
                yield code, str(record["failure"]) if "failure" in record else float(record["latency_ms"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._damaged(number) from error

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise (self._foreign() if number == 1 else self._damaged(number)) from error
        if not isinstance(record, dict):
            raise self._foreign() if number == 1 else self._damaged(number)
        return record

    def _append(self, line: bytes, *, at: int | None = None) -> None:
        """Write at the end; ``at`` cuts the file to so many bytes before."""
        try:
            with self._path.open("ab") as stream:
                if at is not None:
                    stream.truncate(at)
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._unusable(error) from error

    def _damaged(self, number: int) -> SearchStateError:
        return SearchStateError(
            f"{self._path} is damaged: line {number} is no timing",
            hint=f"keep the lines before it (head -n {number - 1}), or give another file",
        )

    def _foreign(self) -> SearchStateError:
        return SearchStateError(
            f"{self._path} has no timings of this space on this device", hint="give another file, or remove this one"
        )

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(f"{self._path} cannot be used ({error.strerror})", hint="check the path and its permissions")


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"
