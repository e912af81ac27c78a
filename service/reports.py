"""Predicted beside measured, for networks that a campaign measured whole."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..predictors.prediction import significant

if TYPE_CHECKING:
    from ..luts import Table
    from ..networks import Network
    from ..predictors import Prediction, Report, TablePredictor
    from ..profiler import Device, InPlace, Plan


_TOLD = 4  # kernels told for each network
_WORTH_TELLING_PCT = 5.0


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


@dataclass(frozen=True)
class Validation:
    """Networks predicted and measured on one device, and why the worst are off.

    Attributes:
        device: what ran them.
        comparison: predicted beside measured.
        reasons: kernels replayed in place, by network; only for the networks furthest off.
        interrupted: it was cancelled before all was measured.
    """

    device: "Device"
    comparison: Comparison
    reasons: "dict[str, tuple[InPlace, ...]]"
    interrupted: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        reasons = {name: [asdict(kernel) for kernel in told] for name, told in self.reasons.items()}
        device = {"name": self.device.name, "runtime": self.device.runtime, "threads": self.device.threads}
        return device | self.comparison.to_dict() | {"reasons": reasons, "interrupted": self.interrupted}

    def __str__(self) -> str:
        lines = [str(self.comparison)]
        for name, kernels in self.reasons.items():
            lines += [f"\n{name}: in place, against the table (us an execution)", *map(_reason, kernels[:_TOLD])]
        return "\n".join(lines)


def _reason(kernel: "InPlace") -> str:
    times = f" x{kernel.count}" if kernel.count > 1 else ""
    change = f"{significant(kernel.in_place_us)} against {significant(kernel.row_us)}"
    return f"  {kernel.missing_us:+8.1f} us  {change}{times}  {kernel.label}"


def reasons(compared: Comparison, work: "Plan", table: "Table", most: int) -> "dict[str, tuple[InPlace, ...]]":
    """Replay the networks of a plan that are furthest off, at most ``most`` of those more than `_WORTH_TELLING_PCT`."""
    from ..profiler import replay

    rows = compared.report.rows if compared.report else ()
    worst = sorted((row for row in rows if abs(row.error_pct) > _WORTH_TELLING_PCT), key=lambda r: -abs(r.error_pct))
    subjects = {subject.network.name: subject for subject in work.subjects}
    return {row.network: replay(subjects[row.network], table) for row in worst[:most]}


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
