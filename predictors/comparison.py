"""`compare`: predictors side by side on samples that none of them was fitted to."""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Fingerprint, Table
from ..networks.errors import LutraError, UsageError
from ._samples import Samples, samples_of
from .additive import TablePredictor
from .base import Inputs, LatencyPredictor, checked_coverage
from .gnn import GnnPredictor
from .kernels import KernelPredictor
from .learned import LearnedPredictor
from .linear import AdditivePredictor
from .metrics import Summary, summary_of
from .mlp import MlpPredictor
from .quadratic import QuadraticPredictor
from .transfer import TransferPredictor

LEAST_TESTED: Final = 5
_HEADINGS: Final = (
    *("model", "MAPE %", "RMSPE %", "RMSE ms", "in 5 %", "in 10 %", "Spearman", "Kendall"),
    *("coverage", "fit s", "predict/s"),
)


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """How one predictor did.

    Attributes:
        name: under which it was entered.
        predictor: fitted to the training samples.
        summary: its agreement with the held-out samples; None if it could not be fitted or asked.
        problem: why not; "" if it could.
        fit_s: how long fitting took, in seconds.
        predictions_per_s: how many networks or encodings a second it predicted in one batch.
    """

    name: str
    predictor: LatencyPredictor = field(repr=False)
    summary: Summary | None
    problem: str = ""
    fit_s: float = 0.0
    predictions_per_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Predictors side by side; ``print`` shows the table.

    Attributes:
        rows: the best first, by mean absolute error in percent; those that failed last.
        baseline: name of the predictor that the others have to beat.
        trained: how many samples they were fitted to.
        tested: how many samples they were judged by.
        coverage: of the intervals that were asked for.
        repeat_pct: how much measurements of equal architectures scatter, as a standard deviation in percent: what is
            noise, and no model can know. None where nothing was measured twice.
    """

    rows: tuple[ComparisonRow, ...]
    baseline: str
    trained: int
    tested: int
    coverage: float
    repeat_pct: float | None = None

    @property
    def best(self) -> ComparisonRow:
        """The row with the least mean absolute error.

        Raises:
            UsageError: no predictor could be fitted.
        """
        if self.rows[0].summary is None:
            problems = "; ".join(f"{row.name}: {row.problem}" for row in self.rows)
            raise UsageError(f"no predictor could be fitted ({problems})", hint="give more samples, or other models")
        return self.rows[0]

    def earns_its_place(self, row: ComparisonRow) -> bool:
        """Whether a predictor is better than the baseline, which itself always is in."""
        base = next((r.summary for r in self.rows if r.name == self.baseline), None)
        if row.summary is None or base is None:
            return row.summary is not None
        return row.name == self.baseline or row.summary.mape_pct < base.mape_pct

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; units are in the names."""
        rows = [
            {
                "name": row.name,
                "kind": row.predictor.kind,
                "problem": row.problem,
                "fit_s": row.fit_s,
                "predictions_per_s": row.predictions_per_s,
                "beats_baseline": row.name != self.baseline and self.earns_its_place(row),
                "summary": None if row.summary is None else asdict(row.summary),
            }
            for row in self.rows
        ]
        facts = {"baseline": self.baseline, "trained": self.trained, "tested": self.tested}
        return facts | {"coverage": self.coverage, "repeat_pct": self.repeat_pct, "rows": rows}

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __str__(self) -> str:
        cells = [_HEADINGS, *(self._cells(row) for row in self.rows if row.summary is not None)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
        lines = [
            "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in cells
        ]
        lines += [f"{row.name}: {row.problem}" for row in self.rows if row.summary is None]
        lines.append(f"fitted to {self.trained} samples, judged by {self.tested} others; * is the baseline")
        worse = [row.name for row in self.rows if row.summary is not None and not self.earns_its_place(row)]
        lines += [f"no better than the baseline here: {', '.join(worse)}"] if worse else []
        if self.repeat_pct is not None:
            lines.append(
                f"measurements of equal architectures scatter by {self.repeat_pct:.1f} %: the noise in all this"
            )
        return "\n".join(line.rstrip() for line in lines)

    def _cells(self, row: ComparisonRow) -> tuple[str, ...]:
        s = row.summary
        assert s is not None
        ranks = ("-" if rank is None else f"{rank:.3f}" for rank in (s.spearman, s.kendall))
        return (
            row.name + "*" * (row.name == self.baseline),
            *(f"{s.mape_pct:.2f}", f"{s.rmspe_pct:.2f}", f"{s.rmse_ms:.3g}"),
            *(f"{100 * s.within_5:.1f}", f"{100 * s.within_10:.1f}"),
            *ranks,
            *(f"{100 * s.inside:.1f} %", f"{row.fit_s:.2f}", f"{row.predictions_per_s:,.0f}"),
        )


def candidates(
    device: str = "unnamed device",
    *,
    encodings: bool,
    table: Table | None = None,
    fingerprint: Fingerprint | None = None,
    seed: int = 0,
) -> dict[str, LatencyPredictor]:
    """The predictors that can learn from such samples, by kind.

    Args:
        device: what people call the device.
        encodings: whether the samples are encodings; graph networks and tables need networks.
        table: the device's rows, where there are some.
        fingerprint: the device's identity; if omitted the table's.
        seed: of everything random.
    """
    known = table.fingerprint if fingerprint is None and table is not None else fingerprint
    entered: list[LatencyPredictor] = [
        AdditivePredictor(device, fingerprint=known, seed=seed),
        QuadraticPredictor(device, fingerprint=known, seed=seed),
        MlpPredictor(device, fingerprint=known, seed=seed),
    ]
    if encodings:
        entered.append(TransferPredictor(device=device, fingerprint=known, seed=seed))
    else:
        entered.append(GnnPredictor(device, fingerprint=known, seed=seed, table=table))
        if table is not None:
            entered += [TablePredictor(table, device), KernelPredictor(table, device, seed=seed)]
    return {predictor.kind: predictor for predictor in entered}


def compare(
    inputs: Inputs,
    latencies_ms: ArrayLike,
    predictors: dict[str, LatencyPredictor] | None = None,
    *,
    test_share: float = 0.2,
    coverage: float = 0.9,
    baseline: str = "additive",
    seed: int = 0,
) -> Comparison:
    """Fit predictors to some of the samples, and judge them by the others.

    Equal architectures are merged first, so that none is on both sides. The split depends on ``seed`` alone.

    Args:
        inputs: n networks, or encodings of shape ``[n, d]``.
        latencies_ms: their measured latencies, shape ``[n]``, in ms.
        predictors: by any name; they are fitted in place. None takes all that can learn from such samples.
        test_share: of the samples that are held out, in (0, 1).
        coverage: of the intervals that are judged.
        baseline: which name the others have to beat.
        seed: of the split, and of the predictors where none are given.

    Raises:
        UsageError: bad samples, too few of them, or a share that is none.
    """
    if not 0 < test_share < 1:
        raise UsageError(f"test_share is {test_share!r}", hint="give a share between 0 and 1, such as 0.2")
    least = LEAST_TESTED + LearnedPredictor.least_samples
    samples = samples_of(inputs, latencies_ms, least=least, who="a comparison")
    n = len(samples.latencies_ms)
    tested = min(max(LEAST_TESTED, round(test_share * n)), n - LearnedPredictor.least_samples)
    order = np.random.default_rng(seed).permutation(n)
    entered = predictors or candidates(encodings=samples.batch.networks is None, seed=seed)
    rows = [
        _judged(name, predictor, samples, (order[tested:], order[:tested]), checked_coverage(coverage))
        for name, predictor in entered.items()
    ]
    rows.sort(key=lambda row: np.inf if row.summary is None else row.summary.mape_pct)
    return Comparison(
        rows=tuple(rows),
        baseline=baseline,
        trained=n - tested,
        tested=tested,
        coverage=coverage,
        repeat_pct=samples.repeat_pct,
    )


def _judged(
    name: str,
    predictor: LatencyPredictor,
    samples: Samples,
    split: tuple[NDArray[np.intp], NDArray[np.intp]],
    coverage: float,
) -> ComparisonRow:
    trained, tested = ((samples.batch.take(index), samples.latencies_ms[index]) for index in split)
    try:
        begin = time.perf_counter()
        predictor.fit(trained[0].inputs, trained[1])
        fit_s = time.perf_counter() - begin
        begin = time.perf_counter()
        predicted = predictor.predict_batch(tested[0].inputs)
        predict_s = time.perf_counter() - begin
        ends = predictor.predict_interval(tested[0].inputs, coverage)
    except LutraError as error:
        return ComparisonRow(name=name, predictor=predictor, summary=None, problem=error.message)
    return ComparisonRow(
        name=name,
        predictor=predictor,
        summary=summary_of(tested[1], predicted, ends),
        fit_s=fit_s,
        predictions_per_s=len(predicted) / predict_s,
    )
