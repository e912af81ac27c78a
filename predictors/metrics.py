"""How well predicted latencies agree with measured ones.

Every function takes ``(measured, predicted)``, in that order (scikit-learn's), each of shape ``[n]`` with n networks,
positive and in one unit. All raise `UsageError` for what is not: NaN, zero, negative, of different lengths, too few.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import UsageError
from .prediction import Prediction, significant

Latencies = NDArray[np.float64]


def checked_latencies(values: ArrayLike, what: str, *, least: int = 1) -> Latencies:
    """Latencies as an array of shape ``[n]``.

    Args:
        values: numbers in any one unit.
        what: how errors call them ("measured").
        least: smallest n that makes sense.

    Raises:
        UsageError: not one-dimensional, fewer than ``least``, or one is NaN, infinite, zero or negative (the
            first such is named by its index, from 0).
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} latencies are not numbers: {error}", hint="give one number a network") from None
    if array.ndim != 1:
        raise UsageError(f"{what} latencies have shape {array.shape}", hint="give a flat list, one number a network")
    if len(array) < least:
        raise UsageError(f"{len(array)} {what} latencies", hint=f"give {least} or more")
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        raise UsageError(
            f"{what} latency {bad[0]} is {array[bad[0]]} ({len(bad)} of {len(array)} are not positive numbers)",
            hint="leave out networks that have no measurement",
        )
    return array


PLAUSIBLE: Final = 20.0
"""A median ratio of measured to predicted latencies beyond this, either way, is another unit."""


def require_one_unit(measured: ArrayLike, predicted: ArrayLike, *, what: str = "what was predicted") -> None:
    """Refuse latencies that seem to be in another unit than the predictions.

    Raises:
        UsageError: the median of measured / predicted is beyond `PLAUSIBLE`, either way.
    """
    truth, guess = _pair(measured, predicted)
    ratio = float(np.median(truth / guess))
    if not 1 / PLAUSIBLE < ratio < PLAUSIBLE:
        raise UsageError(f"the measured latencies are {ratio:.3g} times {what}", hint="give them in milliseconds")


def _pair(measured: ArrayLike, predicted: ArrayLike, *, least: int = 1) -> tuple[Latencies, Latencies]:
    truth = checked_latencies(measured, "measured", least=least)
    guess = checked_latencies(predicted, "predicted", least=least)
    if len(truth) != len(guess):
        raise UsageError(f"{len(truth)} measured and {len(guess)} predicted latencies", hint="give one of each")
    return truth, guess


def _relative_errors(measured: ArrayLike, predicted: ArrayLike) -> Latencies:
    truth, guess = _pair(measured, predicted)
    errors: Latencies = (guess - truth) / truth
    return errors


def mape(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error relative to the measurement, in percent."""
    return float(100 * np.mean(np.abs(_relative_errors(measured, predicted))))


def rmspe(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error relative to the measurement, in percent."""
    return float(100 * np.sqrt(np.mean(_relative_errors(measured, predicted) ** 2)))


def rmse(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of the latencies."""
    truth, guess = _pair(measured, predicted)
    return float(np.sqrt(np.mean((guess - truth) ** 2)))


def within(measured: ArrayLike, predicted: ArrayLike, pct: float = 10.0) -> float:
    """Share of networks, in [0, 1], whose error is at most ``pct`` percent of the measurement."""
    if not pct > 0:
        raise UsageError(f"the tolerance is {pct} %", hint="give a positive number of percent")
    # 1.1 is not 10 % above 1.0 in binary: a rounding error must not decide.
    return float(np.mean(np.abs(_relative_errors(measured, predicted)) <= pct / 100 + 1e-12))


def spearman(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman's rank correlation, in [-1, 1]; ties share their mean rank.

    Raises:
        UsageError: fewer than two networks, or all latencies of one side are equal.
    """
    truth, guess = _pair(measured, predicted, least=2)
    a, b = _ranks(truth, "measured"), _ranks(guess, "predicted")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / math.sqrt(float(a @ a) * float(b @ b)), -1, 1))


