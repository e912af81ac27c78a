"""Predicted beside measured, for networks that a campaign measured whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..predictors.prediction import significant

if TYPE_CHECKING:
    from ..networks import Network
    from ..predictors import Prediction, Report, TablePredictor
    from ..profiler import Plan


@dataclass(frozen=True)
class Comparison:
    """Networks predicted and measured.

    Attributes:
        predictions: of the networks that have both, in order.
        report: the same beside their measurements; None if there are none.
        missing: why others have no number, by network.
    """

    predictions: tuple["Prediction", ...]
    report: "Report | None"
    missing: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        report = self.report.to_dict() if self.report else None
        return {
            "report": report,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "missing": self.missing,
        }

    def __str__(self) -> str:
        lines = [str(self.report)] if self.report else []
        return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in self.missing.items())])

    def detailed(self) -> str:
        """As text that shows where the time goes, for a single network; for several the same as `str`."""
        if len(self.predictions) != 1 or self.missing or self.report is None:
            return str(self)
        (row,) = self.report.rows
        where = "inside" if row.inside else "outside"
        measured = f"{significant(row.measured_ms)} ms, error of the prediction {row.error_pct:+.1f} %"
        return f"{self.predictions[0]}\n\nmeasured as a whole: {measured}, {where} the interval"


def comparison(predictor: "TablePredictor", sources: "Sequence[Network | Path]", work: "Plan") -> Comparison:
    """What the table predicts for the networks of a plan, beside the table's own measurements of them."""
    from ..networks.errors import NotCoveredError
    from ..predictors import Report

    predictions, measured_ms, missing = [], [], {}
    for source, subject in zip(sources, work.subjects, strict=True):
        name = subject.network.name
        row = predictor.table.get("network", subject.network.fingerprint)
        if row is None or row.status == "failed":
            missing[name] = f"not measured: {row.reason}" if row else "not measured"
            continue
        try:
            predictions.append(predictor.explain(source))
        except NotCoveredError as error:
            missing[name] = error.message
            continue
        measured_ms.append(row.latency_ns / 1e6)
    report = Report.of(predictions, measured_ms) if predictions else None
    return Comparison(tuple(predictions), report, missing)
