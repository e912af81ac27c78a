"""How often one client may ask: a token bucket for each."""

import time
from collections import OrderedDict
from typing import Final

from ...networks.errors import RateLimitedError

_MOST_CLIENTS: Final = 10_000


class Limiter:
    """Buckets of one kind of request. Used in the event loop only, so without locks.

    A bucket holds ``burst`` requests and fills at ``per_s``. The clients not seen for longest are forgotten first, so
    that no number of them takes more memory than `_MOST_CLIENTS` do.

    Args:
        what: the requests, for messages.
        per_s: requests a second, on average.
        burst: how many may come at once.
    """

    def __init__(self, what: str, per_s: float, burst: float) -> None:
        self._what, self._per_s, self._burst = what, per_s, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # left, and when that was

    def take(self, client: str) -> None:
        """Count one request.

        Raises:
            RateLimitedError: there were too many.
        """
        left, now = self._left(client)
        if left < 1:
            raise RateLimitedError(self._what, (1 - left) / self._per_s)
        self._put(client, left - 1, now)

    def require(self, client: str) -> None:
        """Check that there may be one more, without counting it.

        Raises:
            RateLimitedError: there were too many.
        """
        left, _ = self._left(client)
        if left < 1:
            raise RateLimitedError(self._what, (1 - left) / self._per_s)

    def count(self, client: str) -> None:
        """Count one request that has happened, whether or not it was allowed."""
        left, now = self._left(client)
        self._put(client, max(0.0, left - 1), now)

    def _left(self, client: str) -> tuple[float, float]:
        now = time.monotonic()
        left, then = self._buckets.get(client, (self._burst, now))
        return min(self._burst, left + (now - then) * self._per_s), now

    def _put(self, client: str, left: float, now: float) -> None:
        self._buckets[client] = left, now
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