def _ranks(values: Latencies, what: str) -> Latencies:
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise UsageError(f"all {what} latencies are equal, so they have no order", hint="add different networks")
    ends = np.cumsum(counts)
    ranks: Latencies = (ends - (counts + 1) / 2)[index]
    return ranks


def kendall(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Kendall's rank correlation tau-b, in [-1, 1], in O(n log n) steps.

    tau-b = (concordant - discordant) / sqrt((pairs - ties in x)(pairs - ties in y)); Kendall, "The treatment of
    ties in ranking problems", Biometrika 33 (1945).

    Raises:
        UsageError: fewer than two networks, or all latencies of one side are equal.
    """
    truth, guess = _pair(measured, predicted, least=2)
    _ranks(truth, "measured"), _ranks(guess, "predicted")
    _, x = np.unique(truth, return_inverse=True)
    _, y = np.unique(guess, return_inverse=True)
    pairs = len(x) * (len(x) - 1) // 2
    ties_x, ties_y = _ties(x), _ties(y)
    ties_both = _ties(x * (int(y.max()) + 1) + y)
    discordant = _inversions(y[np.lexsort((y, x))])
    surplus = pairs - ties_x - ties_y + ties_both - 2 * discordant
    return float(np.clip(surplus / (math.sqrt(pairs - ties_x) * math.sqrt(pairs - ties_y)), -1, 1))


def _ties(values: NDArray[np.intp]) -> int:
    """Pairs of equal values."""
    counts = np.unique(values, return_counts=True)[1]
    return int(np.sum(counts * (counts - 1) // 2))


def _inversions(values: NDArray[np.intp]) -> int:
    """Pairs ``i < j`` with ``values[i] > values[j]``; values are integers from 0.

    Two values differ first at one bit. So bit by bit, from the highest, among the values that agree above it: count
    for each 0 the ones before it.
    """
    total = 0
    order = np.asarray(values, dtype=np.int64)
    for bit in reversed(range(int(order.max()).bit_length())):
        group = order >> (bit + 1)
        order = order[np.argsort(group, kind="stable")]
        group, ones = order >> (bit + 1), (order >> bit) & 1
        before = np.concatenate(([0], np.cumsum(ones)))
        starts = np.searchsorted(group, group, side="left")
        seen = before[:-1] - before[starts]
        total += int(seen[ones == 0].sum())
    return total


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One network, predicted and measured.

    Attributes:
        network: its name.
        predicted_ms: predicted latency.
        low_ms: lower end of the predicted interval.
        high_ms: upper end of the predicted interval.
        measured_ms: measured latency.
    """

    network: str
    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float

    @property
    def error_pct(self) -> float:
        """100 (predicted - measured) / measured."""
        return 100 * (self.predicted_ms - self.measured_ms) / self.measured_ms

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the predicted interval."""
        return self.low_ms <= self.measured_ms <= self.high_ms


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Agreement over several networks.

    Attributes:
        networks: how many there are.
        mape_pct: mean absolute error in percent.
        rmspe_pct: root mean squared error in percent.
        rmse_ms: root mean squared error in ms.
        within_5: share of errors of at most 5 %, in [0, 1].
        within_10: share of errors of at most 10 %, in [0, 1].
        inside: share of measurements in their predicted interval, in [0, 1].
        spearman: rank correlation; None where there is no order to compare (one network, or equal latencies).
        kendall: rank correlation tau-b; None likewise.
    """

    networks: int
    mape_pct: float
    rmspe_pct: float
    rmse_ms: float
    within_5: float
    within_10: float
    inside: float
    spearman: float | None
    kendall: float | None


def summary_of(measured: ArrayLike, predicted: ArrayLike, intervals: ArrayLike) -> Summary:
    """The agreement of n predictions with their measurements.

    Args:
        measured: shape ``[n]``, in ms.
        predicted: shape ``[n]``, in ms.
        intervals: lower and upper ends, shape ``[n, 2]``, in ms.
    """
    truth, guess = _pair(measured, predicted)
    low, high = np.asarray(intervals, np.float64).T
    ordered = len(set(truth)) > 1 and len(set(guess)) > 1
    return Summary(
        networks=len(truth),
        mape_pct=mape(truth, guess),
        rmspe_pct=rmspe(truth, guess),
        rmse_ms=rmse(truth, guess),
        within_5=within(truth, guess, 5),
        within_10=within(truth, guess, 10),
        inside=float(np.mean((low <= truth) & (truth <= high))),
        spearman=spearman(truth, guess) if ordered else None,
        kendall=kendall(truth, guess) if ordered else None,
    )


@dataclass(frozen=True)
class Report:
    """Predicted and measured latencies side by side.

    Attributes:
        rows: one a network; at least one.
        coverage: probability that each interval is meant to hold its measurement.

    Raises:
        UsageError: no rows, or a latency that is not a positive number.
    """

    rows: tuple[ReportRow, ...]
    coverage: float = 0.9

    def __post_init__(self) -> None:
        _pair([row.measured_ms for row in self.rows], [row.predicted_ms for row in self.rows])

    @classmethod
    def of(cls, predictions: Sequence[Prediction], measured_ms: Iterable[float]) -> Self:
        """Put predictions beside the measurements of the same networks, in the same order.

        Raises:
            UsageError: different lengths, none at all, predictions of different coverage, or a latency that is not
                a positive number.
        """
        measured, _ = _pair(list(measured_ms), [prediction.latency_ms for prediction in predictions])
        coverages = {prediction.coverage for prediction in predictions}
        if len(coverages) > 1:
            raise UsageError(f"intervals of different coverage: {sorted(coverages)}", hint="use one coverage")
        rows = (
            ReportRow(
                network=prediction.network,
                predicted_ms=prediction.latency_ms,
                low_ms=prediction.low_ms,
                high_ms=prediction.high_ms,
                measured_ms=float(truth),
            )
            for prediction, truth in zip(predictions, measured, strict=True)
        )
        return cls(tuple(rows), coverages.pop())

    @property
    def summary(self) -> Summary:
        """The agreement over all rows."""
        measured = np.array([row.measured_ms for row in self.rows])
        predicted = np.array([row.predicted_ms for row in self.rows])
        return summary_of(measured, predicted, np.array([(row.low_ms, row.high_ms) for row in self.rows]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; units are in the names."""
        rows = [asdict(row) | {"error_pct": row.error_pct, "inside": row.inside} for row in self.rows]
        return {"rows": rows, "coverage": self.coverage, "summary": asdict(self.summary)}

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __str__(self) -> str:
        cells = [_HEADINGS, *(_cells(row) for row in self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
        lines = ["  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
                 for r in cells]  # fmt: skip
        return "\n".join([*(line.rstrip() for line in lines), "", *self._conclusions()])

    def _conclusions(self) -> list[str]:
        summary = self.summary
        lines = [
            f"MAPE {summary.mape_pct:.1f} %, RMSPE {summary.rmspe_pct:.1f} %, RMSE {significant(summary.rmse_ms)} ms",
            f"within 5 %: {100 * summary.within_5:.0f} %, within 10 %: {100 * summary.within_10:.0f} %, "
            f"inside the {100 * self.coverage:g} % interval: {100 * summary.inside:.0f} %",
        ]
        if summary.spearman is not None and summary.kendall is not None:
            lines.append(f"Spearman {summary.spearman:.3f}, Kendall {summary.kendall:.3f}")
        return lines


_HEADINGS: Final = ("network", "predicted ms", "interval ms", "measured ms", "error %", "inside")


def _cells(row: ReportRow) -> tuple[str, ...]:
    interval = f"{significant(row.low_ms)} .. {significant(row.high_ms)}"
    numbers = (significant(row.predicted_ms), interval, significant(row.measured_ms), f"{row.error_pct:+.1f}")
    return (row.network, *numbers, "yes" if row.inside else "no")
