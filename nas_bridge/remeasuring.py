"""`Remeasure`: the best of a search are measured, the predictor learns from them, and the search goes on."""

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import MeasurementError, UsageError
from ..predictors import Report, ReportRow
from ._positions import Integers
from .asked import FunctionOracle
from .learned import PredictorOracle
from .oracle import LatencyOracle

_log = logging.getLogger(__name__)


class Found(Protocol):
    """What a search has found so far; `lutra.nas.SearchResult` has it.

    Attributes:
        codes: architectures that were evaluated, integers [n, P].
        front: which of them no other is better than, the best by the first objective first.
    """

    @property
    def codes(self) -> NDArray[np.int64]: ...

    @property
    def front(self) -> NDArray[np.int64]: ...


class Remeasure:
    """A hook of a search (`lutra.nas.search` calls it after each batch).

    Whenever the search has gone on by ``every`` evaluations, the best that were not measured yet are, up to ``top`` of
    them: the front of what was found, best first, and then what was found last. The report shows what was predicted
    beside what was measured, and the oracle is fitted anew to all that was ever measured. Objectives and constraints
    that were made of the oracle give the new numbers from then on; what the strategy was told before stays as it was,
    so ask the budget once more which of the architectures that were found keep it.

    Args:
        oracle: what the search asks; it must be able to learn.
        device: measures. With a `journal` of its own, an interrupted search goes on with the same numbers.
        codes: architectures that were measured before, such as those that the oracle's predictor was fitted to,
            integers [m, P]. A table can do without: it is only scaled.
        latencies_ms: theirs, [m].
        top: how many to measure at once.
        every: after how many evaluations.
        coverage: of the intervals in the reports.

    Attributes:
        reports: one a time, the oldest first.

    Raises:
        UsageError: numbers below 1, not as many latencies as codes, or none for a predictor.
    """

    def __init__(
        self,
        oracle: LatencyOracle,
        device: FunctionOracle,
        codes: ArrayLike | None = None,
        latencies_ms: Sequence[float] | NDArray[np.float64] = (),
        *,
        top: int = 8,
        every: int = 200,
        coverage: float = 0.9,
    ) -> None:
        if top < 1 or every < 1:
            raise UsageError(f"the best {top} every {every} evaluations", hint="give 1 or more of each")
        space = oracle.space
        known = np.empty((0, len(space.decisions)), np.int64) if codes is None else space.validate(codes)
        if isinstance(oracle, PredictorOracle) and not len(known):
            raise UsageError(
                "a predictor that learns anew from what is measured forgets what it was fitted to",
                hint="give the codes and latencies_ms that it was fitted to",
            )
        if len(known) != len(latencies_ms):
            raise UsageError(f"{len(latencies_ms)} latencies of {len(known)} architectures", hint="give one for each")
        self.oracle, self.device = oracle, device
        self.top, self.every, self.coverage = top, every, coverage
        self.reports: list[Report] = []
        self._codes, self._latencies_ms = space.canonical(known), np.asarray(latencies_ms, np.float64)
        self._tried = {tuple(code) for code in self._codes.tolist()}
        self._next = every

    def __call__(self, found: Found) -> None:
        """Measure and learn, if it is time. Where nothing can be measured the search goes on as it was."""
        if len(found.codes) < self._next:
            return
        self._next = len(found.codes) + self.every
        best = self._best(found)
        if not len(best):
            return
        try:
            self.measure(best)
        except MeasurementError as error:
            _log.warning("%s", error.message)

    def measure(self, codes: ArrayLike) -> Report:
        """Measure architectures, [n, P], put the prediction beside it, and let the oracle learn.

        Architectures that fail are left out; the device's `failures` say why.

        Raises:
            MeasurementError: all of them failed.
        """
        canonical = self.oracle.space.canonical(self.oracle.space.validate(codes))
        self._tried.update(tuple(code) for code in canonical.tolist())
        measured_ms = self.device.attempts_ms(canonical)
        there = ~np.isnan(measured_ms)
        if not there.any():
            reason = self.device.failures.get(tuple(canonical[0].tolist()), "nothing to measure")
            raise MeasurementError(
                f"none of {len(canonical)} architectures could be measured on {self.device.device}: {reason}",
                hint="see the device's failures",
            )
        report = self._report(canonical[there], measured_ms[there])
        self.reports.append(report)
        self._codes = np.concatenate([self._codes, canonical[there]])
        self._latencies_ms = np.concatenate([self._latencies_ms, measured_ms[there]])
        self.oracle.refit(self._codes, self._latencies_ms)
        return report

    def _best(self, found: Found) -> Integers:
        """Up to `top` architectures that were not tried yet."""
        latest = np.arange(len(found.codes))[::-1]
        order = dict.fromkeys([*found.front.tolist(), *latest.tolist()])
        new = [number for number in order if tuple(found.codes[number].tolist()) not in self._tried]
        return found.codes[new[: self.top]]

    def _report(self, codes: Integers, measured_ms: NDArray[np.float64]) -> Report:
        predicted_ms = self.oracle.latencies_ms(codes)
        intervals_ms = self.oracle.intervals_ms(codes, self.coverage)
        rows = [
            ReportRow(
                network=self.oracle.space.decode(code).name,
                predicted_ms=float(predicted),
                low_ms=float(low),
                high_ms=float(high),
                measured_ms=float(measured),
            )
            for code, predicted, (low, high), measured in zip(
                codes, predicted_ms, intervals_ms, measured_ms, strict=True
            )
        ]
        return Report(tuple(rows), self.coverage)
