"""What a search job tells while it runs: the architectures that it tried, a few times a minute."""

import math
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from ...nas import SearchResult
    from ..searching.runs import Prepared
    from .context import Context

_EVERY_S: Final = 1.0
_MOST: Final = 150  # architectures in one event
_LONGEST_NAME: Final = 200


class Tried:
    """Tells of architectures in batches (event ``tried``), the best of those that are new.

    Args:
        prepared: the search.
        context: of the job.
    """

    def __init__(self, prepared: "Prepared", context: "Context") -> None:
        self._prepared, self._context = prepared, context
        self._told = 0
        self._started_s = time.monotonic()
        self._told_s = -math.inf
        self._known = -1  # what an earlier attempt had evaluated; -1 before anything is heard

    def __call__(self, result: "SearchResult") -> None:
        """Take in where the search stands."""
        if self._known < 0:
            self._known = len(result)
        now_s = time.monotonic()
        if len(result) > self._told and (now_s - self._told_s >= _EVERY_S or result.stopped is not None):
            self._context.event({"event": "tried", "items": self._items(result), **self._standing(result, now_s)})
            self._told, self._told_s = len(result), now_s

    def _items(self, result: "SearchResult") -> list[dict[str, Any]]:
        values = result.values[self._told :, 0]
        good = np.flatnonzero(np.isfinite(values))
        losses = result.evaluations.losses[self._told :, 0]
        best = np.sort(good[np.argsort(losses[good], kind="stable")[:_MOST]])
        codes = result.codes[self._told + best]
        if not len(codes):
            return []
        latencies_ms = self._prepared.latency.oracle.latencies_ms(codes).tolist()
        names = [self._prepared.space.label(code)[:_LONGEST_NAME] for code in codes]
        told = zip(names, values[best].tolist(), latencies_ms, strict=True)
        return [{"name": name, "accuracy": accuracy, "latency_ms": ms} for name, accuracy, ms in told]

    def _standing(self, result: "SearchResult", now_s: float) -> dict[str, Any]:
        done, total = len(result), self._prepared.settings.evaluations
        fresh = done - self._known
        eta_s = (now_s - self._started_s) / fresh * (total - done) if fresh else None
        best = result.best_so_far[-1:].tolist()
        known = best[0] if best and math.isfinite(best[0]) else None
        told = {"done": done, "total": total, "eta_s": eta_s, "best": known, "failed": len(result.failed)}
        return told | {"simulated": self._prepared.latency.oracle.simulated}
