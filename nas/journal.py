"""The file of a search: what it is a search of, and all that was asked and answered, so that it can go on after a kill.

JSON lines, each with a checksum: a header; then, in the order in which it happened, ``{"ask": n}`` for each time that
the strategy was asked, and ``{"code": ..., "losses": ..., "failure": ...}`` for each architecture that was evaluated.
"""

import fcntl
import json
import math
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from ..networks.errors import SearchStateError, UsageError
from .evaluation import Outcome

FORMAT: Final = 1
"""Version of the format."""

_NAME: Final = "lutra_search"  # the first field of the header, whose value is the version
_VERSIONS: Final = ("lutra", "numpy")  # fields of the header that may differ
_SYNC_EVERY_S: Final = 1.0


class Journal:
    """An open journal, which no other process may have open.

    Args:
        path: of the file; made where there is none.
        header: what the search is, as JSON data: it must be that of the file, apart from the versions of packages.

    Attributes:
        asked: how many architectures the strategy was asked for, time after time, in what was found in the file.
        codes: the architectures that were evaluated, each d numbers.
        outcomes: what became of them.
        written_by: the versions of packages that wrote the header.

    Raises:
        SearchStateError: the file is of another search, of another version, damaged, or open elsewhere.
        UsageError: it cannot be read or written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.asked: list[int] = []
        self.codes: list[tuple[int, ...]] = []
        self.outcomes: list[Outcome] = []
        self._pending = b""
        self._synced_s = time.monotonic()
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._begin(json.loads(json.dumps({_NAME: FORMAT, **header})))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.close()

    def ask(self, n: int) -> None:
        """Note that the strategy was asked for ``n`` architectures."""
        self._write({"ask": n})

    def answer(self, code: Sequence[int], outcome: Outcome) -> None:
        """Note what became of an architecture, d numbers; on the disk within a second, or after `sync`."""
        losses = [None if math.isnan(loss) else loss for loss in outcome.losses]
        self._write({"code": list(code), "losses": losses, "failure": outcome.failure})

    def sync(self) -> None:
        """Bring everything to the disk.

        Raises:
            UsageError: the file cannot be written.
        """
        try:
            while self._pending:
                self._pending = self._pending[self._file.write(self._pending) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unusable(error) from error
        self._synced_s = time.monotonic()

    def close(self) -> None:
        """Bring everything to the disk, and let others open the file."""
        try:
            self.sync()
        finally:
            self._file.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._pending += _line(record)
        if time.monotonic() - self._synced_s >= _SYNC_EVERY_S:
            self.sync()

    def _begin(self, header: dict[str, Any]) -> None:
        """Read what the file has; write the header into a new one."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = self._file.read()
        except BlockingIOError as error:
            raise SearchStateError(
                f"{self.path} is in use by another search", hint="wait for it, or give another file"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error
        whole = content[: content.rfind(b"\n") + 1]  # a line without an end was being written when the search died
        if not whole:
            if not _line(header).startswith(content[: len(_NAME) + 3]):
                raise self._foreign()
            self.written_by = {name: header[name] for name in _VERSIONS}
            self._cut(0)
            self._write(header)
            self.sync()
            return
        first, *rest = whole.splitlines()
        self._check_header(self._header(first), header)
        for number, line in enumerate(rest, 2):
            self._take(self._parsed(line, number), number, len(header["choices"]), len(header["objectives"]))
        self._cut(len(whole))

    def _cut(self, size: int) -> None:
        try:
            self._file.truncate(size)
            self._file.seek(size)
        except OSError as error:
            raise self._unusable(error) from error

    def _header(self, line: bytes) -> dict[str, Any]:
        if not line.startswith(f'{{"{_NAME}"'.encode()):
            raise self._foreign()
        return self._parsed(line, 1)

    def _check_header(self, found: dict[str, Any], header: dict[str, Any]) -> None:
        if found[_NAME] != FORMAT:
            raise SearchStateError(
                f"{self.path} has the format {found[_NAME]!r}; this version of Lutra goes on from format {FORMAT}",
                hint="go on with the version of Lutra that began the search, or give another file",
            )
        self.written_by = {name: found.pop(name, "?") for name in _VERSIONS}
        wanted = {name: value for name, value in header.items() if name not in _VERSIONS}
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if names:
            told = "; ".join(f"its {name} is {found.get(name)!r}, not {wanted.get(name)!r}" for name in names)
            raise SearchStateError(
                f"{self.path} is of another search: {told}",
                hint="search for what it was begun with, or give another file",
            )

    def _take(self, record: dict[str, Any], number: int, decisions: int, objectives: int) -> None:
        try:
            if set(record) == {"ask"}:
                self.asked.append(int(record["ask"]))
                return
            code = tuple(int(choice) for choice in record["code"])
            losses = tuple(math.nan if loss is None else float(loss) for loss in record["losses"])
            failure = None if record["failure"] is None else str(record["failure"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(number) from error
        if len(code) != decisions or len(losses) != objectives:
            raise self._damaged(number)
        self.codes.append(code)
        self.outcomes.append(Outcome(losses, failure))

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
            checksum = record.pop("crc")
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
            raise self._damaged(number) from error
        if checksum != zlib.crc32(json.dumps(record).encode()):
            raise self._damaged(number)
        parsed: dict[str, Any] = record
        return parsed

    def _damaged(self, number: int) -> SearchStateError:
        return SearchStateError(
            f"{self.path} is damaged: line {number} is not what was written",
            hint=f"keep the lines before it (head -n {number - 1}) to go on from there, or give another file",
        )

    def _foreign(self) -> SearchStateError:
        return SearchStateError(
            f"{self.path} is no journal of a search", hint="give the file of a search, or one that is not there yet"
        )

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the journal {self.path} cannot be used: {error.strerror or error}", hint="check its folder and the disk"
        )


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record)
    return f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}\n'.encode()
