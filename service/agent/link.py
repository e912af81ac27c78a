"""`Link`: a server that may be out of reach, or refuse the token, for as long as it likes."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from ...networks.errors import (
    ForbiddenError,
    LutraError,
    NothingHereError,
    RateLimitedError,
    UnauthenticatedError,
    UsageError,
)
from ..client.transport import Transport
from ..client.work import RemoteWork

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Asked = ParamSpec("Asked")

_ANSWER_S: Final = 30.0
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0
_REFUSED: Final = (UnauthenticatedError, ForbiddenError, NothingHereError)
"""What waiting does not mend: somebody has to do something."""


class Link:
    """A server, and when to ask it again.

    Args:
        url: where it is; None for the environment's ``LUTRA_SERVER``.
        token_file: holds the token, and is read again when that is refused; None for the environment's ``LUTRA_TOKEN``.

    Attributes:
        url: where it is.

    Raises:
        UsageError: no address, or the file cannot be read.
        UnauthenticatedError: no token.
        MissingDependencyError: the extra ``client`` is not installed.
    """

    def __init__(self, url: str | None, token_file: Path | None) -> None:
        self._asked_url, self._token_file = url, token_file
        self._token = self._read_token()
        self._transport = Transport(url, self._token, timeout_s=_ANSWER_S)
        self.url = self._transport.url
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._since_s = 0.0
        self._wait_s = _FIRST_WAIT_S
        self._next_s = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def ask(
        self, question: Callable[Concatenate[RemoteWork, Asked], Answer], *args: Asked.args, **kwargs: Asked.kwargs
    ) -> Answer:
        """What the server answers to a method of `RemoteWork`.

        Raises:
            LutraError: as it answers; UnreachableServerError where it does not.
        """
        try:
            answer = question(RemoteWork(self._transport), *args, **kwargs)
        except _REFUSED:
            if not self._has_another_token():
                raise
            answer = question(RemoteWork(self._transport), *args, **kwargs)
        self._fine()
        return answer

    @property
    def may_ask(self) -> bool:
        """Whether it is time to ask: at once after an answer, a little later after each time without one."""
        return time.monotonic() >= self._next_s or self._has_another_token()

    def note(self, error: LutraError) -> None:
        """Take in that it could not be asked: the next time is later, and the log says so once."""
        with self._lock:
            known = self._trouble == error.code
            self._since_s = self._since_s if self._trouble else time.monotonic()
            self._trouble = error.code
            wait_s = _LONGEST_WAIT_S if isinstance(error, _REFUSED) else self._wait_s
            if isinstance(error, RateLimitedError):
                wait_s = max(wait_s, error.retry_after_s)
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
            self._next_s = time.monotonic() + wait_s
        if not known:
            hint = f"; {error.hint}" if error.hint else ""
            logger.warning("%s%s. What is measured is kept here, and sent later", error.message, hint)

    @property
    def trouble(self) -> bool:
        """Whether the last question had no answer."""
        return self._trouble is not None

    def _fine(self) -> None:
        with self._lock:
            if self._trouble is not None:
                logger.warning("%s answers again, after %.0f s", self.url, time.monotonic() - self._since_s)
            self._trouble, self._wait_s, self._next_s = None, _FIRST_WAIT_S, 0.0

    def _has_another_token(self) -> bool:
        """Take the token of the file, if that is another one by now."""
        if self._token_file is None:
            return False
        try:
            token = self._read_token()
        except UsageError:  # it is being written
            return False
        with self._lock:
            if token == self._token:
                return False
            self._token = token
            before, self._transport = self._transport, Transport(self._asked_url, token, timeout_s=_ANSWER_S)
            self._next_s = 0.0
        before.close()
        return True

    def _read_token(self) -> str | None:
        if self._token_file is None:
            return None
        try:
            token = self._token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"the token cannot be read from {self._token_file}: {error}",
                hint="write what lutra token create prints into a file that only the agent's user can read",
            ) from None
        if not token:
            raise UsageError(f"there is no token in {self._token_file}", hint="lutra token create makes one")
        return token
